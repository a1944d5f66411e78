//! Rows that a task hands over (L2 to L5, L8): they enter `waiting` in the order of this worker's commits.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::pending::{After, Effect};
use super::told::Told;
use super::{Delivered, Worker};
use crate::ports::journal::Deed;
use crate::ports::state::{Change, HoldReason};
use crate::vocabulary::{Envelope, Key, Moment};

/// What a task hands to a route.
#[derive(Debug)]
pub struct Load {
    /// Messages that were published before, each with its own id and seq.
    pub envelopes: Vec<Envelope>,
    /// Also those that were settled: they pass a fence at their own seq.
    pub again: bool,
    /// Percent of the sends that loaded rows may take while others are ready.
    pub share: u8,
    /// Who ordered it, as `user@host`; for the journal.
    pub who: String,
    /// Of each, whether it is durable in the line or known not to be needed there. `false`: its key is in hand now, or an
    /// older version may still be in the queue; ask again.
    pub reply: oneshot::Sender<Vec<bool>>,
}

impl Worker {
    pub(super) async fn take_in(&mut self, load: Load) {
        let Load { envelopes, again, share, who, reply } = load;
        self.line.set_share(share);
        let keys: Vec<Key> = envelopes.iter().map(|envelope| envelope.key.clone()).collect();
        if let Err(error) = self.fences.load(&keys).await {
            self.store_failed(&error);
            return; // no answer: they are offered again
        }
        let taken: Vec<bool> = envelopes.iter().map(|envelope| self.may_enter(envelope)).collect();
        let left = taken.iter().filter(|taken| **taken).count();
        let told = Arc::new(Told::new(left, reply, taken.clone()));
        if left == 0 {
            return told.answer();
        }
        // D9: it takes the place of an older version that waits.
        let latest = self.plan.delivery == Delivered::Latest;
        for (envelope, _) in envelopes.into_iter().zip(taken).filter(|(_, taken)| *taken) {
            let (key, seq) = (envelope.key.clone(), envelope.seq);
            let deed = if again { Deed::Resent } else { Deed::Loaded };
            self.ports.chronicle.person(&self.plan.name, (&envelope.stream, seq), deed, &who);
            self.index.held(&key);
            let change = if again {
                Change::Again { envelope }
            } else {
                let (not_before, reason) = (Moment::now(), HoldReason::Load);
                Change::Hold { envelope, not_before, attempts: 0, reason, clear_mark: false, latest, doubt: false }
            };
            let (key, seq, told) = (Some(key), Some(seq), Some(Arc::clone(&told)));
            self.pending.push(change, After { key, seq, told, effect: Effect::Held, ..After::default() });
        }
    }

    /// Nothing older of its key can come after it.
    fn may_enter(&mut self, envelope: &Envelope) -> bool {
        // L8: what is still in the queue below it would be dropped behind its fence.
        let settled = self.fences.get(&envelope.key).is_some_and(|fence| fence.seq >= envelope.seq);
        let passed = settled || self.intake.passed.covers(envelope.seq);
        // L2: a message in hand that fails would enter `waiting` below it, and R12 would drop that one.
        passed && !self.lanes.has(&envelope.key)
    }
}
