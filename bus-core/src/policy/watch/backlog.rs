//! A route that was to be empty by a time of day.

use std::fmt;
use std::str::FromStr;

use chrono_tz::Tz;

use super::Sign;
use super::days::{DAY_SECONDS, wall};
use crate::policy::WindowError;
use crate::policy::window::minute_of_day;
use crate::vocabulary::Moment;

/// `HH:MM` on the clock on the wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay(u16);

impl FromStr for TimeOfDay {
    type Err = WindowError;

    fn from_str(text: &str) -> Result<Self, WindowError> {
        minute_of_day(text.trim()).map(Self).ok_or_else(|| WindowError::Time(text.to_owned()))
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl TimeOfDay {
    /// The last time it was this time, by the clock as it goes now.
    pub fn latest(self, zone: Tz, now: Moment) -> Moment {
        let local = wall(zone, now);
        let today = local.div_euclid(DAY_SECONDS) * DAY_SECONDS + i64::from(self.0) * 60;
        let latest = if today <= local { today } else { today - DAY_SECONDS };
        Moment(now.0.div_euclid(1000) * 1000 - (local - latest) * 1000)
    }
}

/// Remembers when a route was empty last.
#[derive(Debug, Clone, Copy)]
pub struct BacklogWatch {
    /// Before that it may have been anything.
    empty: Moment,
}

impl BacklogWatch {
    /// Begins to look.
    pub fn new(now: Moment) -> Self {
        Self { empty: now }
    }

    /// One look: messages that wait, wherever they do.
    pub fn judge(&mut self, by: TimeOfDay, zone: Tz, backlog: u64, now: Moment) -> Sign {
        if backlog == 0 {
            self.empty = now;
            return Sign::Good;
        }
        if self.empty >= by.latest(zone, now) {
            return Sign::Unknown;
        }
        Sign::Bad(format!("{backlog} messages wait; it was to be empty by {by}"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Moment {
        Moment(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    #[test]
    fn what_is_not_empty_in_time_is_told_until_it_is() {
        let (six, zone) = ("06:00".parse::<TimeOfDay>().unwrap(), chrono_tz::Europe::Moscow);
        let mut watch = BacklogWatch::new(at("2026-11-22T20:00:00Z"));
        let mut judge = |backlog, now: &str| watch.judge(six, zone, backlog, at(now));
        assert_eq!(judge(0, "2026-11-22T23:00:00Z"), Sign::Good);
        assert_eq!(judge(9, "2026-11-23T02:59:59Z"), Sign::Unknown, "05:59");
        assert_eq!(judge(7, "2026-11-23T03:00:00Z"), Sign::Bad("7 messages wait; it was to be empty by 06:00".into()));
        assert_eq!(judge(0, "2026-11-23T04:00:00Z"), Sign::Good);
        assert_eq!(judge(5, "2026-11-23T04:01:00Z"), Sign::Unknown, "new ones have until tomorrow");
        assert!(matches!(judge(5, "2026-11-24T03:00:00Z"), Sign::Bad(_)));
    }

    #[test]
    fn a_start_after_the_time_blames_nobody() {
        let mut watch = BacklogWatch::new(at("2026-11-23T04:00:00Z"));
        let six = "06:00".parse::<TimeOfDay>().unwrap();
        assert_eq!(watch.judge(six, chrono_tz::Europe::Moscow, 5, at("2026-11-23T05:00:00Z")), Sign::Unknown);
        assert!("6:00".parse::<TimeOfDay>().is_err() && "24:00".parse::<TimeOfDay>().is_err());
        assert_eq!(six.to_string(), "06:00");
    }
}
