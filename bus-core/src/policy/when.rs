//! A moment as people type it: `2h` (ago), `2026-11-22`, `2026-11-22 20:00`, or RFC 3339. Pure.

use chrono::{Days, LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use super::span::parse_duration;
use crate::vocabulary::{Moment, Period};

/// Reads a moment; a date or time without a zone is of `zone`. The error says what may be written.
pub fn parse_moment(text: &str, zone: Tz, now: Moment) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(span) = parse_duration(text) {
        return Ok(Moment(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))));
    }
    if let Some(moment) = Moment::parse(text) {
        return Ok(moment);
    }
    let unreadable =
        || format!("{text:?} is not a moment: write \"2h\" (ago), \"2026-11-22\", \"2026-11-22 20:00\" or RFC 3339");
    match zone.from_local_datetime(&on_the_clock(text).ok_or_else(unreadable)?.0) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Ok(Moment(time.timestamp_millis())),
        LocalResult::None => Err(format!("{text:?} does not exist in {zone}: clocks went forward then")),
    }
}

/// The dates from `from` to `to`, as people type them (`2026-11-22`, `2026-11-22 20:00`): a day as an end is meant whole.
pub fn parse_period(from: &str, to: &str) -> Result<Period, String> {
    let read = |text: &str| {
        let unreadable = || format!("{text:?} is not a date: write \"2026-11-22\" or \"2026-11-22 20:00\"");
        on_the_clock(text.trim()).ok_or_else(unreadable)
    };
    let ((from, _), (end, whole_day)) = (read(from)?, read(to)?);
    let to = if whole_day { end.checked_add_days(Days::new(1)).unwrap_or(end) } else { end };
    if from >= to {
        return Err("the period ends before it begins".to_owned());
    }
    Ok(Period { from, to })
}

/// A date, with its time or as a whole day.
fn on_the_clock(text: &str) -> Option<(NaiveDateTime, bool)> {
    let times = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"];
    let time = times.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0));
    time.map(|time| (time, false)).or_else(|| day().map(|day| (day, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_as_people_type_them() {
        let now = Moment(1_763_800_000_000);
        let zone = chrono_tz::Europe::Moscow;
        for (text, expected) in [
            ("2h", "2025-11-22T06:26:40.000Z"),
            ("2025-11-22", "2025-11-21T21:00:00.000Z"),
            ("2025-11-22 20:00", "2025-11-22T17:00:00.000Z"),
            ("2025-11-22T20:00:05+00:00", "2025-11-22T20:00:05.000Z"),
        ] {
            assert_eq!(parse_moment(text, zone, now).map(|at| at.to_string()), Ok(expected.to_owned()));
        }
        assert!(parse_moment("yesterday", zone, now).is_err());
        assert!(parse_moment("2025-03-30 02:30", chrono_tz::Europe::Berlin, now).is_err());
    }

    #[test]
    fn a_period_ends_with_the_whole_of_its_last_day() {
        for (from, to, expected) in [
            ("2026-01-01", "2026-01-31", Ok("2026-01-01T00:00:00 to 2026-02-01T00:00:00")),
            ("2026-01-01 06:00", "2026-01-01 18:30", Ok("2026-01-01T06:00:00 to 2026-01-01T18:30:00")),
            ("2026-01-02", "2026-01-01", Err("the period ends before it begins")),
            ("2h", "2026-01-01", Err("\"2h\" is not a date: write \"2026-11-22\" or \"2026-11-22 20:00\"")),
        ] {
            let period = parse_period(from, to).map(|period| period.to_string());
            assert_eq!(period.as_deref().map_err(String::as_str), expected);
        }
    }
}
