//! How much of its capacity a system gets after it asked for less: halved at once, given back in steps.

use std::time::Duration;

use super::clock::Tick;

/// The whole capacity, in parts per million.
pub(super) const FULL: u32 = 1_000_000;
/// Never below 1 %: a system that answers must be asked now and then.
const FLOOR: u32 = FULL / 100;
/// One step of recovery.
const STEP: u32 = FULL / 10;
/// Answers that come within a second of a halving belong to requests that were sent before it.
const SETTLING: Duration = Duration::from_secs(1);
/// So many successes are one step up,
const SUCCESSES_PER_STEP: u32 = 10;
/// or one success after this long, because at 1 % of a low rate ten successes take hours.
const STEP_AFTER: Duration = Duration::from_secs(60);

/// The share of the profile that may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlowDown {
    share: u32,
    halved: Option<Tick>,
    changed: Tick,
    successes: u32,
}

impl SlowDown {
    /// Everything.
    pub(super) fn none() -> Self {
        Self { share: FULL, halved: None, changed: Tick::default(), successes: 0 }
    }

    /// Parts per million of the profile.
    pub(super) fn share(&self) -> u32 {
        self.share
    }

    /// The system asked for less.
    pub(super) fn throttled(&mut self, now: Tick) {
        self.successes = 0;
        if self.halved.is_some_and(|halved| now.since(halved) < SETTLING) {
            return;
        }
        self.share = (self.share / 2).max(FLOOR);
        self.halved = Some(now);
        self.changed = now;
    }

    /// The system accepted a request.
    pub(super) fn succeeded(&mut self, now: Tick) {
        if self.share == FULL {
            return;
        }
        self.successes += 1;
        if self.successes >= SUCCESSES_PER_STEP || now.since(self.changed) >= STEP_AFTER {
            self.share = (self.share + STEP).min(FULL);
            self.changed = now;
            self.successes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick(Duration::from_millis(millis))
    }

    #[test]
    fn it_halves_once_per_second_down_to_one_percent() {
        let mut slow = SlowDown::none();
        for _ in 0..8 {
            slow.throttled(at(0)); // Eight requests were in flight when the limit was hit.
        }
        assert_eq!(slow.share(), 500_000);
        let shares: Vec<u32> = (1..=7).map(|n| (slow.throttled(at(n * 1000)), slow.share()).1).collect();
        assert_eq!(shares, [250_000, 125_000, 62_500, 31_250, 15_625, 10_000, 10_000]);
    }

    #[test]
    fn it_recovers_by_successes_or_by_time_and_never_above_the_profile() {
        let mut slow = SlowDown::none();
        slow.throttled(at(0));
        (0..9).for_each(|_| slow.succeeded(at(10)));
        assert_eq!(slow.share(), 500_000);
        slow.succeeded(at(10));
        assert_eq!(slow.share(), 600_000);
        slow.succeeded(at(60_009));
        assert_eq!(slow.share(), 600_000);
        slow.succeeded(at(60_010));
        assert_eq!(slow.share(), 700_000);
        (0..1000).for_each(|_| slow.succeeded(at(60_020)));
        assert_eq!(slow.share(), FULL);
    }
}
