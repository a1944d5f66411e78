//! Draining `waiting`: rows whose time has come go back into their lanes, oldest first, before anything newer.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use super::held::SELDOM;
use super::item::{Item, Origin};
use super::share::Share;
use super::{Delivered, Worker};
use crate::ports::state::HoldReason;
use crate::vocabulary::{Key, Moment, Seq};

/// Rows in hand at a time; two batches where those are larger.
const IN_HAND: usize = 256;
/// Of rows that are read at a time, and so about of those in hand: a few hundred large records are no memory of a worker.
const READ_BYTES: usize = 16 * 1024 * 1024;
/// A clock is put right by less than this all the time: a row that is further ahead than its longest wait by no more is left
/// to its time.
const SLACK: Duration = Duration::from_secs(60);
/// Pause between looks while nothing is due.
const IDLE: Duration = Duration::from_millis(200);

/// Which rows of `waiting` are in hand.
#[derive(Default)]
pub(super) struct Line {
    loaded: HashSet<(Key, Seq)>,
    /// Rows that came from the queue because they grew old in memory: until they are gone, nothing more is taken.
    spilled: HashSet<(Key, Seq)>,
    /// `latest`: messages in hand whose row holds a newer version by now.
    rowless: HashSet<(Key, Seq)>,
    /// Those that were in hand when a commit was in doubt, and still are.
    doubted: HashSet<(Key, Seq)>,
    /// The index has to be counted again, not before this moment.
    uncounted: Option<Instant>,
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
        self.rowless.remove(&row);
        self.doubted.remove(&row);
    }

    /// An outcome is on disk: the row is gone, or waits for later.
    pub fn committed(&mut self, key: &Key, seq: Seq) {
        if self.loaded.is_empty() && self.spilled.is_empty() {
            return;
        }
        let row = (key.clone(), seq);
        self.loaded.remove(&row);
        self.by_task.remove(&row);
        self.rowless.remove(&row);
        self.spilled.remove(&row);
        if self.doubted.remove(&row) {
            // Its row may hold a newer version by now, and was counted as gone with it.
            self.count_again();
        }
    }

    /// What grew old in memory was not needed in `waiting` any more.
    pub fn not_spilled(&mut self, key: &Key, seq: Seq) {
        self.spilled.remove(&(key.clone(), seq));
    }

    /// A message grew old in memory.
    pub fn spill(&mut self, key: &Key, seq: Seq) {
        self.spilled.insert((key.clone(), seq));
    }

    /// The row of this message holds a newer one now. `true` if the message is in hand.
    pub fn replaced(&mut self, key: &Key, older: Seq) -> bool {
        let row = (key.clone(), older);
        self.loaded.contains(&row) && self.rowless.insert(row)
    }

    /// This row is in hand from now on. `false`: it was before.
    pub fn load(&mut self, key: &Key, seq: Seq) -> bool {
        self.loaded.insert((key.clone(), seq))
    }

    /// Whether the row of this message in hand holds a newer one; forgets it.
    pub fn take_rowless(&mut self, key: &Key, seq: Seq) -> bool {
        !self.rowless.is_empty() && self.rowless.remove(&(key.clone(), seq))
    }

    /// Whether the index is to be counted again now.
    pub fn is_unsure(&self) -> bool {
        self.uncounted.is_some_and(|at| at <= Instant::now())
    }

    /// A commit was in doubt: what is in hand may have lost its row unnoticed, so it is counted now, and again with the outcome
    /// of each of them.
    pub fn doubt(&mut self) {
        self.doubted.clone_from(&self.loaded);
        self.count_again();
    }

    /// What the store did is not known here.
    pub fn count_again(&mut self) {
        self.uncounted = Some(Instant::now());
    }

    /// It could not be counted.
    pub fn count_later(&mut self) {
        self.uncounted = Some(Instant::now() + Duration::from_secs(1));
    }

    /// The index was counted.
    pub fn counted(&mut self) {
        self.uncounted = None;
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
        let most = IN_HAND.max(self.plan.batch.map_or(0, |batch| batch.max * 2));
        let idle = self.index.rows() == 0 || self.is_paused() || in_hand >= most;
        if idle || self.line.next.is_some_and(|at| at > now) || self.unsent_waiting() * 2 > in_hand {
            return;
        }
        let limit = in_hand + most;
        // Retries wait, and looks at what a message waits for; nothing else puts a row off.
        let longest = self.plan.retry.max.max(SELDOM).saturating_add(SLACK);
        let rows = match self.ports.store.waiting(&self.plan.name, Moment::now(), longest, limit, READ_BYTES).await {
            Ok(rows) => rows,
            Err(error) => {
                self.store_failed(&error);
                self.line.next = Some(now + Duration::from_secs(1));
                return;
            }
        };
        // Large rows in hand stand at the start of the line: behind them more is read when some have left.
        let large = rows.iter().map(|row| row.envelope.body.len()).sum::<usize>() > READ_BYTES / 2;
        let full = rows.len() == limit;
        let latest = self.plan.delivery == Delivered::Latest;
        let mut left_alone: HashSet<Key> = HashSet::new();
        for row in rows {
            let (key, seq) = (row.envelope.key.clone(), row.envelope.seq);
            let in_hand = self.line.loaded.contains(&(key.clone(), seq));
            let moving = self.lanes.is_locked(&key) || (latest && self.lanes.has(&key));
            if in_hand || left_alone.contains(&key) || moving {
                left_alone.insert(key);
                continue;
            }
            if row.reason == HoldReason::Load {
                self.line.by_task.insert((key.clone(), seq));
            }
            if latest {
                self.fences.forget(&key); // what was replaced in its row may have left a doubt there
            }
            self.line.loaded.insert((key, seq));
            self.held.note(&row);
            self.edits.remember(row.envelope.id, row.edited);
            let origin = Origin::Waiting { replayed: row.replayed };
            self.line_up_item(Item { envelope: row.envelope, origin, attempts: row.attempts, doubt: false });
        }
        let more = full || (large && self.line.loaded.len() > in_hand);
        self.line.next = (!more).then(|| now + IDLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_doubt_it_is_counted_at_once_and_with_the_outcome_of_each_row_of_before() {
        let row = |number| (Key::from_stored("a"), Seq { epoch: 1, number });
        let mut line = Line::default();
        let ((key, first), (_, second), (_, third)) = (row(1), row(2), row(3));
        assert!(line.load(&key, first) && !line.load(&key, first), "in hand once");
        assert!(line.load(&key, second));
        line.doubt();
        assert!(line.is_unsure());
        line.counted();
        assert!(!line.is_unsure(), "what is in hand for hours is not counted all the time");
        assert!(line.load(&key, third));
        for (seq, was_there) in [(first, true), (third, false), (second, true)] {
            line.committed(&key, seq);
            assert_eq!(line.is_unsure(), was_there);
            line.counted();
        }
        line.count_later();
        assert!(!line.is_unsure(), "not ten times a second");
    }
}
