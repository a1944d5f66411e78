//! When something runs next: every so often, at a time of day or week, or by a cron expression. Read in one time zone.
//!
//! Clock changes: a time that a change skips runs at the first instant after the gap; a time that comes twice runs once, at the
//! first. A cron expression with `*` in its hour is no time of day but an interval: it goes on through a repeated hour.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, Days, LocalResult, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

use super::cron::{Cron, CronError};
use super::local;
use super::span::parse_duration;
use super::window::{DAY_NAMES, day, minute_of_day};
use crate::vocabulary::Moment;

/// A schedule that runs more often than ten times a second is a typing error.
const SHORTEST: Duration = Duration::from_millis(100);
/// How many candidates of a cron expression may fall into the past of a repeated hour: one a minute for three hours.
const CANDIDATES: usize = 200;
/// No clock change moves local time by more than a day.
const DAY_SECONDS: i64 = 24 * 3600;

/// Why a text is not a schedule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// None of the three forms.
    #[error("{0:?} is not a schedule: write \"15s\", \"03:00\", \"Sun 03:00\" or \"cron 0 3 * * 7\"")]
    Unreadable(String),
    /// Zero, or too short to be meant.
    #[error("{0:?} is too often: at most ten times a second")]
    TooOften(String),
    /// It begins with `cron`, but what follows is wrong.
    #[error(transparent)]
    Cron(#[from] CronError),
}

/// When to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    /// So long after the last run.
    Every(Duration),
    /// At a time of day, every day or on one day of the week.
    Weekly {
        /// Monday = 0; `None` is every day.
        day: Option<u8>,
        /// Minutes since midnight, 0 to 1439.
        minute: u16,
    },
    /// By a cron expression.
    Cron(Cron),
}

impl Schedule {
    /// The first time strictly after `now`, in a zone.
    pub fn next_after(&self, now: Moment, zone: Tz) -> Moment {
        let next = match self {
            Schedule::Every(interval) => return now.after(*interval),
            Schedule::Weekly { day, minute } => next_by_clock(now, zone, |local| next_weekly(local, *day, *minute)),
            Schedule::Cron(cron) if cron.is_interval() => {
                next_by_elapsed_time(now, zone, |local| cron.next_after(local))
            }
            Schedule::Cron(cron) => next_by_clock(now, zone, |local| cron.next_after(local)),
        };
        // Only the end of the calendar has no next time; then it never comes.
        next.map_or(Moment(i64::MAX), |second| Moment(second.saturating_mul(1000)))
    }
}

impl FromStr for Schedule {
    type Err = ScheduleError;

    /// `15s`, `03:00`, `Sun 03:00`, `cron 0 3 * * 7`.
    fn from_str(text: &str) -> Result<Self, ScheduleError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let unreadable = || ScheduleError::Unreadable(text.to_owned());
        match words[..] {
            ["cron", ..] => Ok(Schedule::Cron(Cron::parse(&words[1..])?)),
            [time] if time.contains(':') => {
                Ok(Schedule::Weekly { day: None, minute: minute_of_day(time).ok_or_else(unreadable)? })
            }
            [name, time] if time.contains(':') => {
                let day = day(name).map_err(|_| unreadable())? as u8;
                Ok(Schedule::Weekly { day: Some(day), minute: minute_of_day(time).ok_or_else(unreadable)? })
            }
            _ => match parse_duration(text).map_err(|_| unreadable())? {
                interval if interval < SHORTEST => Err(ScheduleError::TooOften(text.to_owned())),
                interval => Ok(Schedule::Every(interval)),
            },
        }
    }
}

/// As an operator writes it.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Every(interval) => write!(f, "{interval:?}"),
            Schedule::Weekly { day, minute } => {
                if let Some(day) = day {
                    write!(f, "{} ", DAY_NAMES[usize::from(*day) % 7])?;
                }
                write!(f, "{:02}:{:02}", minute / 60, minute % 60)
            }
            Schedule::Cron(cron) => write!(f, "cron {}", cron.as_str()),
        }
    }
}

/// The next local date with this time (and day).
fn next_weekly(after: NaiveDateTime, day: Option<u8>, minute: u16) -> Option<NaiveDateTime> {
    let time = NaiveTime::from_hms_opt(u32::from(minute / 60), u32::from(minute % 60), 0)?;
    let fits =
        |at: &NaiveDateTime| *at > after && day.is_none_or(|day| at.weekday().num_days_from_monday() == u32::from(day));
    (0..=7).filter_map(|days| Some(after.date().checked_add_days(Days::new(days))?.and_time(time))).find(fits)
}

/// The first second after `now` whose local time is `next` of an earlier one, each local time once.
fn next_by_clock(now: Moment, zone: Tz, next: impl Fn(NaiveDateTime) -> Option<NaiveDateTime>) -> Option<i64> {
    let now = now.0.div_euclid(1000);
    let mut local = naive(now + local::offset(zone, now))?;
    for _ in 0..CANDIDATES {
        local = next(local)?;
        let second = first_second(zone, local);
        if second > now {
            return Some(second);
        }
    }
    None
}

/// The same, but through a repeated hour twice and past a skipped one.
fn next_by_elapsed_time(now: Moment, zone: Tz, next: impl Fn(NaiveDateTime) -> Option<NaiveDateTime>) -> Option<i64> {
    let mut from = now.0.div_euclid(1000);
    let mut including = 0;
    for _ in 0..CANDIDATES {
        let offset = local::offset(zone, from);
        let second = next(naive(from + offset - including)?)?.and_utc().timestamp() - offset;
        match local::next_transition(zone, from, second) {
            None => return Some(second),
            Some(change) => (from, including) = (change, 1),
        }
    }
    None
}

/// The first second that has this local time; when none has, the end of the gap.
fn first_second(zone: Tz, local: NaiveDateTime) -> i64 {
    let as_utc = local.and_utc().timestamp();
    match zone.from_local_datetime(&local) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => time.timestamp(),
        LocalResult::None => local::next_transition(zone, as_utc - DAY_SECONDS, as_utc + DAY_SECONDS).unwrap_or(as_utc),
    }
}

fn naive(second: i64) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(second, 0).map(|time| time.naive_utc())
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
