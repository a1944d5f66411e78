//! What the cursor of a SQL stream holds, as JSON that a person can read.

use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::Cursor;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

const VERSION: u8 = 1;

/// A position. `V` is a cursor value: its text for PostgreSQL, a number or a text for SQLite.
///
/// A poll is a chain of pages. While pages follow, `from` is the end of the last one; without it the chain is over and
/// the next poll starts at `safe` (or `high` where the system needs no horizon), minus the overlap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Position<V> {
    v: u8,
    column: String,
    /// The highest value read.
    pub(super) high: V,
    /// A chain is under way: its next page starts here, inclusive.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub(super) from: Option<V>,
    /// Below this value no open transaction can add a row.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub(super) safe: Option<V>,
    /// Becomes `safe` when the chain is over.
    #[serde(default = "none", skip_serializing_if = "Option::is_none")]
    pub(super) next_safe: Option<V>,
    /// Values that become safe once the transactions beside them have ended, oldest first.
    #[serde(default = "Vec::new", skip_serializing_if = "Vec::is_empty")]
    pub(super) pending: Vec<Pending<V>>,
}

/// A value that was read while transactions were open that may still add a row below it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pending<V> {
    /// Highest value read.
    pub(super) high: V,
    /// Transactions with a lower number may be open.
    pub(super) xmax: u64,
    /// Virtual transaction numbers that were open.
    pub(super) open: Vec<String>,
}

fn none<V>() -> Option<V> {
    None
}

impl<V: Serialize + DeserializeOwned> Position<V> {
    /// A position with nothing but its highest value.
    pub(super) fn at(column: &str, high: V) -> Self {
        Self { v: VERSION, column: column.into(), high, from: None, safe: None, next_safe: None, pending: Vec::new() }
    }

    /// Reads a stored cursor. What cannot be read stops the feed.
    pub(super) fn read(cursor: &Cursor, column: &str) -> Result<Self, SourceError> {
        let unreadable = |what: String| {
            SourceError::new(SourceFault::CursorUnreadable, format!("the stored cursor cannot be used: {what}"))
        };
        let position: Self = serde_json::from_str(cursor.as_str())
            .map_err(|error| unreadable(format!("it is no position of this connector ({:?})", error.classify())))?;
        if position.v != VERSION {
            return Err(unreadable(format!("it has version {}, this program reads version {VERSION}", position.v)));
        }
        if position.column != column {
            let was = &position.column;
            return Err(unreadable(format!(
                "it is a position in column {was:?}, but the stream now has cursor = {column:?}; \
                 put {was:?} back, or reset the feed to read everything again"
            )));
        }
        Ok(position)
    }

    /// As the engine stores it.
    pub(super) fn write(&self) -> Cursor {
        Cursor::new(serde_json::to_string(self).expect("texts and numbers always serialise"))
    }
}

/// Whether a value that a person names comes after one of the column: as numbers, or as texts, of which dates are. `None`
/// where it cannot be of the same column. A guard against slips: time zones are not looked at.
pub(super) fn is_after(named: &str, present: &str) -> Option<bool> {
    let number = |text: &str| text.parse::<f64>().ok();
    let is_date = |text: &str| text.get(..10).is_some_and(|day| day.parse::<chrono::NaiveDate>().is_ok());
    match (number(named), number(present)) {
        (Some(named), Some(present)) => Some(named > present),
        (None, Some(_)) => None,
        _ if is_date(present) => is_date(named).then(|| named.replace('T', " ") > present.replace('T', " ")),
        _ => Some(named > present),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_position_survives_being_stored() {
        let mut position = Position::at("updated_at", "2026-11-22 10:00:00+00".to_owned());
        assert_eq!(position.write().as_str(), r#"{"v":1,"column":"updated_at","high":"2026-11-22 10:00:00+00"}"#);
        position.from = Some("a".into());
        position.pending.push(Pending { high: "b".into(), xmax: 7, open: vec!["3/17".into()] });
        assert_eq!(Position::read(&position.write(), "updated_at").unwrap(), position);
    }

    #[test]
    fn a_slip_is_told_from_a_way_back() {
        assert_eq!(is_after("9", "10"), Some(false));
        assert_eq!(is_after("11", "10"), Some(true));
        assert_eq!(is_after("чушь", "10"), None);
        assert_eq!(is_after("чушь", "2026-11-22 10:00:00+00"), None);
        assert_eq!(is_after("2026-11-21", "2026-11-22 10:00:00+00"), Some(false));
        assert_eq!(is_after("2026-11-22T09:00:00", "2026-11-22 10:00:00"), Some(false));
        assert_eq!(is_after("2027-01-01", "2026-11-22 10:00:00+00"), Some(true));
        assert_eq!(is_after("а", "я"), Some(false));
    }

    #[test]
    fn what_cannot_be_read_never_means_start_over() {
        for text in ["", "{}", "17", r#"{"v":2,"column":"id","high":"1"}"#, r#"{"v":1,"column":"other","high":"1"}"#] {
            let error = Position::<String>::read(&Cursor::new(text), "id").unwrap_err();
            assert_eq!(error.fault, SourceFault::CursorUnreadable, "{text}");
        }
    }
}
