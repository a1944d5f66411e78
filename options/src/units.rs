//! Quantities with units: durations, bytes, rates.

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Value, json};

use crate::{Node, OptionValue, Report};

/// Longer than anything the bus waits for or keeps; keeps sums of durations far from overflow.
const LONGEST: Duration = Duration::from_secs(10 * 366 * 86_400);

/// Splits `"15s"` into 15 and `s`. Digits only: no sign, no fraction.
fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..digits].parse().ok()?, text[digits..].trim()))
}

/// Reads `"500ms"`, `"15s"`, `"30m"`, `"2h"`, `"7d"`, `"2w"`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = number_and_unit(text.trim())?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "w" => 7 * 86_400_000,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis).filter(|duration| *duration <= LONGEST)
}

impl OptionValue for Duration {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a duration such as \"15s\"", report)?;
        let read = duration(text);
        if read.is_none() {
            let hint = "a whole number and a unit: \"500ms\", \"15s\", \"30m\", \"2h\", \"7d\"; at most ten years";
            node.bad_value(format!("`{text}` is not a duration"), hint, report);
        }
        read
    }
    fn kind() -> Cow<'static, str> {
        "duration such as `\"15s\"`, `\"30m\"`, `\"2h\"`, `\"7d\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9]+\\s*(ms|s|m|min|h|d|w)$"})
    }
}

/// An amount of data, in bytes; `1GB` is 10⁹, `1GiB` is 2³⁰.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = number_and_unit(text.trim())?;
        let unit: u64 = match unit.to_ascii_lowercase().as_str() {
            "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "kib" => 1 << 10,
            "mib" => 1 << 20,
            "gib" => 1 << 30,
            "tib" => 1 << 40,
            _ => return None,
        };
        number.checked_mul(unit).map(Self)
    }
}

impl OptionValue for Bytes {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("an amount of data such as \"2GB\"", report)?;
        let read = Self::parse(text);
        if read.is_none() {
            let hint = "a whole number and a unit: \"500MB\", \"2GB\", \"1GiB\"";
            node.bad_value(format!("`{text}` is not an amount of data"), hint, report);
        }
        read
    }
    fn kind() -> Cow<'static, str> {
        "amount of data such as `\"2GB\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9]+\\s*([kKmMgGtT][iI]?)?[bB]$"})
    }
}

/// So many per so long: `"100/min"`. Zero means: closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In how long: a second, a minute, an hour or a day.
    pub per: Duration,
}

impl Rate {
    /// Reads `"10/s"`, `"100/min"`, `"250/h"`, `"5000/d"`.
    pub fn parse(text: &str) -> Option<Self> {
        let (count, unit) = text.split_once('/')?;
        let seconds = match unit.trim() {
            "s" | "sec" => 1,
            "m" | "min" => 60,
            "h" | "hour" => 3_600,
            "d" | "day" => 86_400,
            _ => return None,
        };
        let count = count.trim();
        let digits = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
        Some(Self { count: count.parse().ok().filter(|_| digits)?, per: Duration::from_secs(seconds) })
    }
}

impl OptionValue for Rate {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a rate such as \"100/min\"", report)?;
        let read = Self::parse(text);
        if read.is_none() {
            let hint = "a whole number per unit: \"10/s\", \"100/min\", \"250/h\", \"5000/d\"";
            node.bad_value(format!("`{text}` is not a rate"), hint, report);
        }
        read
    }
    fn kind() -> Cow<'static, str> {
        "rate such as `\"100/min\"`; `\"0/min\"` is closed".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^[0-9]+\\s*/\\s*(s|sec|m|min|h|hour|d|day)$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let cases = [
            ("15s", Some(15_000)),
            ("30m", Some(1_800_000)),
            ("7d", Some(604_800_000)),
            ("250 ms", Some(250)),
            ("15", None),
            ("-1s", None),
            ("1.5h", None),
            ("s", None),
            ("99999999999999999999s", None),
            ("20000d", None),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(duration(text), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn amounts_of_data() {
        let cases = [("2GB", Some(2_000_000_000)), ("1GiB", Some(1 << 30)), ("2", None), ("2XB", None)];
        for (text, bytes) in cases {
            assert_eq!(Bytes::parse(text), bytes.map(Bytes), "{text}");
        }
    }

    #[test]
    fn rates() {
        let cases = [("100/min", Some((100, 60))), ("0/min", Some((0, 60))), ("250/h", Some((250, 3600)))];
        for (text, rate) in cases {
            assert_eq!(Rate::parse(text), rate.map(|(count, s)| Rate { count, per: Duration::from_secs(s) }));
        }
        for bad in ["100", "/min", "+5/min", "1/year", "-1/s", "99999999999/s"] {
            assert_eq!(Rate::parse(bad), None, "{bad}");
        }
    }
}
