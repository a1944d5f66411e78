//! Times as the clock on the wall shows them.

use bus_core::vocabulary::Moment;
use chrono_tz::Tz;

/// To the minute, in the zone of the configuration.
pub fn local(moment: Moment, zone: Tz) -> String {
    match chrono::DateTime::from_timestamp_millis(moment.0) {
        Some(time) => time.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        None => moment.to_string(),
    }
}
