//! Times as the clock on the wall shows them.

use bus_core::vocabulary::Moment;
use chrono::DateTime;
use chrono_tz::Tz;

/// To the minute, in the zone of the configuration.
pub fn local(moment: Moment, zone: Tz) -> String {
    match DateTime::from_timestamp_millis(moment.0) {
        Some(time) => time.with_timezone(&zone).format("%Y-%m-%d %H:%M").to_string(),
        None => moment.to_string(),
    }
}

/// Every moment in the text, as the bus writes them for machines (RFC 3339 in UTC), to the second in the zone of the
/// configuration. The rest of the text stays.
pub fn localised(text: &str, zone: Tz) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let alone = before.is_none_or(|c: char| !c.is_alphanumeric());
        let found = if alone && first.is_ascii_digit() { moment(rest) } else { None };
        let (said, length) = match found {
            Some((time, length)) => (time.with_timezone(&zone).format("%Y-%m-%d %H:%M:%S").to_string(), length),
            None => (first.to_string(), first.len_utf8()),
        };
        out.push_str(&said);
        before = rest[..length].chars().next_back();
        rest = &rest[length..];
    }
    out
}

/// The moment that the text begins with, and its length.
fn moment(text: &str) -> Option<(DateTime<chrono::Utc>, usize)> {
    // `2026-11-22T20:00:00.000Z`: nothing longer is looked at.
    let end = text.bytes().take(31).position(|byte| byte == b'Z')? + 1;
    let time = DateTime::parse_from_rfc3339(text.get(..end)?).ok()?;
    Some((time.to_utc(), end))
}

#[cfg(test)]
mod tests {
    use super::localised;

    #[test]
    fn every_moment_in_a_sentence_is_local_and_nothing_else_is_touched() {
        let local = |text| localised(text, chrono_tz::Europe::Moscow);
        for (text, expected) in [
            (
                "by anna@erp1 since 2026-11-22T22:30:00.500Z: инвентаризация (2026-11-22T20:00:00Z)",
                "by anna@erp1 since 2026-11-23 01:30:00: инвентаризация (2026-11-22 23:00:00)",
            ),
            ("closed until 2026-11-22T22:30:00.500Z now", "closed until 2026-11-23 01:30:00 now"),
            ("x2026-11-22T22:30:00.500Z", "x2026-11-22T22:30:00.500Z"),
            (
                "2026-11-22 14:00, 12 Z, 2026-99-22T22:30:00Z, Жуков 7Ж",
                "2026-11-22 14:00, 12 Z, 2026-99-22T22:30:00Z, Жуков 7Ж",
            ),
            ("2026-11-22T22:30:00.500+03:00", "2026-11-22T22:30:00.500+03:00"),
            ("", ""),
        ] {
            assert_eq!(local(text), expected);
        }
    }
}
