//! Draining `waiting`: rows whose time has come go back into their lanes, oldest first, before anything newer.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::item::{Item, Origin};
use crate::vocabulary::{Key, Moment, Seq};

/// Rows in hand at a time.
const IN_HAND: usize = 256;
/// Pause between looks while nothing is due.
const IDLE: Duration = Duration::from_millis(200);

/// Which rows of `waiting` are in hand.
#[derive(Default)]
pub(super) struct Line {
    loaded: HashSet<(Key, Seq)>,
    next: Option<Instant>,
}

impl Line {
    /// The row left our hands: settled, deferred or put down.
    pub fn unload(&mut self, key: &Key, seq: Seq) {
        self.loaded.remove(&(key.clone(), seq));
    }

    /// Something may be due now.
    pub fn look_now(&mut self) {
        self.next = None;
    }
}

impl Worker {
    /// Loads due rows from the start of the line. The rows of one key share one time (see `Change::Defer`), and a key
    /// under way is left alone, so a key's later row can never be loaded before its earlier one.
    pub(super) async fn load_waiting(&mut self) {
        let now = Instant::now();
        let in_hand = self.line.loaded.len();
        if self.index.rows() == 0 {
            self.intake.set_spilled(self.intake.is_spilled() && !(self.pending.is_empty() && self.flushing.is_empty()));
            return;
        }
        if self.paused.is_some() || in_hand >= IN_HAND || self.line.next.is_some_and(|at| at > now) {
            return;
        }
        let limit = in_hand + IN_HAND;
        let rows = match self.ports.store.waiting(&self.plan.name, Moment::now(), 0, limit).await {
            Ok(rows) => rows,
            Err(error) => {
                self.store_failed(&error);
                self.line.next = Some(now + Duration::from_secs(1));
                return;
            }
        };
        let full = rows.len() == limit;
        let mut loaded = 0;
        let mut left_alone: HashSet<Key> = HashSet::new();
        for row in rows {
            let (key, seq) = (row.envelope.key.clone(), row.envelope.seq);
            let in_hand = self.line.loaded.contains(&(key.clone(), seq));
            if in_hand || left_alone.contains(&key) || self.lanes.is_locked(&key) {
                left_alone.insert(key);
                continue;
            }
            self.line.loaded.insert((key, seq));
            let origin = Origin::Waiting { replayed: row.replayed };
            self.lanes.push(Item { envelope: row.envelope, origin, attempts: row.attempts });
            loaded += 1;
        }
        if loaded == 0 && in_hand == 0 && self.pending.is_empty() && self.flushing.is_empty() {
            // Nothing is due: what is left waits for its own reasons, and the queue may flow again.
            self.intake.set_spilled(false);
        }
        self.line.next = (!full).then(|| now + IDLE);
    }
}
