//! How much of its capacity a system gets while it is under strain: less at once, given back in steps, never above the
//! profile.
//!
//! Three signs of strain: it asks for less (429), it fails (5xx, time-outs), it answers ever more slowly. Asking for less
//! is obeyed by halving; the other two are guesses of ours, so they cost less and need several answers.

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
/// The same for what is only guessed: a lower pace needs time to show.
const GUESS_SETTLING: Duration = Duration::from_secs(5);
/// So many successes are one step up,
const SUCCESSES_PER_STEP: u32 = 10;
/// or one success after this long, because at 1 % of a low rate ten successes take hours.
const STEP_AFTER: Duration = Duration::from_secs(60);
/// Of the last 20 answers,
const LOOKED_AT: u32 = 20;
/// a quarter that failed is no accident.
const FAILURES: u32 = 5;
/// Answers are slow when they take three times as long as usual,
const SLOWER: f64 = 3.0;
/// and so much longer that a person would notice.
const NOTICEABLE: f64 = 0.2;

/// A quarter of so many slow answers, and slow is usual: a quarter of an hour at 100 a minute.
const BECOMES_USUAL: f64 = 5000.0;

/// Why the pace is lower than the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strain {
    /// It asked for less.
    Throttled,
    /// It failed.
    Errors,
    /// It answers more slowly.
    Latency,
}

impl Strain {
    /// In words, for status.
    pub fn as_str(self) -> &'static str {
        match self {
            Strain::Throttled => "it asks for less (429)",
            Strain::Errors => "errors",
            Strain::Latency => "slow answers",
        }
    }
}

/// The share of the profile that may be used.
#[derive(Debug, Clone, Copy)]
pub(super) struct SlowDown {
    adaptive: bool,
    share: u32,
    strain: Option<Strain>,
    lowered: Option<Tick>,
    changed: Tick,
    successes: u32,
    /// The last answers, newest in the lowest bit: 1 is a failure.
    answers: u32,
    usual: Latency,
    lately: Latency,
}

/// A moving average of seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Latency {
    mean: f64,
    count: u32,
}

impl Latency {
    /// A plain mean of the first `window` values, then one that forgets.
    fn note(&mut self, seconds: f64, window: u32) {
        self.count = (self.count + 1).min(window);
        self.mean += (seconds - self.mean) / f64::from(self.count);
    }
}

impl SlowDown {
    /// Everything.
    pub(super) fn none() -> Self {
        Self {
            adaptive: true,
            share: FULL,
            strain: None,
            lowered: None,
            changed: Tick::default(),
            successes: 0,
            answers: 0,
            usual: Latency::default(),
            lately: Latency::default(),
        }
    }

    /// Whether it does anything at all.
    pub(super) fn adapt(&mut self, adaptive: bool) {
        self.adaptive = adaptive;
    }

    /// Parts per million of the profile.
    pub(super) fn share(&self) -> u32 {
        self.share
    }

    /// Why it is not the whole.
    pub(super) fn strain(&self) -> Option<Strain> {
        self.strain
    }

    /// The system asked for less.
    pub(super) fn throttled(&mut self, now: Tick) {
        self.successes = 0;
        self.lower(now, Strain::Throttled, SETTLING, 50);
    }

    /// The system failed.
    pub(super) fn failed(&mut self, now: Tick) {
        self.successes = 0;
        self.answer(true);
        if self.answers.count_ones() >= FAILURES && self.lower(now, Strain::Errors, GUESS_SETTLING, 70) {
            self.answers = 0;
        }
    }

    /// How long a request took that the system accepted.
    pub(super) fn took(&mut self, now: Tick, time: Duration) {
        let seconds = time.as_secs_f64();
        self.lately.note(seconds, 10);
        let slow = self.is_slow();
        // What lasts becomes usual: a receiver that got slower for good is not throttled for ever.
        if slow {
            self.usual.mean += (seconds - self.usual.mean) / BECOMES_USUAL;
            self.successes = 0;
            self.lower(now, Strain::Latency, GUESS_SETTLING, 80);
        } else {
            self.usual.note(seconds, 100);
        }
    }

