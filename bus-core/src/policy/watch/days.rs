//! Local days of a zone, for hours that an operator names.

use chrono_tz::Tz;

use crate::policy::local;
use crate::vocabulary::Moment;

pub(super) const DAY_SECONDS: i64 = 86_400;

/// Seconds of local time since 1970-01-01T00:00 on the clock on the wall.
pub(super) fn wall(zone: Tz, at: Moment) -> i64 {
    let utc = at.0.div_euclid(1000);
    utc + local::offset(zone, utc)
}

/// Monday = 0; 1970-01-01 was a Thursday.
pub(super) fn weekday(day: i64) -> usize {
    usize::try_from((day + 3).rem_euclid(7)).unwrap_or(0)
}

/// Minutes and hours as people write them.
pub(super) fn words(duration: std::time::Duration) -> String {
    match duration.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 2 * 3600 => format!("{} min", seconds / 60),
        seconds if seconds < 2 * 86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
