//! Draining `waiting`: rows whose time has come go back into their lanes, oldest first, before anything newer.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::item::{Item, Origin};
use super::share::Share;
use crate::ports::state::HoldReason;
use crate::vocabulary::{Key, Moment, Seq};

/// Rows in hand at a time.
const IN_HAND: usize = 256;
/// Pause between looks while nothing is due.
const IDLE: Duration = Duration::from_millis(200);

/// Which rows of `waiting` are in hand.
#[derive(Default)]
pub(super) struct Line {
    loaded: HashSet<(Key, Seq)>,
    /// Rows that came from the queue because they grew old in memory: until they are gone, nothing more is taken.
    spilled: HashSet<(Key, Seq)>,
    /// Of those in hand, the ones that a task put there.
    by_task: HashSet<(Key, Seq)>,
    /// How they share the sends with the others.
    pub share: Share,
    next: Option<Instant>,
}

impl Line {
    /// The row left our hands: settled, deferred or put down.
    pub fn unload(&mut self, key: &Key, seq: Seq) {
        let row = (key.clone(), seq);
        self.loaded.remove(&row);
        self.by_task.remove(&row);
    }

    /// An outcome is on disk. `left`: the row is no longer in its place, or never was.
    pub fn committed(&mut self, key: &Key, seq: Seq, left: bool) {
        if self.loaded.is_empty() && self.spilled.is_empty() {
            return;
        }
        let row = (key.clone(), seq);
        self.loaded.remove(&row);
        self.by_task.remove(&row);
        if left {
            self.spilled.remove(&row);
        }
    }

    /// A message grew old in memory.
    pub fn spill(&mut self, key: &Key, seq: Seq) {
        self.spilled.insert((key.clone(), seq));
    }

    pub fn is_spilled(&self) -> bool {
        !self.spilled.is_empty()
    }

    /// Rows of a task are in hand.
    pub fn has_loaded_rows(&self) -> bool {
        !self.by_task.is_empty()
    }

    /// A task put this row there.
    pub fn is_loaded_row(&self, key: &Key, seq: Seq) -> bool {
        self.by_task.contains(&(key.clone(), seq))
    }

    pub fn set_share(&mut self, percent: u8) {
        self.share.set(percent);
    }

    pub fn in_hand(&self) -> usize {
        self.loaded.len()
    }

    /// Something may be due now.
    pub fn look_now(&mut self) {
        self.next = None;
    }
}

impl Worker {
    /// Rows in hand that only wait for a permit: while they are the most, looking for more would read them all again.
    fn unsent_waiting(&self) -> usize {
        self.sendable.iter().filter(|prepared| prepared.item.is_waiting()).count()
    }

    /// Loads due rows from the start of the line. The rows of one key share one time (see `Change::Defer`), and a key
    /// under way is left alone, so a key's later row can never be loaded before its earlier one.
    pub(super) async fn load_waiting(&mut self) {
        let now = Instant::now();
        let in_hand = self.line.loaded.len();
        let idle = self.index.rows() == 0 || self.is_paused() || in_hand >= IN_HAND;
        if idle || self.line.next.is_some_and(|at| at > now) || self.unsent_waiting() * 2 > in_hand {
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
        let mut left_alone: HashSet<Key> = HashSet::new();
        for row in rows {
            let (key, seq) = (row.envelope.key.clone(), row.envelope.seq);
            let in_hand = self.line.loaded.contains(&(key.clone(), seq));
            if in_hand || left_alone.contains(&key) || self.lanes.is_locked(&key) {
                left_alone.insert(key);
                continue;
            }
            if row.reason == HoldReason::Load {
                self.line.by_task.insert((key.clone(), seq));
            }
            self.line.loaded.insert((key, seq));
            self.held.note(&row);
            self.edits.remember(row.envelope.id, row.edited);
            let origin = Origin::Waiting { replayed: row.replayed };
            self.lanes.push(Item { envelope: row.envelope, origin, attempts: row.attempts });
        }
        self.line.next = (!full).then(|| now + IDLE);
    }
}
