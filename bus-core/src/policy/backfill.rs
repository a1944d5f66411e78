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

    /// Whose turn it is.
    pub fn backfill(&self) -> i64 {
        self.2
    }
}

/// Steps under way at the same time at most: what was read of each lies in the state store until it is sent.
pub const MOST_STEPS: usize = 4;

/// An open backfill, as far as the next step depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its place in the queue.
    pub turn: Turn,
    /// A step of it has begun and not ended.
    pub under_way: bool,
    /// That step, or its next one, could get on now: a receiver of it takes messages.
    pub may_go: bool,
}

/// Whose step begins now (L6). While a step under way gets on, nobody's; one that does not get on steps aside for the first
/// that would. Where none would, the first in the queue is made ready.
pub fn begins(all: &[Standing]) -> Option<Turn> {
    let under_way = all.iter().filter(|one| one.under_way);
    if under_way.clone().any(|one| one.may_go) || under_way.clone().count() >= MOST_STEPS {
        return None;
    }
    let waiting = all.iter().filter(|one| !one.under_way);
    let first = |may_go: bool| waiting.clone().filter(|one| one.may_go || !may_go).map(|one| one.turn).min();
    match under_way.count() {
        0 => first(true).or_else(|| first(false)),
        _ => first(true),
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

    /// Of each: its priority, whether a step is under way, and whether it may go.
    fn begins_of(all: &[(i32, bool, bool)]) -> Option<i64> {
        let standing = |(id, (priority, under_way, may_go)): (i64, &(i32, bool, bool))| Standing {
            turn: Turn::new(*priority, at("2026-01-01"), id),
            under_way: *under_way,
            may_go: *may_go,
        };
        begins(&(1..).zip(all).map(standing).collect::<Vec<_>>()).map(|turn| turn.backfill())
    }

    #[test]
    fn a_step_that_does_not_get_on_steps_aside_for_the_first_that_would() {
        assert_eq!(begins_of(&[]), None);
        assert_eq!(begins_of(&[(0, false, true), (5, false, true)]), Some(2));
        assert_eq!(begins_of(&[(5, true, true), (0, false, true)]), None, "one at a time");
        assert_eq!(begins_of(&[(5, true, false), (1, false, false), (0, false, true)]), Some(3));
        assert_eq!(begins_of(&[(5, true, false), (1, true, true), (0, false, true)]), None, "and again one at a time");
        assert_eq!(begins_of(&[(5, true, true), (1, true, true), (0, false, true)]), None, "it is back: both go on");
        assert_eq!(begins_of(&[(5, true, false), (1, false, false)]), None);
        assert_eq!(begins_of(&[(1, false, false), (5, false, false)]), Some(2), "the first one is made ready");
        let aside = [(9, true, false); MOST_STEPS];
        assert_eq!(begins_of(&[&aside[1..], &[(0, false, true)]].concat()), Some(MOST_STEPS as i64));
        assert_eq!(begins_of(&[&aside[..], &[(0, false, true)]].concat()), None, "what was read of them is enough");
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
