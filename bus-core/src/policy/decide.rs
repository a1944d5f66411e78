//! The one table that turns the outcome of an attempt into what happens next. Total and pure.

use std::time::Duration;

use super::retry::RetryPolicy;
use crate::vocabulary::{DeliveryError, Fault, Receipt};

/// The wait when a system asked for less and named no time; an order of magnitude above any request interval worth pacing.
const DEFAULT_SLOW_DOWN: Duration = Duration::from_secs(1);
/// No `Retry-After` is believed beyond a day (daily quotas exist; a typo in a header must not stop a system for a year).
const MAX_SLOW_DOWN: Duration = Duration::from_secs(24 * 3600);

/// Whether a target may see the same message twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Idempotency {
    /// It may: it overwrites, or knows the idempotency key.
    Idempotent,
    /// It must not: every send is preceded by a durable attempt mark.
    NonIdempotent,
}

/// Which attempt an outcome belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Counted attempts of this message so far, this one included: from 1. Waits for the system or the pace do not count.
    pub number: u32,
    /// A durable attempt mark of an *earlier* send was found, whose end nobody knows (protocol D7).
    pub redelivered_with_mark: bool,
}

/// What the worker does with the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Done: record it in `delivered`, then ack.
    Delivered(Receipt),
    /// The system as a whole waits (its breaker says how long); order holds, no attempt is counted.
    RetrySystem,
    /// The system as a whole waits this long and is paced lower; no attempt is counted.
    SlowDown {
        /// What it asked for, at most a day; one second when it named no time.
        retry_after: Duration,
    },
    /// This key waits this long; others flow; an attempt is counted.
    RetryKey {
        /// From now.
        after: Duration,
    },
    /// It may have been applied, and may be applied again; this key waits this long, an attempt is counted.
    Repeat {
        /// From now.
        after: Duration,
    },
    /// Never again by itself: dead letter, with what was sent and answered.
    DeadLetter,
    /// No message of this route would be accepted: pause it and open an incident; the message stays.
    PauseRoute,
}

/// Decides what follows from one attempt. `jitter` is in 0..1.
///
/// A caller that finds an attempt mark of a non-idempotent target before sending must not send, but pass
/// [`Fault::Ambiguous`] here: see [`may_send`].
pub fn decide(
    policy: &RetryPolicy,
    idempotency: Idempotency,
    attempt: Attempt,
    outcome: &Result<Receipt, DeliveryError>,
    jitter: f64,
) -> Disposition {
    let fault = match outcome {
        Ok(receipt) => return Disposition::Delivered(receipt.clone()),
        Err(error) => error.fault,
    };
    // Whatever this attempt met, the earlier one may have been applied: only a person can say whether to repeat it.
    // A misconfiguration stops the route first; the mark stays and is met again after the resume.
    if !may_send(idempotency, attempt.redelivered_with_mark) && fault != Fault::Misconfigured {
        return Disposition::DeadLetter;
    }
    let spent = policy.is_spent(attempt.number);
    let after = policy.backoff(attempt.number, jitter);
    match (fault, idempotency) {
        (Fault::Unavailable, _) => Disposition::RetrySystem,
        (Fault::Throttled { retry_after }, _) => {
            Disposition::SlowDown { retry_after: retry_after.unwrap_or(DEFAULT_SLOW_DOWN).min(MAX_SLOW_DOWN) }
        }
        (Fault::Busy, _) if !spent => Disposition::RetryKey { after },
        (Fault::Ambiguous, Idempotency::Idempotent) if !spent => Disposition::Repeat { after },
        (Fault::Busy | Fault::Ambiguous | Fault::Rejected, _) => Disposition::DeadLetter,
        (Fault::Misconfigured, _) => Disposition::PauseRoute,
    }
}

