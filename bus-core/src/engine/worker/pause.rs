//! Whether this route makes attempts: it pauses itself when no message would be accepted, and a person may pause it.

use super::Worker;
use crate::ports::pauses::{Pause, Subject};

impl Worker {
    /// No attempt begins; what is in hand grows old and goes to `waiting`, and the rest stays in the queue.
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some() || self.ordered_pause().is_some()
    }

    fn ordered_pause(&self) -> Option<Pause> {
        let pauses = &self.ports.pauses;
        if !pauses.any() {
            return None;
        }
        pauses.of(&Subject::Route(self.plan.name.clone()))
    }

    /// For status: a person's pause says more than our own.
    pub(super) fn pause_in_words(&self) -> Option<String> {
        match self.ordered_pause() {
            Some(pause) => Some(pause.to_string()),
            None => self.paused.as_ref().map(|pause| pause.reason.clone()),
        }
    }
}
