//! What the cursor of a stream read by a date holds, as JSON that a person can read.

use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::Cursor;
use chrono::NaiveDateTime;
use serde::{Deserialize, Serialize};
use std::time::Duration;

const VERSION: u8 = 1;

/// A position. A poll is a chain of pages; while pages follow, `from` says where the next one begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    v: u8,
    column: String,
    /// The latest date read, as the base writes it.
    pub high: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<From>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct From {
    /// At this date, inclusive.
    pub at: String,
    /// Behind so many records: more share the date than fit into a page.
    #[serde(default)]
    pub skip: usize,
}

impl Position {
    /// Nothing but a date.
    pub fn at(column: &str, high: String) -> Self {
        Self { v: VERSION, column: column.to_owned(), high, from: None }
    }

    /// Reads a stored cursor. What cannot be read stops the feed.
    pub fn read(cursor: &Cursor, column: &str) -> Result<Self, SourceError> {
        let unreadable = |what: String| {
            SourceError::new(SourceFault::CursorUnreadable, format!("the stored cursor cannot be used: {what}"))
        };
        let position: Self = serde_json::from_str(cursor.as_str())
            .map_err(|error| unreadable(format!("it is no position in a date ({:?})", error.classify())))?;
        if position.v != VERSION || position.column != column {
            let (v, was) = (position.v, &position.column);
            return Err(unreadable(format!(
                "it is a position in {was:?} of version {v}, and the stream has cursor = {column:?}; put {was:?} back, or \
                 reset the feed to read everything again"
            )));
        }
        Ok(position)
    }

    /// As the engine stores it.
    pub fn write(&self) -> Cursor {
        Cursor::new(serde_json::to_string(self).unwrap_or_default())
    }

    /// Where the next page begins: the date and how many records to leave out.
    pub fn next(&self, overlap: Duration) -> From {
        if let Some(from) = &self.from {
            return from.clone();
        }
        let back = chrono::Duration::from_std(overlap).ok();
        let at =
            self.high.parse::<NaiveDateTime>().ok().zip(back).and_then(|(high, back)| high.checked_sub_signed(back));
        let at = at.map_or_else(|| self.high.clone(), |at| at.format("%Y-%m-%dT%H:%M:%S").to_string());
        From { at, skip: 0 }
    }
}

/// The position behind a page that began at `from` and ended with a record of the date `last`.
pub fn behind(
    column: &str,
    before: Option<Position>,
    from: Option<From>,
    (last, records, more): (Option<String>, usize, bool),
) -> Option<Position> {
    let high = before.map(|before| before.high).max(last.clone())?;
    let mut next = Position::at(column, high);
    if more {
        let begun = from.unwrap_or(From { at: String::new(), skip: 0 });
        next.from = match last {
            // More of the date than one page: by count, because `$skip` is all there is.
            Some(last) if last == begun.at => Some(From { at: last, skip: begun.skip + records }),
            Some(last) => Some(From { at: last, skip: 0 }),
            None => Some(From { skip: begun.skip + records, ..begun }),
        };
    }
    Some(next)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_chain_goes_on_where_a_page_ended_and_a_poll_looks_back() {
        let page = |before, from, last: &str, more| behind("Date", before, from, (Some(last.to_owned()), 10, more));
        let first = page(None, None, "2026-11-22T10:00:00", true).unwrap();
        assert_eq!(first.next(Duration::ZERO), From { at: "2026-11-22T10:00:00".into(), skip: 0 });
        let same = page(Some(first.clone()), first.from.clone(), "2026-11-22T10:00:00", true).unwrap();
        assert_eq!(same.next(Duration::ZERO), From { at: "2026-11-22T10:00:00".into(), skip: 10 });
        let last = page(Some(same.clone()), same.from.clone(), "2026-11-22T11:00:00", false).unwrap();
        assert_eq!(last.next(Duration::from_secs(3600)).at, "2026-11-22T10:00:00");
        let empty = behind("Date", Some(last.clone()), None, (None, 0, false)).unwrap();
        assert_eq!(empty.high, "2026-11-22T11:00:00");
        assert_eq!(behind("Date", None, None, (None, 0, false)), None);
        assert_eq!(Position::read(&same.write(), "Date").unwrap(), same);
    }

    #[test]
    fn what_cannot_be_read_never_means_start_over() {
        for text in ["", "{}", r#"{"v":2,"column":"Date","high":"x"}"#, r#"{"v":1,"column":"Other","high":"x"}"#] {
            let error = Position::read(&Cursor::new(text), "Date").unwrap_err();
            assert_eq!(error.fault, SourceFault::CursorUnreadable, "{text}");
        }
    }
}
