//! What the worker tells the journal: one line at each place where something happens to a message.

use std::time::Duration;

use super::Worker;
use super::item::{Item, Prepared};
use crate::ports::journal::What;
use crate::ports::state::{DeadLetter, HoldReason};
use crate::vocabulary::{DeliveryError, Moment, Receipt};

impl Worker {
    /// Noted when it is judged, so before any change that it leads to is committed.
    pub(super) fn note_attempt(&self, prepared: &Prepared, took: Duration, outcome: &Result<Receipt, DeliveryError>) {
        self.ports.chronicle.attempt(&self.plan.name, &prepared.item.envelope, took, outcome);
    }

    pub(super) fn note_skipped(&self, item: &Item, reason: &'static str) {
        self.note(item, What::Skipped(reason));
    }

    pub(super) fn note_held(&self, item: &Item, reason: HoldReason, until: Moment) {
        self.note(item, What::Held { reason, until });
    }

    pub(super) fn note_dead(&self, item: &Item, letter: &DeadLetter) {
        self.ports.chronicle.dead(&self.plan.name, &item.envelope, &letter.fault, &letter.message);
    }

    fn note(&self, item: &Item, what: What) {
        self.ports.chronicle.step(&self.plan.name, &item.envelope.stream, item.seq(), what);
    }
}
