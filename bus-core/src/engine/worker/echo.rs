//! The worker's part in both ways without echo: asked before an attempt, told after it.

use std::time::Duration;

use super::Worker;
use super::item::Prepared;
use crate::engine::echo::Decision;
use crate::ports::state::{HoldReason, Replayed};
use crate::vocabulary::{DeliveryError, Fault, Key, Moment, Receipt};

/// While the other route writes the same record: about as long as an attempt takes.
const LATER: Duration = Duration::from_millis(200);

impl Worker {
    /// The message, if it is to be sent; else it has its outcome, or waits a moment.
    pub(super) fn unless_echo(&mut self, prepared: Prepared) -> Option<Prepared> {
        let Some(echo) = self.ports.echo.clone() else { return Some(prepared) };
        // A person or a task wants it sent: the receiver may have lost what it once had.
        let loaded = self.line.is_loaded_row(&prepared.item.envelope.key, prepared.item.seq());
        let asked = loaded || prepared.item.replayed() != Replayed::Never;
        match echo.begin(&self.plan.name, &prepared.parcel, asked) {
            Decision::Send(forget) => {
                if let Some(change) = forget {
                    self.pending.push_plain(change);
                }
                Some(prepared)
            }
            Decision::Skip(reason, forget) => {
                if let Some(change) = forget {
                    self.pending.push_plain(change);
                }
                self.settle_skipped(prepared.item, reason);
                None
            }
            Decision::Later => {
                self.set_aside(prepared.item, HoldReason::Behind, Moment::now().after(LATER), false);
                None
            }
        }
    }

    /// What was applied, or may have been, is remembered in one transaction with its outcome.
    pub(super) fn remember_write(&mut self, prepared: &Prepared, outcome: &Result<Receipt, DeliveryError>) {
        let Some(echo) = &self.ports.echo else { return };
        let receiver_id = match outcome {
            Ok(receipt) => receipt.receiver_id.as_deref().or(prepared.parcel.receiver_id.as_deref()),
            Err(DeliveryError { fault: Fault::Ambiguous, .. }) => prepared.parcel.receiver_id.as_deref(),
            Err(_) => return,
        };
        for change in echo.written(&self.plan.name, &prepared.item.envelope.key, receiver_id, outcome.is_err()) {
            self.pending.push_plain(change);
        }
    }

    /// The write of this key is not under way any more.
    pub(super) fn write_ended(&self, key: &Key) {
        if let Some(echo) = &self.ports.echo {
            echo.ended(&self.plan.name, key);
        }
    }
}
