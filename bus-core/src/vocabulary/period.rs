//! A span of dates.

use std::fmt;

use chrono::{Duration, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

use super::Moment;

/// A span of dates as clocks show them; its end is not part of it. Written and stored as `2026-01-01T00:00:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// The first second of it.
    pub from: NaiveDateTime,
    /// The first second after it.
    pub to: NaiveDateTime,
}

impl Period {
    /// Its bounds as moments of a zone. A time that clocks skip in spring is the one an hour later, and of one that they
    /// show twice in autumn it is the first: so periods that touch on the clock touch in time, too.
    pub fn moments(&self, zone: Tz) -> (Moment, Moment) {
        (moment(self.from, zone), moment(self.to, zone))
    }

    /// Reads one bound.
    pub fn parse(text: &str) -> Option<NaiveDateTime> {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S").ok()
    }

    /// Writes one bound.
    pub fn write(bound: NaiveDateTime) -> String {
        bound.format("%Y-%m-%dT%H:%M:%S").to_string()
    }
}

/// `2026-01-01T00:00:00 to 2026-01-02T00:00:00`
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", Self::write(self.from), Self::write(self.to))
    }
}

fn moment(bound: NaiveDateTime, zone: Tz) -> Moment {
    let local = |bound: NaiveDateTime| zone.from_local_datetime(&bound).earliest();
    let time = local(bound).or_else(|| local(bound + Duration::hours(1)));
    // No zone skips more than an hour but by moving over the date line, where the bound itself is as good as any.
    Moment(time.map_or_else(|| bound.and_utc().timestamp_millis(), |time| time.timestamp_millis()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn bounds_are_moments_also_where_clocks_jump() {
        for (bound, zone, expected) in [
            ("2026-01-01T00:00:00", chrono_tz::Europe::Moscow, "2025-12-31T21:00:00.000Z"),
            ("2026-03-29T02:30:00", chrono_tz::Europe::Berlin, "2026-03-29T01:30:00.000Z"),
            ("2026-10-25T02:30:00", chrono_tz::Europe::Berlin, "2026-10-25T00:30:00.000Z"),
        ] {
            let from = Period::parse(bound).unwrap();
            assert_eq!(Period { from, to: from }.moments(zone).0.to_string(), expected, "{bound}");
        }
    }
}
