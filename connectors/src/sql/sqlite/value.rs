//! SQLite's values: their JSON, their order, and stepping back by an overlap.
//!
//! SQLite keeps a type with each value, not with the column, so the declared type decides the JSON type where there is
//! one; a value that does not fit it is unreadable rather than of another type.
//!
//! | declared | JSON |
//! |---|---|
//! | `…INT…`, `NUMERIC`, `DECIMAL` | number (text is unreadable) |
//! | `REAL`, `DOUBLE`, `FLOAT` | number, always with a fraction or exponent: 5 is `5.0` |
//! | `…CHAR…`, `TEXT`, `CLOB` | string |
//! | `BOOLEAN` | true or false for 1 and 0 (others are unreadable) |
//! | `…DATE…`, `…TIME…`, `BLOB`, an expression | by the value: number, string, blob as base64 |

use std::cmp::Ordering;
use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::sql::Overlap;
use crate::sql::row::{Unfit, json_text};

/// What a declared type promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Number,
    Real,
    Text,
    Boolean,
    Anything,
}

impl Declared {
    /// By SQLite's own rules of affinity, and two names beyond them.
    pub(super) fn of(declaration: Option<&str>) -> Self {
        let name = declaration.unwrap_or("").to_uppercase();
        let has = |part: &str| name.contains(part);
        match () {
            () if has("INT") => Self::Number,
            () if has("CHAR") || has("CLOB") || has("TEXT") => Self::Text,
            () if name.is_empty() || has("BLOB") || has("DATE") || has("TIME") || has("JSON") => Self::Anything,
            () if has("REAL") || has("FLOA") || has("DOUB") => Self::Real,
            () if has("BOOL") => Self::Boolean,
            () => Self::Number,
        }
    }

    /// Below every value of such a column: a number is below every text, but SQLite compares a column that is declared
    /// as text with texts only.
    pub(super) fn minimum(self) -> Place {
        if self == Self::Text { Place::Text(String::new()) } else { Place::Integer(i64::MIN) }
    }
}

