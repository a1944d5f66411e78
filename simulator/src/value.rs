//! What an attribute holds. Numbers stay decimal text: no digit is lost between a write and the next read.

use std::fmt;

/// A reference or identifier, written in 36 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Guid(pub u128);

impl Guid {
    /// The empty reference.
    pub const EMPTY: Self = Self(0);

    /// Reads 36 characters with dashes.
    pub fn parse(text: &str) -> Option<Self> {
        let dashes = text.len() == 36 && [8, 13, 18, 23].iter().all(|at| text.as_bytes()[*at] == b'-');
        let digits: String = text.chars().filter(|c| *c != '-').collect();
        if !dashes || digits.len() != 32 {
            return None;
        }
        u128::from_str_radix(&digits, 16).ok().map(Self)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let v = self.0;
        let part = |shift: u32, mask: u128| (v >> shift) & mask;
        write!(
            f,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            part(96, 0xffff_ffff),
            part(80, 0xffff),
            part(64, 0xffff),
            part(48, 0xffff),
            part(0, 0xffff_ffff_ffff)
        )
    }
}

/// The empty date.
pub const NO_DATE: &str = "0001-01-01T00:00:00";

/// One row: values in the order of its properties.
pub type Row = Vec<Value>;

/// What an attribute holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Does not apply here, as an attribute of items on a folder.
    Null,
    /// A string, or the name of an enumeration's value.
    Text(String),
    /// A number as decimal text, without exponent.
    Number(String),
    /// A boolean.
    Bool(bool),
    /// A date without zone: `2026-06-15T09:34:59`.
    Date(String),
    /// A reference or identifier.
    Guid(Guid),
    /// A value of several possible types: what it is in text, and its type.
    Any {
        /// The value as text, empty where it is undefined.
        text: String,
        /// `StandardODATA.Document_X`, `Edm.String`, `StandardODATA.Undefined` …
        kind: String,
    },
    /// Bytes in base64, and what they are.
    Binary {
        /// In base64.
        base64: String,
        /// The content type.
        kind: String,
    },
    /// The lines of a tabular part or a record set.
    Rows(Vec<Row>),
}

impl Value {
    /// `Неопределено` in an attribute of several types.
    pub fn undefined() -> Self {
        Self::Any { text: String::new(), kind: "StandardODATA.Undefined".into() }
    }

    /// A reference in an attribute of several types.
    pub fn reference(entity: &str, guid: Guid) -> Self {
        Self::Any { text: guid.to_string(), kind: format!("StandardODATA.{entity}") }
    }

    /// The text of strings, dates and numbers; empty for what has none.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Text(text) | Self::Number(text) | Self::Date(text) | Self::Any { text, .. } => text,
            _ => "",
        }
    }

    /// The reference; the empty one for anything else.
    pub fn as_guid(&self) -> Guid {
        match self {
            Self::Guid(guid) => *guid,
            Self::Any { text, .. } => Guid::parse(text).unwrap_or(Guid::EMPTY),
            _ => Guid::EMPTY,
        }
    }

    /// The lines; none for anything else.
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Rows(rows) => rows,
            _ => &[],
        }
    }
}

/// Hundredths to decimal text: `333333` is `3333.33`, `5000` is `50`.
pub fn decimal(hundredths: i64) -> String {
    let sign = if hundredths < 0 { "-" } else { "" };
    let whole = hundredths.abs() / 100;
    match hundredths.abs() % 100 {
        0 => format!("{sign}{whole}"),
        cents if cents % 10 == 0 => format!("{sign}{whole}.{}", cents / 10),
        cents => format!("{sign}{whole}.{cents:02}"),
    }
}

/// Decimal text to millionths; what has more digits after the point is cut. `None` where it is no number.
pub fn millionths(text: &str) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let number = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !number(whole) || !number(fraction) {
        return None;
    }
    let fraction: String = fraction.chars().chain("000000".chars()).take(6).collect();
    Some(sign * (whole.parse::<i128>().ok()? * 1_000_000 + fraction.parse::<i128>().ok()?))
}

/// Millionths to decimal text without zeros at the end.
pub fn from_millionths(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    let (whole, fraction) = (value.abs() / 1_000_000, value.abs() % 1_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{}", format!("{fraction:06}").trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_guid_is_read_and_written() {
        let text = "c3314aea-6899-11e8-8780-b06ebf2faaf6";
        assert_eq!(Guid::parse(text).unwrap().to_string(), text);
        assert_eq!(Guid::EMPTY.to_string(), "00000000-0000-0000-0000-000000000000");
        for wrong in ["", "c3314aea", "c3314aea-6899-11e8-8780-b06ebf2faafg", "c3314aea66899-11e8-8780-b06ebf2faaf6"] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn decimals_keep_their_digits() {
        for (hundredths, text) in [(333_333, "3333.33"), (5000, "50"), (-1050, "-10.5"), (7, "0.07")] {
            assert_eq!(decimal(hundredths), text);
            assert_eq!(millionths(text), Some(i128::from(hundredths) * 10_000));
            assert_eq!(from_millionths(i128::from(hundredths) * 10_000), text);
        }
        assert_eq!(millionths("1e5"), None);
    }
}