    /// The system accepted a request.
    pub(super) fn succeeded(&mut self, now: Tick) {
        self.answer(false);
        if self.share == FULL || self.is_slow() {
            return;
        }
        self.successes += 1;
        if self.successes >= SUCCESSES_PER_STEP || now.since(self.changed) >= STEP_AFTER {
            self.share = (self.share + STEP).min(FULL);
            self.changed = now;
            self.successes = 0;
            if self.share == FULL {
                self.strain = None;
            }
        }
    }

    fn is_slow(&self) -> bool {
        let (usual, lately) = (self.usual, self.lately);
        usual.count >= LOOKED_AT && lately.mean > SLOWER * usual.mean && lately.mean > usual.mean + NOTICEABLE
    }

    fn answer(&mut self, failed: bool) {
        self.answers = ((self.answers << 1) | u32::from(failed)) & ((1 << LOOKED_AT) - 1);
    }

    /// To so many percent of now, unless that was done just before.
    fn lower(&mut self, now: Tick, why: Strain, settling: Duration, percent: u32) -> bool {
        if !self.adaptive || self.lowered.is_some_and(|lowered| now.since(lowered) < settling) {
            return false;
        }
        self.share = (self.share / 100 * percent).max(FLOOR);
        self.strain = Some(why);
        self.lowered = Some(now);
        self.changed = now;
        true
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
        assert_eq!((slow.share(), slow.strain()), (500_000, Some(Strain::Throttled)));
        let shares: Vec<u32> = (1..=7).map(|n| (slow.throttled(at(n * 1000)), slow.share()).1).collect();
        assert_eq!(shares, [250_000, 125_000, 62_500, 31_250, 15_600, 10_000, 10_000]);
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
        assert_eq!((slow.share(), slow.strain()), (FULL, None));
    }

    #[test]
    fn errors_lower_it_when_they_are_no_accident() {
        let mut slow = SlowDown::none();
        for second in 0..100 {
            match second % 10 {
                0 => slow.failed(at(second * 1000)),
                _ => slow.succeeded(at(second * 1000)),
            }
        }
        assert_eq!(slow.share(), FULL, "one in ten");
        (100..104).for_each(|second| slow.failed(at(second * 1000)));
        assert_eq!((slow.share(), slow.strain()), (700_000, Some(Strain::Errors)));
        (0..10).for_each(|_| slow.failed(at(104_000)));
        assert_eq!(slow.share(), 700_000, "the lower pace has to show first");
        slow.failed(at(108_000));
        assert_eq!(slow.share(), 490_000);
    }

    #[test]
    fn slow_answers_lower_it_until_they_are_usual() {
        let mut slow = SlowDown::none();
        let answer = |slow: &mut SlowDown, n: u64, millis: u64| {
            slow.took(at(n * 100), Duration::from_millis(millis));
            slow.succeeded(at(n * 100));
        };
        (0..50).for_each(|n| answer(&mut slow, n, 50));
        (50..60).for_each(|n| answer(&mut slow, n, 140));
        assert_eq!(slow.share(), FULL, "nobody would notice");
        (60..70).for_each(|n| answer(&mut slow, n, 900));
        assert_eq!((slow.share(), slow.strain()), (800_000, Some(Strain::Latency)));
        (70..130).for_each(|n| answer(&mut slow, n, 900));
        let lowest = slow.share();
        assert!(lowest < 800_000, "{lowest}");
        (130..20_000).for_each(|n| answer(&mut slow, n, 900));
        assert_eq!(slow.share(), FULL, "it has become so for good");
    }

    #[test]
    fn switched_off_nothing_lowers_it() {
        let mut slow = SlowDown::none();
        slow.adapt(false);
        (0..50).for_each(|n| {
            slow.throttled(at(n * 10_000));
            slow.failed(at(n * 10_000));
            slow.took(at(n * 10_000), Duration::from_millis(n * n * 10));
        });
        assert_eq!((slow.share(), slow.strain()), (FULL, None));
    }
}
