//! A source that says nothing in hours when it never is silent.

use std::time::Duration;

use chrono_tz::Tz;

use super::Sign;
use super::days::{DAY_SECONDS, wall, weekday, words};
use crate::policy::{Days, Hours};
use crate::vocabulary::Moment;

/// Hours of the week in a zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calendar {
    /// The days they begin on.
    pub days: Days,
    /// The hours.
    pub hours: Hours,
    /// Where.
    pub zone: Tz,
}

impl Calendar {
    /// How long the hours have lasted by now, over neighbouring days if they touch; `None` outside of them.
    pub fn open_for(&self, now: Moment) -> Option<Duration> {
        let local = wall(self.zone, now);
        let mut opened = self.opening(local)?;
        // At most a week: hours that never end are open for a week, which is as good as for ever.
        for _ in 0..7 {
            match self.opening(opened - 1) {
                Some(earlier) if earlier < opened => opened = earlier,
                _ => break,
            }
        }
        Some(Duration::from_secs((local - opened).unsigned_abs()))
    }

    /// When the hours that hold at a local time began.
    fn opening(&self, local: i64) -> Option<i64> {
        let today = local.div_euclid(DAY_SECONDS);
        [today, today - 1].into_iter().find_map(|day| {
            let begins = day * DAY_SECONDS + i64::from(self.hours.from_minute()) * 60;
            let ends = begins + i64::from(self.hours.minutes()) * 60;
            (self.days.0[weekday(day)] && (begins..ends).contains(&local)).then_some(begins)
        })
    }
}

/// What an operator expects of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expectation {
    /// A change comes at least so often,
    pub within: Duration,
    /// in these hours.
    pub calendar: Calendar,
}

impl Expectation {
    /// `last`: the last change, if any came since `watched`, when we began to look.
    pub fn judge(&self, last: Option<Moment>, watched: Moment, now: Moment) -> Sign {
        if last.is_some_and(|last| last.until(now) <= self.within) {
            return Sign::Good;
        }
        let Some(open) = self.calendar.open_for(now) else { return Sign::Unknown };
        let quiet = last.unwrap_or(watched).until(now);
        if quiet.min(open) <= self.within {
            return Sign::Unknown;
        }
        let since = last.unwrap_or(watched);
        let what = if last.is_some() { "no change has come since" } else { "no change has come, at least since" };
        Sign::Bad(format!("{what} {since}; one is expected every {}", words(self.within)))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn at(text: &str) -> Moment {
        Moment(chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    fn office(within: u64) -> Expectation {
        let calendar = Calendar {
            days: "Mon-Fri".parse().unwrap(),
            hours: "08:00-22:00".parse().unwrap(),
            zone: chrono_tz::Europe::Moscow,
        };
        Expectation { within: Duration::from_secs(within * 60), calendar }
    }

    #[test]
    fn silence_counts_only_in_the_hours_that_were_named() {
        let expected = office(15);
        // 2026-11-20 was a Friday; Moscow is three hours ahead.
        let evening = Some(at("2026-11-20T18:50:00Z"));
        let watched = at("2026-11-01T00:00:00Z");
        let judge = |now: &str| expected.judge(evening, watched, at(now));
        assert_eq!(judge("2026-11-20T18:59:00Z"), Sign::Good);
        assert_eq!(judge("2026-11-20T19:30:00Z"), Sign::Unknown, "22:30: closed");
        assert_eq!(judge("2026-11-21T10:00:00Z"), Sign::Unknown, "Saturday");
        assert_eq!(judge("2026-11-23T05:10:00Z"), Sign::Unknown, "Monday 08:10: ten minutes of silence");
        let Sign::Bad(words) = judge("2026-11-23T05:16:00Z") else { panic!("Monday 08:16") };
        assert!(
            words.contains("2026-11-20T18:50:00.000Z") && words.contains("900 s") | words.contains("15 min"),
            "{words}"
        );
    }

    #[test]
    fn what_was_never_heard_counts_from_when_we_began_to_listen() {
        let expected = office(15);
        let watched = at("2026-11-23T09:00:00Z");
        assert_eq!(expected.judge(None, watched, at("2026-11-23T09:15:00Z")), Sign::Unknown);
        assert!(matches!(expected.judge(None, watched, at("2026-11-23T09:15:01Z")), Sign::Bad(_)));
    }

    #[test]
    fn hours_that_touch_are_one_and_over_midnight_belong_to_the_evening() {
        let calendar = |days: &str, hours: &str| Calendar {
            days: days.parse().unwrap(),
            hours: hours.parse().unwrap(),
            zone: chrono_tz::UTC,
        };
        let open = |c: Calendar, now: &str| c.open_for(at(now)).map(|d| d.as_secs() / 3600);
        assert_eq!(open(calendar("Mon-Sun", "00:00-24:00"), "2026-11-23T00:30:00Z"), Some(7 * 24));
        assert_eq!(open(calendar("Mon-Tue", "00:00-24:00"), "2026-11-24T05:00:00Z"), Some(29));
        assert_eq!(open(calendar("Fri", "22:00-06:00"), "2026-11-21T05:00:00Z"), Some(7));
        assert_eq!(open(calendar("Fri", "22:00-06:00"), "2026-11-20T05:00:00Z"), None);
    }
}
