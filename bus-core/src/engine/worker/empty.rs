//! Whether a route's queue is empty: looked at beside everything else that the worker does, and believed when it was found
//! empty more than once.

use std::time::Duration;

use tokio::time::Instant;

use super::Worker;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);
/// So many looks in a row find it empty before it is believed: what is on its way to us is in no count for a moment.
const LOOKS: u32 = 2;
/// A broker that does not say how much is in a queue is asked again.
const ANSWER: Duration = Duration::from_secs(5);

/// Counts the looks that found a queue empty. Pure.
#[derive(Debug, Default)]
pub(super) struct Emptiness {
    looked: Option<Instant>,
    empty: u32,
    /// Rises when earlier looks say nothing any more, also the one under way.
    era: u32,
    under_way: bool,
}

/// Who wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// A run, which ends when everything was taken.
    Run,
    /// Loaded rows, which wait for what is older.
    Load,
}

/// What a look found.
pub(super) struct Looked {
    who: For,
    era: u32,
    empty: bool,
}

impl Emptiness {
    /// A look that is due now; it is under way until [`Emptiness::found`].
    pub fn begin(&mut self, now: Instant) -> Option<u32> {
        if self.under_way || self.looked.is_some_and(|looked| now < looked + LOOK) {
            return None;
        }
        (self.looked, self.under_way) = (Some(now), true);
        Some(self.era)
    }

    /// What a look found. Unsettled messages count as being in the queue. `true`: it is believed to be empty.
    pub fn found(&mut self, era: u32, empty: bool) -> bool {
        self.under_way = false;
        if era != self.era {
            return false;
        }
        self.empty = if empty { self.empty + 1 } else { 0 };
        self.empty >= LOOKS
    }

    /// Something came, went back, or is asked anew: the looks so far say nothing.
    pub fn begin_anew(&mut self) {
        self.empty = 0;
        self.era = self.era.wrapping_add(1);
    }
}

impl Worker {
    /// Asks the broker, beside everything else. At most one look of each kind is under way.
    pub(super) fn look_into_the_queue(&mut self, who: For) {
        if !self.intake.is_consuming() {
            return;
        }
        let now = Instant::now();
        let era = match who {
            For::Run => self.collecting.emptiness.begin(now),
            For::Load => self.intake.passed.begin_look(now),
        };
        let Some(era) = era else { return };
        let (broker, queue) = (std::sync::Arc::clone(&self.ports.broker), self.plan.queue.clone());
        self.looks.push(Box::pin(async move {
            let depth = tokio::time::timeout(ANSWER, broker.depth(&queue)).await;
            Looked { who, era, empty: matches!(depth, Ok(Ok(depth)) if depth.messages == 0) }
        }));
    }

    pub(super) fn looked(&mut self, looked: Looked) {
        match looked.who {
            For::Run if self.collecting.emptiness.found(looked.era, looked.empty) => self.collecting.everything_taken(),
            For::Run => {}
            For::Load => self.intake.passed.looked(looked.era, looked.empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_empty_when_it_was_found_so_twice_and_nothing_came_between() {
        let (mut queue, mut now) = (Emptiness::default(), Instant::now());
        let mut look = |queue: &mut Emptiness, empty| {
            now += LOOK;
            let era = queue.begin(now);
            assert!(queue.begin(now + LOOK).is_none(), "one at a time");
            era.is_some_and(|era| queue.found(era, empty))
        };
        assert!(!look(&mut queue, true));
        assert!(look(&mut queue, true));
        assert!(!look(&mut queue, false));
        assert!(!look(&mut queue, true));
        queue.begin_anew();
        assert!(!look(&mut queue, true) && look(&mut queue, true));
    }

    #[test]
    fn a_look_under_way_says_nothing_about_what_came_after_it_began() {
        let (mut queue, now) = (Emptiness::default(), Instant::now());
        let first = queue.begin(now);
        assert_eq!(first.map(|era| queue.found(era, true)), Some(false));
        let second = queue.begin(now + LOOK);
        queue.begin_anew();
        assert_eq!(second.map(|era| queue.found(era, true)), Some(false));
        let third = queue.begin(now + LOOK * 2);
        assert_eq!(third.map(|era| queue.found(era, true)), Some(false), "the first that counts");
    }
}