/// Whether a message may be sent at all: a non-idempotent target must not be sent what a mark says was sent before.
pub fn may_send(idempotency: Idempotency, redelivered_with_mark: bool) -> bool {
    !(idempotency == Idempotency::NonIdempotent && redelivered_with_mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Disposition::{DeadLetter, PauseRoute, Repeat, RetryKey, RetrySystem, SlowDown};
    use Fault::{Ambiguous, Busy, Misconfigured, Rejected, Throttled, Unavailable};

    const S: fn(u64) -> Duration = Duration::from_secs;
    const POLICY: RetryPolicy =
        RetryPolicy { attempts: 3, first: S1, max: Duration::from_secs(60), jitter: super::super::retry::Jitter::Full };
    const S1: Duration = Duration::from_secs(1);

    fn run(idempotency: Idempotency, number: u32, mark: bool, fault: Fault) -> Disposition {
        let attempt = Attempt { number, redelivered_with_mark: mark };
        decide(&POLICY, idempotency, attempt, &Err(DeliveryError::new(fault, "x")), 1.0)
    }

    #[test]
    fn success_is_delivered_whatever_came_before() {
        let receipt = Receipt { receiver_id: Some("Ид-7".into()), ..Receipt::default() };
        for idempotency in [Idempotency::Idempotent, Idempotency::NonIdempotent] {
            for (number, redelivered_with_mark) in [(1, false), (3, true), (u32::MAX, false)] {
                let attempt = Attempt { number, redelivered_with_mark };
                let outcome = decide(&POLICY, idempotency, attempt, &Ok(receipt.clone()), 0.5);
                assert_eq!(outcome, Disposition::Delivered(receipt.clone()));
            }
        }
    }

    /// The full table: fault × (idempotent: first, last attempt) × (non-idempotent: first, last, marked).
    #[test]
    fn the_table_row_by_row() {
        let throttled = |after| Throttled { retry_after: after };
        let slow = |seconds| SlowDown { retry_after: S(seconds) };
        let key = RetryKey { after: S1 };
        let rows = [
            // fault, idempotent #1, idempotent #3, non-idempotent #1, non-idempotent #3, non-idempotent with mark
            (Unavailable, RetrySystem, RetrySystem, RetrySystem, RetrySystem, DeadLetter),
            (throttled(None), slow(1), slow(1), slow(1), slow(1), DeadLetter),
            (throttled(Some(S(30))), slow(30), slow(30), slow(30), slow(30), DeadLetter),
            (throttled(Some(S(9_999_999))), slow(86_400), slow(86_400), slow(86_400), slow(86_400), DeadLetter),
            (Busy, key.clone(), DeadLetter, key, DeadLetter, DeadLetter),
            (Ambiguous, Repeat { after: S1 }, DeadLetter, DeadLetter, DeadLetter, DeadLetter),
            (Rejected, DeadLetter, DeadLetter, DeadLetter, DeadLetter, DeadLetter),
            (Misconfigured, PauseRoute, PauseRoute, PauseRoute, PauseRoute, PauseRoute),
        ];
        for (fault, first, last, non_first, non_last, marked) in rows {
            use Idempotency::{Idempotent, NonIdempotent};
            assert_eq!(run(Idempotent, 1, false, fault), first, "{fault:?}, idempotent, first attempt");
            assert_eq!(run(Idempotent, 3, false, fault), last, "{fault:?}, idempotent, last attempt");
            assert_eq!(
                run(Idempotent, 1, true, fault),
                first,
                "{fault:?}: a mark means nothing to an idempotent target"
            );
            assert_eq!(
                run(Idempotent, 3, true, fault),
                last,
                "{fault:?}: a mark means nothing to an idempotent target"
            );
            assert_eq!(run(NonIdempotent, 1, false, fault), non_first, "{fault:?}, non-idempotent, first attempt");
            assert_eq!(run(NonIdempotent, 3, false, fault), non_last, "{fault:?}, non-idempotent, last attempt");
            assert_eq!(run(NonIdempotent, 1, true, fault), marked, "{fault:?}, non-idempotent, marked");
            assert_eq!(run(NonIdempotent, 3, true, fault), marked, "{fault:?}, non-idempotent, marked, last attempt");
        }
    }

    #[test]
    fn the_wait_of_a_key_grows_with_its_attempts() {
        assert_eq!(run(Idempotency::Idempotent, 2, false, Busy), RetryKey { after: S(2) });
        assert_eq!(run(Idempotency::Idempotent, 2, false, Ambiguous), Repeat { after: S(2) });
    }
}
