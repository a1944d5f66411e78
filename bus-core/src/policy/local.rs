//! Local time of a zone, and when its offset changes. Everything is asked by UTC instant, which is never ambiguous.

use chrono::{DateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// Zones change at most a few times a year, and never twice within six hours.
const STEP: i64 = 6 * 3600;

/// Seconds that local time is ahead of UTC at a UTC instant (seconds since 1970).
pub(super) fn offset(zone: Tz, utc: i64) -> i64 {
    // Outside of chrono's range (a quarter of a million years) every zone is read as UTC.
    let time = DateTime::from_timestamp(utc, 0).unwrap_or_default().naive_utc();
    i64::from(zone.offset_from_utc_datetime(&time).fix().local_minus_utc())
}

/// The first second in `(from, until]` at which the offset is another than at `from`.
pub(super) fn next_transition(zone: Tz, from: i64, until: i64) -> Option<i64> {
    let before = offset(zone, from);
    let mut same = from;
    while same < until {
        let probe = same.saturating_add(STEP).min(until);
        if offset(zone, probe) != before {
            return Some(first_other(zone, before, same, probe));
        }
        same = probe;
    }
    None
}

/// Halves `(same, other]` down to the second at which the offset stops being `before`.
fn first_other(zone: Tz, before: i64, mut same: i64, mut other: i64) -> i64 {
    while other - same > 1 {
        let middle = same + (other - same) / 2;
        if offset(zone, middle) == before {
            same = middle;
        } else {
            other = middle;
        }
    }
    other
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn utc(text: &str) -> i64 {
        DateTime::parse_from_rfc3339(text).unwrap().timestamp()
    }

    #[test]
    fn transitions_are_found_to_the_second() {
        for (zone, from, expected) in [
            (chrono_tz::Europe::Berlin, "2026-01-01T00:00:00Z", Some("2026-03-29T01:00:00Z")),
            (chrono_tz::Europe::Berlin, "2026-03-29T01:00:00Z", Some("2026-10-25T01:00:00Z")),
            (chrono_tz::America::New_York, "2026-10-31T00:00:00Z", Some("2026-11-01T06:00:00Z")),
            (chrono_tz::Europe::Moscow, "2026-01-01T00:00:00Z", None),
        ] {
            assert_eq!(next_transition(zone, utc(from), utc("2027-01-01T00:00:00Z")), expected.map(utc), "{zone}");
        }
    }

    #[test]
    fn a_transition_at_the_end_of_the_search_is_found_and_one_after_it_is_not() {
        let at = utc("2026-03-29T01:00:00Z");
        assert_eq!(next_transition(chrono_tz::Europe::Berlin, at - 7200, at), Some(at));
        assert_eq!(next_transition(chrono_tz::Europe::Berlin, at - 7200, at - 1), None);
    }
}
