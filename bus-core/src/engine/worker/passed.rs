//! How far this process has seen the queue (L8): up to which number nothing can come out of it any more that is not in
//! hand already. Pure.

use std::time::Duration;

use tokio::time::Instant;

use crate::vocabulary::Seq;

/// Between two looks at a queue that may be empty.
const LOOK: Duration = Duration::from_millis(300);
/// So many looks in a row find it empty before it is believed: what is on its way to us is in no count for a moment.
const LOOKS: u32 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Passed {
    up_to: Option<Seq>,
    /// Somebody waits for this number, which was published before they asked.
    asked: Option<Seq>,
    looked: Option<Instant>,
    empty: u32,
}

impl Passed {
    /// A message came: a queue brings nothing older after it, unless that was given back.
    pub fn came(&mut self, seq: Seq) {
        self.up_to = self.up_to.max(Some(seq));
        self.empty = 0;
    }

    /// Something went back to the queue, and comes again.
    pub fn gave_back(&mut self) {
        *self = Self::default();
    }

    /// Whether everything up to this number, which was published, has come. If not, the queue is looked at: it may be
    /// empty, and then nothing that comes would tell.
    pub fn covers(&mut self, seq: Seq) -> bool {
        let covered = self.up_to >= Some(seq);
        if !covered && self.asked < Some(seq) {
            self.asked = Some(seq);
            self.empty = 0;
        }
        covered
    }

    /// Whether the queue is to be looked at now.
    pub fn is_due(&mut self, now: Instant) -> bool {
        let due = self.asked > self.up_to && self.looked.is_none_or(|looked| now >= looked + LOOK);
        if due {
            self.looked = Some(now);
        }
        due
    }

    /// What the look found. Unsettled messages count as being in the queue.
    pub fn looked(&mut self, empty: bool) {
        self.empty = if empty { self.empty + 1 } else { 0 };
        if self.empty >= LOOKS {
            self.up_to = self.up_to.max(self.asked);
            self.empty = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(number: u64) -> Seq {
        Seq { epoch: 1, number }
    }

    #[test]
    fn what_came_covers_what_is_older_until_something_goes_back() {
        let mut passed = Passed::default();
        assert!(!passed.covers(seq(3)));
        passed.came(seq(5));
        passed.came(seq(4));
        assert!(passed.covers(seq(5)) && !passed.covers(seq(6)));
        passed.gave_back();
        assert!(!passed.covers(seq(1)));
    }

    #[test]
    fn an_empty_queue_covers_what_was_asked_for_before_the_looks() {
        let (mut passed, now) = (Passed::default(), Instant::now());
        assert!(!passed.is_due(now), "nobody asks");
        assert!(!passed.covers(seq(7)));
        assert!(passed.is_due(now) && !passed.is_due(now + LOOK / 2) && passed.is_due(now + LOOK));
        passed.looked(true);
        // Published after the first look: that one says nothing about it.
        assert!(!passed.covers(seq(9)));
        passed.looked(true);
        assert!(!passed.covers(seq(9)));
        passed.looked(false);
        passed.looked(true);
        passed.looked(true);
        assert!(passed.covers(seq(9)) && !passed.covers(seq(10)));
    }

    #[test]
    fn what_comes_between_two_looks_means_that_it_was_not_empty() {
        let mut passed = Passed::default();
        assert!(!passed.covers(seq(7)));
        passed.looked(true);
        passed.came(seq(2));
        passed.looked(true);
        assert!(!passed.covers(seq(7)));
    }
}
