//! How far this process has seen the queue (L8): up to which number nothing can come out of it any more that is not in
//! hand already. Pure.

use tokio::time::Instant;

use super::empty::Emptiness;
use crate::vocabulary::Seq;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Passed {
    up_to: Option<Seq>,
    /// Somebody waits for this number, which was published before they asked.
    asked: Option<Seq>,
    emptiness: Emptiness,
}

impl Passed {
    /// A message came: a queue brings nothing older after it, unless that was given back.
    pub fn came(&mut self, seq: Seq) {
        self.up_to = self.up_to.max(Some(seq));
        self.emptiness.begin_anew();
    }

    /// Something went back to the queue, and comes again.
    pub fn gave_back(&mut self) {
        (self.up_to, self.asked) = (None, None);
        self.emptiness.begin_anew();
    }

    /// Whether everything up to this number, which was published, has come. If not, the queue is looked at: it may be
    /// empty, and then nothing that comes would tell.
    pub fn covers(&mut self, seq: Seq) -> bool {
        let covered = self.up_to >= Some(seq);
        if !covered && self.asked < Some(seq) {
            self.asked = Some(seq);
            self.emptiness.begin_anew();
        }
        covered
    }

    /// A look at the queue, if one is due: see [`Emptiness::begin`].
    pub fn begin_look(&mut self, now: Instant) -> Option<u32> {
        if self.asked > self.up_to { self.emptiness.begin(now) } else { None }
    }

    /// What a look found.
    pub fn looked(&mut self, era: u32, empty: bool) {
        if self.emptiness.found(era, empty) {
            self.up_to = self.up_to.max(self.asked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seq(number: u64) -> Seq {
        Seq { epoch: 1, number }
    }

    /// A look that is due, as many seconds after the first.
    fn look(passed: &mut Passed, (now, seconds): (Instant, u64), empty: bool) {
        if let Some(era) = passed.begin_look(now + Duration::from_secs(seconds)) {
            passed.looked(era, empty);
        }
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
        assert!(passed.begin_look(now).is_none(), "nobody asks");
        assert!(!passed.covers(seq(7)));
        look(&mut passed, (now, 0), true);
        // Published after the first look: that one says nothing about it.
        assert!(!passed.covers(seq(9)));
        look(&mut passed, (now, 1), true);
        assert!(!passed.covers(seq(9)));
        look(&mut passed, (now, 2), false);
        look(&mut passed, (now, 3), true);
        look(&mut passed, (now, 4), true);
        assert!(passed.covers(seq(9)) && !passed.covers(seq(10)));
    }

    #[test]
    fn what_comes_between_two_looks_means_that_it_was_not_empty() {
        let (mut passed, now) = (Passed::default(), Instant::now());
        assert!(!passed.covers(seq(7)));
        look(&mut passed, (now, 0), true);
        passed.came(seq(2));
        look(&mut passed, (now, 1), true);
        assert!(!passed.covers(seq(7)));
    }
}
