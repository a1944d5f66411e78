//! What the gate learns of an attempt: its breaker, its pace, and whoever is to be told.

use std::sync::Arc;
use std::time::Duration;

use super::Gate;
use crate::engine::incident::Kind;
use crate::policy::{BreakerState, Change, Pass};
use crate::vocabulary::{Fault, Key};

/// Tells the gate how a request ended. Dropped without a word, the breaker learns nothing from it.
pub struct Verdict {
    pub(super) gate: Arc<Gate>,
    pub(super) pass: Option<Pass>,
    pub(super) took: Option<Duration>,
}

impl Verdict {
    /// How long the request took, where that says something about the system.
    #[must_use]
    pub fn after(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// The request ended; `fault` is `None` for success.
    pub fn tell(mut self, key: &Key, fault: Option<Fault>, error: &str) {
        let gate = Arc::clone(&self.gate);
        let now = gate.now();
        let mut inner = gate.inner();
        match fault {
            Some(Fault::Throttled { retry_after }) => inner.asked_for_less(now, retry_after),
            None => {
                if let Some(pacer) = inner.paces.system_mut() {
                    if let Some(took) = self.took {
                        pacer.took(now, took);
                    }
                    pacer.succeeded(now);
                }
            }
            Some(Fault::Busy | Fault::Unavailable | Fault::Ambiguous) => {
                if let Some(pacer) = inner.paces.system_mut() {
                    pacer.failed(now);
                }
            }
            Some(_) => {}
        }
        gate.show_share(&inner);
        let pass = self.pass.take();
        let answered = !matches!(fault, Some(Fault::Unavailable | Fault::Ambiguous));
        let change = pass.and_then(|pass| inner.breaker.settle(pass, key, fault, now.mono, fastrand::f64()));
        let flows = matches!(inner.breaker.state(), BreakerState::Closed { .. });
        drop(inner);
        if answered && flows && change.is_none() {
            // Open from before a restart: this process has never seen the breaker open.
            gate.incidents.close(Kind::SystemDown, gate.label.as_str());
        }
        gate.announce(change, error);
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.gate.inner().breaker.abandon(pass, self.gate.now().mono);
            self.gate.changed.notify_waiters();
        }
    }
}

impl Gate {
    fn announce(&self, change: Option<Change>, error: &str) {
        let Some(change) = change else { return };
        let system = self.label.as_str();
        let open = matches!(change, Change::Opened { .. });
        self.metrics.breaker_open.with_label_values(&[system]).set(i64::from(open));
        if open {
            let remedy = "nothing is lost: its messages wait, and unless it is paused it is probed until it answers; look at the system";
            self.incidents.open(Kind::SystemDown, system, error, remedy);
        } else {
            self.incidents.close(Kind::SystemDown, system);
        }
        self.changed.notify_waiters();
    }
}
