//! Quantities with units and times: durations, bytes, rates, days, hours, schedules.
//!
//! The types and their rules belong to the engine; here they become options.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use bus_core::policy::{Days, Hours, Rate, Schedule, parse_duration};
use serde_json::{Value, json};

use crate::{Node, OptionValue, Report};

/// Reads a text by its type's own rules; what its error says after the colon is the hint.
fn parsed<T, E: Display>(
    node: Node<'_>,
    expected: &str,
    report: &mut Report,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Option<T> {
    match parse(node.text(expected, report)?) {
        Ok(value) => Some(value),
        Err(error) => {
            let error = error.to_string();
            let (message, hint) = error.split_once(": ").unwrap_or((&error, expected));
            node.bad_value(message, hint, report);
            None
        }
    }
}

impl OptionValue for Duration {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        parsed(node, "a duration such as \"15s\"", report, parse_duration)
    }
    fn kind() -> Cow<'static, str> {
        "duration such as `\"15s\"`, `\"30m\"`, `\"2h\"`, `\"7d\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*[0-9]+\\s*(ms|s|sec|m|min|h|hour|d|day)\\s*$"})
    }
}

/// A duration from `MIN` to `MAX` seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seconds<const MIN: u64, const MAX: u64>(pub Duration);

impl<const MIN: u64, const MAX: u64> OptionValue for Seconds<MIN, MAX> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        within(MIN * 1000, MAX * 1000, node, report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        format!("duration from {} to {}", in_words(MIN * 1000), in_words(MAX * 1000)).into()
    }
    fn schema() -> Value {
        Duration::schema()
    }
}

/// A duration from `MIN` to `MAX` milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Millis<const MIN: u64, const MAX: u64>(pub Duration);

impl<const MIN: u64, const MAX: u64> OptionValue for Millis<MIN, MAX> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        within(MIN, MAX, node, report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        format!("duration from {} to {}", in_words(MIN), in_words(MAX)).into()
    }
    fn schema() -> Value {
        Duration::schema()
    }
}

fn within(min: u64, max: u64, node: Node<'_>, report: &mut Report) -> Option<Duration> {
    let duration = Duration::read(node, report)?;
    let fits = (Duration::from_millis(min)..=Duration::from_millis(max)).contains(&duration);
    if !fits {
        let hint = format!("give a duration from {} to {}", in_words(min), in_words(max));
        node.bad_value(format!("{} is out of range", node.raw()), hint, report);
    }
    fits.then_some(duration)
}

/// In the largest unit that leaves no rest.
fn in_words(millis: u64) -> String {
    let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    match units.iter().find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit)) {
        Some((name, unit)) => format!("`\"{}{name}\"`", millis / unit),
        None => format!("`\"{millis}ms\"`"),
    }
}

impl OptionValue for Rate {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        parsed(node, "a rate such as \"100/min\"", report, str::parse)
    }
    fn kind() -> Cow<'static, str> {
        "rate such as `\"100/min\"`; `\"0/min\"` is closed".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*[0-9]+\\s*/\\s*([0-9]+\\s*)?(ms|s|sec|m|min|h|hour|d|day)\\s*$"})
    }
}

impl OptionValue for Days {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        parsed(node, "days such as \"Mon-Fri\"", report, str::parse)
    }
    fn kind() -> Cow<'static, str> {
        "days such as `\"Mon-Fri\"`, `\"Sat,Sun\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*[A-Za-z]{3}(\\s*[-,]\\s*[A-Za-z]{3})*\\s*$"})
    }
}

impl OptionValue for Hours {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        parsed(node, "hours such as \"08:00-22:00\"", report, str::parse)
    }
    fn kind() -> Cow<'static, str> {
        "hours such as `\"08:00-22:00\"`; `\"22:00-06:00\"` goes over midnight".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*[0-9]{2}:[0-9]{2}\\s*-\\s*[0-9]{2}:[0-9]{2}\\s*$"})
    }
}

impl OptionValue for Schedule {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        parsed(node, "for example \"15s\", \"03:00\", \"Sun 03:00\" or \"cron 0 3 * * 7\"", report, str::parse)
    }
    fn kind() -> Cow<'static, str> {
        "schedule: `\"15s\"`, `\"03:00\"`, `\"Sun 03:00\"` or `\"cron 0 3 * * 7\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 2})
    }
}

/// An amount of data, in bytes; `1GB` is 10⁹, `1GiB` is 2³⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    fn parse(text: &str) -> Result<Self, String> {
        let unreadable = || format!("`{text}` is not an amount of data: write \"500MB\", \"2GB\" or \"1GiB\"");
        let trimmed = text.trim();
        let digits = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(unreadable)?;
        let number: u64 = trimmed[..digits].parse().map_err(|_| unreadable())?;
        let unit: u64 = match trimmed[digits..].trim().to_ascii_lowercase().as_str() {
            "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return Err(unreadable()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(unreadable)
    }
}

impl OptionValue for Bytes {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        parsed(node, "an amount of data such as \"2GB\"", report, Self::parse)
    }
    fn kind() -> Cow<'static, str> {
        "amount of data such as `\"2GB\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^\\s*[0-9]+\\s*([kKmMgGtT][iI]?)?[bB]\\s*$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_data() {
        let cases = [
            ("2GB", Some(2_000_000_000)),
            ("1 GiB", Some(1 << 30)),
            ("0b", Some(0)),
            ("2", None),
            ("2XB", None),
            ("-2GB", None),
            ("99999999TiB", None),
        ];
        for (text, bytes) in cases {
            assert_eq!(Bytes::parse(text).ok(), bytes.map(Bytes), "{text}");
        }
    }
}
