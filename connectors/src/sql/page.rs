//! Where a page may end: at its limit, but never inside a run of equal cursor values.

use bus_core::engine::crash::{self, Plant};
use bus_core::ports::source::{BatchLimit, SourceError, SourceFault};
use bus_core::vocabulary::{Record, UnreadableRecord};

use super::row::{Content, Row, quoted};

/// A run of equal values is taken whole, whatever the limit; this bounds what one page may hold in memory. A single
/// UPDATE of this many rows with one timestamp is rare, more is a column that does not serve as a cursor.
const MOST_ROWS: usize = 500_000;
const MOST_BYTES: usize = 256 * 1024 * 1024;

/// Rows without a cursor value have no place in the order and come again with every poll: enough to see the trouble.
const MOST_WITHOUT_CURSOR: usize = 100;

/// Whether the next row is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The page has room.
    Open,
    /// The row belongs to the next page.
    Full,
}

/// A page as it fills, oldest first.
pub(super) struct Page<V> {
    limit: BatchLimit,
    fresh: usize,
    fresh_bytes: usize,
    bytes: usize,
    without_cursor: usize,
    /// Every cursor value in order, runs of equal ones once.
    pub(super) values: Vec<V>,
    pub(super) records: Vec<Record>,
    pub(super) unreadable: Vec<UnreadableRecord>,
}

impl<V: PartialEq> Page<V> {
    pub(super) fn new(limit: BatchLimit) -> Self {
        Self {
            limit,
            fresh: 0,
            fresh_bytes: 0,
            bytes: 0,
            without_cursor: 0,
            values: Vec::new(),
            records: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    /// Takes the row, or leaves it for the next page.
    pub(super) fn push(&mut self, row: Row<V>, column: &str) -> Result<Flow, SourceError> {
        let bytes = row.content.bytes();
        let Some(value) = row.cursor else {
            self.without_cursor += 1;
            if self.without_cursor <= MOST_WITHOUT_CURSOR {
                self.take(row.content);
            }
            return Ok(Flow::Open);
        };
        if self.values.last() != Some(&value) {
            if self.reached() {
                return Ok(Flow::Full);
            }
            self.values.push(value);
        } else if self.reached() && crash::planted(Plant::CutInTie) {
            return Ok(Flow::Full);
        }
        if row.fresh {
            self.fresh += 1;
            self.fresh_bytes += bytes;
        }
        self.bytes += bytes;
        self.take(row.content);
        if self.records.len() + self.unreadable.len() > MOST_ROWS || self.bytes > MOST_BYTES {
            return Err(SourceError::new(
                SourceFault::Misconfigured,
                format!(
                    "too many rows share one value of cursor column {column:?} (a page may hold {MOST_ROWS} rows and \
                     {} MiB); use a column that tells rows apart, or changes = \"diff\"",
                    MOST_BYTES >> 20
                ),
            ));
        }
        Ok(Flow::Open)
    }

    fn reached(&self) -> bool {
        self.fresh > 0 && (self.fresh >= self.limit.records || self.fresh_bytes >= self.limit.bytes)
    }

    fn take(&mut self, content: Content) {
        match content {
            Content::Record(record) => self.records.push(record),
            Content::Unreadable(row) => self.unreadable.push(row),
        }
    }
}

/// The end of the statement around the operator's query, whatever order that asks for: where a page ends, the next one
/// begins at its last value, so a row that came behind a greater one would be left out by the query's own condition.
pub(super) fn order_by(column: &str) -> String {
    format!(" ORDER BY q.{}", quoted(column))
}

/// The error for rows that come in another order than they were asked for in.
pub(super) fn not_ordered(column: &str) -> SourceError {
    SourceError::new(
        SourceFault::Misconfigured,
        format!(
            "the database orders the values of cursor column {column:?} in another way than they are compared in, so a \
             page could leave rows out; name a number or a date, or give the text the collation \"C\" (PostgreSQL) or \
             BINARY (SQLite) in the query"
        ),
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::row;
    use crate::{Served, Serves};
    use bus_core::vocabulary::StreamName;

    fn row(cursor: Option<i64>, fresh: bool) -> Row<i64> {
        let served = Served { stream: StreamName::new("s").unwrap(), key: vec!["id".into()], label: None, date: None };
        let one = |_: &str| Ok(Some("1".into()));
        let content = row::content(&Serves::One(served), b"{}".to_vec(), None, one, |_| None);
        Row { cursor, fresh, content }
    }

    fn fill(records: usize, rows: &[(i64, bool)]) -> (usize, bool) {
        let mut page = Page::new(BatchLimit { records, bytes: usize::MAX });
        for (value, fresh) in rows {
            if page.push(row(Some(*value), *fresh), "id").unwrap() == Flow::Full {
                return (page.records.len(), true);
            }
        }
        (page.records.len(), false)
    }

    #[test]
    fn a_page_ends_at_its_limit_but_not_inside_a_tie() {
        assert_eq!(fill(2, &[(1, true), (2, true), (3, true)]), (2, true));
        assert_eq!(fill(2, &[(1, true), (2, true), (2, true), (2, true), (3, true)]), (4, true));
        assert_eq!(fill(2, &[(1, true), (2, true), (2, true)]), (3, false));
    }

    #[test]
    fn rows_read_again_do_not_fill_a_page_so_it_always_moves() {
        assert_eq!(fill(1, &[(1, false), (1, false), (2, false), (3, true), (4, true)]), (4, true));
    }

    #[test]
    fn rows_without_a_cursor_value_are_bounded_and_end_no_page() {
        let mut page = Page::new(BatchLimit { records: 1, bytes: usize::MAX });
        for _ in 0..1000 {
            assert_eq!(page.push(row(None, true), "id").unwrap(), Flow::Open);
        }
        assert_eq!((page.records.len(), page.values.len()), (MOST_WITHOUT_CURSOR, 0));
    }

    #[test]
    fn bytes_end_a_page_too() {
        let mut page = Page::new(BatchLimit { records: 100, bytes: 3 });
        assert_eq!(page.push(row(Some(1), true), "id").unwrap(), Flow::Open);
        assert_eq!(page.push(row(Some(2), true), "id").unwrap(), Flow::Full);
    }
}
