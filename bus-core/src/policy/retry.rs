//! How long to wait before an attempt is repeated, and how many attempts there are.

use std::time::Duration;

/// How much of a backoff is left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Jitter {
    /// Half of the backoff is certain: a later wait is never shorter than an earlier one.
    #[default]
    Equal,
    /// Anything from zero to the whole backoff: spreads a crowd best.
    Full,
}

/// The budget of one message: attempts that count, and the waits between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How many counted attempts a message has, the first included; 0 is read as 1.
    pub attempts: u32,
    /// The wait after the first attempt, before jitter; it doubles from there.
    pub first: Duration,
    /// No wait is longer.
    pub max: Duration,
    /// How much of it is random.
    pub jitter: Jitter,
}

impl Default for RetryPolicy {
    /// Eight attempts over about two minutes: longer than a lock in 1C, shorter than a person's patience.
    fn default() -> Self {
        Self { attempts: 8, first: Duration::from_secs(1), max: Duration::from_secs(300), jitter: Jitter::Equal }
    }
}

impl RetryPolicy {
    /// The wait after attempt `attempt` (from 1; 0 is read as 1), with `jitter` in 0..1. Never above [`max`](Self::max).
    pub fn backoff(&self, attempt: u32, jitter: f64) -> Duration {
        let whole = exponential(self.first, self.max, attempt);
        let jitter = unit(jitter);
        match self.jitter {
            Jitter::Equal => whole / 2 + fraction(whole / 2, jitter),
            Jitter::Full => fraction(whole, jitter),
        }
    }

    /// Whether attempt `attempt` (from 1) was the last of the budget.
    pub fn is_spent(&self, attempt: u32) -> bool {
        attempt >= self.attempts.max(1)
    }
}

/// `first` · 2^(attempt - 1), at most `max`.
pub(super) fn exponential(first: Duration, max: Duration, attempt: u32) -> Duration {
    let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(max)
}

/// `share` (0..=1) of a duration; floating-point rounding may not lift it above the whole.
fn fraction(whole: Duration, share: f64) -> Duration {
    Duration::try_from_secs_f64(whole.as_secs_f64() * share).unwrap_or(whole).min(whole)
}

/// A jitter out of its range is a caller's mistake that must not become a panic or a hot loop: it reads as 1.
fn unit(jitter: f64) -> f64 {
    if (0.0..=1.0).contains(&jitter) { jitter } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(jitter: Jitter) -> RetryPolicy {
        RetryPolicy { attempts: 5, first: SECOND, max: 10 * SECOND, jitter }
    }

    #[test]
    fn the_wait_doubles_up_to_its_bound() {
        let waits: Vec<u64> = (0..7).map(|n| policy(Jitter::Full).backoff(n, 1.0).as_secs()).collect();
        assert_eq!(waits, [1, 1, 2, 4, 8, 10, 10]);
        assert_eq!(policy(Jitter::Equal).backoff(3, 0.0), 2 * SECOND);
        assert_eq!(policy(Jitter::Full).backoff(3, 0.25), SECOND);
    }

    #[test]
    fn a_budget_has_at_least_one_attempt() {
        assert!(!policy(Jitter::Equal).is_spent(4));
        assert!(policy(Jitter::Equal).is_spent(5));
        assert!(RetryPolicy { attempts: 0, ..policy(Jitter::Equal) }.is_spent(1));
    }

    proptest! {
        #[test]
        fn no_input_overflows_or_passes_the_bound(
            attempt: u32, jitter: f64, first_ms in 0_u64.., max_ms in 0_u64.., full: bool,
        ) {
            let kind = if full { Jitter::Full } else { Jitter::Equal };
            let (first, max) = (Duration::from_millis(first_ms), Duration::from_millis(max_ms));
            let policy = RetryPolicy { attempts: 3, first, max, jitter: kind };
            prop_assert!(policy.backoff(attempt, jitter) <= max);
        }

        #[test]
        fn with_equal_jitter_a_later_wait_is_never_shorter(attempt in 1_u32..40, low in 0.0..=1.0, high in 0.0..=1.0) {
            let policy = RetryPolicy { max: 100_000 * SECOND, ..policy(Jitter::Equal) };
            let (now, next) = (policy.backoff(attempt, low), policy.backoff(attempt + 1, high));
            prop_assert!(next >= now || next >= policy.max / 2);
        }
    }
}