/// A value as JSON text, or as a person sees it who looks for what is wrong.
pub(super) fn carried(declared: Declared, value: ValueRef<'_>) -> Result<String, Unfit> {
    json(declared, value).map_err(|reason| {
        let shown = match value {
            ValueRef::Null => "NULL".to_owned(),
            ValueRef::Integer(number) => number.to_string(),
            ValueRef::Real(number) => format!("{number:?}"),
            ValueRef::Text(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            ValueRef::Blob(bytes) => STANDARD.encode(bytes),
        };
        Unfit { reason, shown }
    })
}

/// A value as JSON text.
pub(super) fn json(declared: Declared, value: ValueRef<'_>) -> Result<String, String> {
    let other = |what: &str| Err(format!("a column declared as {declared:?} holds {what}; use CAST in the query"));
    match (declared, value) {
        (_, ValueRef::Null) => Ok("null".into()),
        (Declared::Boolean, ValueRef::Integer(0)) => Ok("false".into()),
        (Declared::Boolean, ValueRef::Integer(1)) => Ok("true".into()),
        (Declared::Boolean, _) => other("something other than 0 and 1"),
        (_, ValueRef::Real(number)) if !number.is_finite() => {
            Err("an infinite number has no JSON number; say in the query what it means".into())
        }
        (Declared::Number | Declared::Real, ValueRef::Text(_) | ValueRef::Blob(_)) => other("a text"),
        (Declared::Text, ValueRef::Integer(_) | ValueRef::Real(_)) => other("a number"),
        (Declared::Real, ValueRef::Integer(number)) => Ok(format!("{number}.0")),
        (_, ValueRef::Integer(number)) => Ok(number.to_string()),
        // The shortest digits that read back as the same number, and always a fraction or an exponent.
        (_, ValueRef::Real(number)) => Ok(format!("{number:?}")),
        (_, ValueRef::Text(bytes)) => Ok(json_text(utf8(bytes)?)),
        (_, ValueRef::Blob(bytes)) => Ok(format!("\"{}\"", STANDARD.encode(bytes))),
    }
}

/// A value as text, for keys and labels: only what has one exact text.
pub(super) fn text(value: ValueRef<'_>) -> Result<Option<String>, String> {
    match value {
        ValueRef::Null => Ok(None),
        ValueRef::Integer(number) => Ok(Some(number.to_string())),
        ValueRef::Text(bytes) => utf8(bytes).map(|text| Some(text.to_owned())),
        ValueRef::Real(_) | ValueRef::Blob(_) => Err("only an integer or a text has one exact text; use CAST".into()),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "the text is not valid UTF-8".to_owned())
}

/// A value of the cursor column, ordered as SQLite orders: numbers, then texts byte by byte.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(into = "serde_json::Value", try_from = "serde_json::Value")]
pub(in crate::sql) enum Place {
    Integer(i64),
    Real(f64),
    Text(String),
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(number) => number.fmt(f),
            Self::Real(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl Place {
    /// `None` for NULL, an infinite number or a blob: they have no place in the order.
    pub(super) fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Integer(number) => Some(Self::Integer(number)),
            ValueRef::Real(number) if number.is_finite() => Some(Self::Real(number)),
            ValueRef::Text(bytes) => utf8(bytes).ok().map(|text| Self::Text(text.to_owned())),
            _ => None,
        }
    }

    /// As a person names it: a number, or a text (in double quotes if it looks like a number).
    pub(in crate::sql) fn named(text: &str) -> Self {
        if let Ok(number) = text.parse() {
            return Self::Integer(number);
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Self::Real(number),
            _ => Self::Text(serde_json::from_str(text).unwrap_or_else(|_| text.to_owned())),
        }
    }

    pub(super) fn is_above(&self, other: &Self) -> bool {
        self.order(other) == Ordering::Greater
    }

    fn order(&self, other: &Self) -> Ordering {
        use Place::{Integer, Real, Text};
        match (self, other) {
            (Integer(a), Integer(b)) => a.cmp(b),
            (Text(a), Text(b)) => a.cmp(b),
            (Text(_), _) => Ordering::Greater,
            (_, Text(_)) => Ordering::Less,
            (Real(a), Real(b)) => a.total_cmp(b),
            (Integer(a), Real(b)) => (*a as f64).total_cmp(b),
            (Real(a), Integer(b)) => a.total_cmp(&(*b as f64)),
        }
    }

    /// This value minus the overlap.
    pub(super) fn back(&self, overlap: Overlap) -> Result<Self, String> {
        match (self, overlap) {
            (_, Overlap::None) => Ok(self.clone()),
            (Self::Integer(number), Overlap::Number(back)) => Ok(Self::Integer(number.saturating_sub(back))),
            (Self::Real(number), Overlap::Number(back)) => Ok(Self::Real(number - back as f64)),
            (Self::Text(text), Overlap::Time(back)) => earlier(text, back).map(Self::Text).ok_or_else(|| {
                "overlap is a duration, but the cursor column holds no date like 2026-11-22 10:00:00".into()
            }),
            (Self::Text(_), Overlap::Number(_)) => Err("overlap is a number, but the cursor column holds texts".into()),
            (_, Overlap::Time(_)) => Err("overlap is a duration, but the cursor column holds numbers".into()),
        }
    }
}

impl ToSql for Place {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Real(number) => ValueRef::Real(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl From<Place> for serde_json::Value {
    fn from(place: Place) -> Self {
        match place {
            Place::Integer(number) => number.into(),
            Place::Real(number) => number.into(),
            Place::Text(text) => text.into(),
        }
    }
}

impl TryFrom<serde_json::Value> for Place {
    type Error = &'static str;

    fn try_from(value: serde_json::Value) -> Result<Self, Self::Error> {
        match value {
            serde_json::Value::String(text) => Ok(Self::Text(text)),
            serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Ok(Self::Integer(number)),
                (None, Some(number)) => Ok(Self::Real(number)),
                (None, None) => Err("a number out of range"),
            },
            _ => Err("neither number nor text"),
        }
    }
}

/// Steps a date text back and writes it in the shape it had, so that texts still compare as times do.
fn earlier(text: &str, back: Duration) -> Option<String> {
    let back = chrono::Duration::from_std(back).ok()?;
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        // A part of a day is a whole one here: too early is read twice, too late is missed.
        let days = back.num_days() + i64::from(back.num_seconds() % 86_400 != 0);
        return Some(date.checked_sub_signed(chrono::Duration::days(days))?.format("%Y-%m-%d").to_string());
    }
    let separator = if text.as_bytes().get(10) == Some(&b'T') { 'T' } else { ' ' };
    let body_end = text.get(11..)?.find(['Z', '+', '-']).map_or(text.len(), |at| at + 11);
    let (body, zone) = text.split_at(body_end);
    if !zone.is_empty() && zone != "Z" {
        DateTime::parse_from_str(&text.replace(' ', "T"), "%Y-%m-%dT%H:%M:%S%.f%:z").ok()?;
    }
    let digits = body.split_once('.').map(|(_, fraction)| fraction.len());
    let seconds = body.matches(':').count() == 2;
    let format = format!("%Y-%m-%d{separator}%H:%M{}", if seconds { ":%S%.f" } else { "" });
    let time = NaiveDateTime::parse_from_str(body, &format).ok()?.checked_sub_signed(back)?;
    let whole = format!("%Y-%m-%d{separator}%H:%M{}", if seconds { ":%S" } else { "" });
    let mut earlier = time.format(&whole).to_string();
    if let Some(digits) = digits {
        let fraction = time.format("%f").to_string();
        earlier.push('.');
        earlier.push_str(fraction.get(..digits).unwrap_or(&fraction));
    }
    Some(earlier + zone)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_declared_type_decides_the_json_type() {
        use ValueRef::{Blob, Integer, Null, Real, Text};
        for (declared, value, expected) in [
            ("REAL", Real(5.0), Some("5.0")),
            ("REAL", Integer(5), Some("5.0")),
            ("REAL", Real(0.1), Some("0.1")),
            ("REAL", Real(1e21), Some("1e21")),
            ("REAL", Real(f64::INFINITY), None),
            ("REAL", Text(b"5"), None),
            ("INTEGER", Integer(i64::MAX), Some("9223372036854775807")),
            ("INTEGER", Text(b"five"), None),
            ("DECIMAL(10,2)", Real(5.25), Some("5.25")),
            ("VARCHAR(20)", Text("Ёж \"1\"".as_bytes()), Some(r#""Ёж \"1\"""#)),
            ("TEXT", Blob(b"\xff\x00"), Some("\"/wA=\"")),
            ("TEXT", Text(b"\xff"), None),
            ("BOOLEAN", Integer(1), Some("true")),
            ("BOOLEAN", Integer(2), None),
            ("DATETIME", Text(b"2026-11-22"), Some("\"2026-11-22\"")),
            ("", Integer(5), Some("5")),
            ("", Real(5.0), Some("5.0")),
            ("BLOB", Null, Some("null")),
        ] {
            let json = json(Declared::of(Some(declared)), value).ok();
            assert_eq!(json.as_deref(), expected, "{declared} {value:?}");
        }
    }

    #[test]
    fn places_order_as_sqlite_orders() {
        let ordered = [
            Place::Integer(-1),
            Place::Real(0.5),
            Place::Integer(1),
            Place::Text(String::new()),
            Place::Text("я".into()),
        ];
        for pair in ordered.windows(2) {
            assert!(pair[1].is_above(&pair[0]) && !pair[0].is_above(&pair[1]), "{pair:?}");
            let stored: Place = serde_json::from_str(&serde_json::to_string(&pair[0]).unwrap()).unwrap();
            assert_eq!(stored, pair[0]);
        }
    }

    #[test]
    fn stepping_back_keeps_the_shape_of_the_text() {
        for (text, back, expected) in [
            ("2026-11-22 00:00:10", 30, Some("2026-11-21 23:59:40")),
            ("2026-11-22T00:00:10.250", 30, Some("2026-11-21T23:59:40.250")),
            ("2026-11-22T00:00:10Z", 30, Some("2026-11-21T23:59:40Z")),
            ("2026-11-22 00:00:10.5+03:00", 30, Some("2026-11-21 23:59:40.5+03:00")),
            ("2026-11-22 10:00", 60, Some("2026-11-22 09:59")),
            ("2026-11-22", 30, Some("2026-11-21")),
            ("2026-11-22", 86_400, Some("2026-11-21")),
            ("вчера", 30, None),
            ("", 30, None),
        ] {
            assert_eq!(earlier(text, Duration::from_secs(back)).as_deref(), expected, "{text}");
        }
    }
}
