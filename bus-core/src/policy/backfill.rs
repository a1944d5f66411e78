//! The queue of backfills: whose step is next, and what it reads. Pure.

use std::cmp::Reverse;
use std::time::Duration;

use chrono::{NaiveDateTime, TimeDelta};

use crate::vocabulary::Period;

/// The place of a backfill's next step in the queue: greater priority first, then the earlier date, then who came first.
/// So backfills of one priority go forward day by day, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(Reverse<i32>, NaiveDateTime, i64);

impl Turn {
    /// Of the backfill `id`, all of whose dates before `reached` are done.
    pub fn new(priority: i32, reached: NaiveDateTime, id: i64) -> Self {
        Self(Reverse(priority), reached, id)
    }
}

/// The next step of a period that is done up to `reached`; the last one may be shorter.
pub fn next_step(reached: NaiveDateTime, period: &Period, step: Duration) -> Period {
    let step = TimeDelta::from_std(step).unwrap_or(TimeDelta::MAX);
    let to = reached.checked_add_signed(step).unwrap_or(period.to);
    Period { from: reached, to: to.min(period.to) }
}

/// How many steps a period has.
pub fn steps(period: &Period, step: Duration) -> u64 {
    let seconds = u64::try_from((period.to - period.from).num_seconds()).unwrap_or(0);
    seconds.div_ceil(step.as_secs().max(1))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(text: &str) -> NaiveDateTime {
        Period::parse(&format!("{text}T00:00:00")).unwrap()
    }

    #[test]
    fn a_year_has_its_days_and_the_last_step_ends_with_the_period() {
        let year = Period { from: at("2025-01-01"), to: at("2026-01-01") };
        assert_eq!((steps(&year, DAY), steps(&year, DAY * 7), steps(&year, DAY * 400)), (365, 53, 1));
        let (mut reached, mut seen) = (year.from, 0);
        while reached < year.to {
            let step = next_step(reached, &year, DAY * 7);
            assert!(step.from == reached && step.to > reached && step.to <= year.to);
            (reached, seen) = (step.to, seen + 1);
        }
        assert_eq!(seen, 53);
    }

    #[test]
    fn priority_then_date_then_who_came_first() {
        let mut turns = [
            Turn::new(0, at("2026-01-01"), 1),
            Turn::new(5, at("2026-03-01"), 2),
            Turn::new(0, at("2025-12-31"), 3),
            Turn::new(5, at("2026-03-01"), 4),
            Turn::new(-1, at("2020-01-01"), 5),
        ];
        turns.sort();
        assert_eq!(turns.map(|turn| turn.2), [2, 4, 3, 1, 5]);
    }
}
