//! A moment as people type it: `2h` (ago), `2026-11-22`, `2026-11-22 20:00`, or RFC 3339. Pure.

use chrono::{LocalResult, NaiveDate, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use super::span::parse_duration;
use crate::vocabulary::Moment;

/// Reads a moment; a date or time without a zone is of `zone`. The error says what may be written.
pub fn parse_moment(text: &str, zone: Tz, now: Moment) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(span) = parse_duration(text) {
        return Ok(Moment(now.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))));
    }
    if let Some(moment) = Moment::parse(text) {
        return Ok(moment);
    }
    let naive = ["%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
        .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|day| day.and_hms_opt(0, 0, 0)));
    let unreadable =
        || format!("{text:?} is not a moment: write \"2h\" (ago), \"2026-11-22\", \"2026-11-22 20:00\" or RFC 3339");
    match zone.from_local_datetime(&naive.ok_or_else(unreadable)?) {
        LocalResult::Single(time) | LocalResult::Ambiguous(time, _) => Ok(Moment(time.timestamp_millis())),
        LocalResult::None => Err(format!("{text:?} does not exist in {zone}: clocks went forward then")),
    }
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
}
