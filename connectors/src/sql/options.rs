//! What an operator may say about streams that are read by SQL.

use std::time::Duration;

use bus_core::vocabulary::Secret;

use crate::{Serves, Tape};

/// Resolved values; nothing here is read from the environment again.
#[derive(Debug, Clone)]
pub struct Options {
    /// `postgres://user:password@host/base` or `sqlite:path`.
    pub url: Secret,
    /// The certificate authority to trust instead of the system's (PEM). Given one, the host name is verified too.
    pub ca_pem: Option<Vec<u8>>,
    /// The streams the rows belong to, with their key columns.
    pub serves: Serves,
    /// One SELECT. With a cursor it holds `:cursor`, as in `… WHERE updated_at >= :cursor`; the reader orders the rows.
    pub query: String,
    /// The column that says what changed; without it the query is only scanned.
    pub cursor: Option<CursorColumn>,
    /// The longest that any single statement may take.
    pub timeout: Duration,
    /// Where statements and rows are noted, while a person looks.
    pub tape: Option<Tape>,
}

/// Where a database is, and who may say so.
#[derive(Debug, Clone)]
pub struct Address {
    /// As in [`Options`].
    pub url: Secret,
    /// As in [`Options`].
    pub ca_pem: Option<Vec<u8>>,
    /// The longest that any single statement may take.
    pub timeout: Duration,
}

impl Options {
    /// Where the database is.
    pub(super) fn address(&self) -> Address {
        Address { url: self.url.clone(), ca_pem: self.ca_pem.clone(), timeout: self.timeout }
    }

    /// Every column that is wanted as a text, once each: what names the entity, keys, labels and dates.
    pub(super) fn text_columns(&self) -> Vec<&str> {
        let mut columns: Vec<&str> = self.serves.entity_column().into_iter().collect();
        let wanted = self.serves.all().flat_map(|served| served.key.iter().chain(&served.label).chain(&served.date));
        for column in wanted {
            if !columns.contains(&column.as_str()) {
                columns.push(column);
            }
        }
        columns
    }
}

/// A column whose value rises with every change of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CursorColumn {
    /// Its name in the result of the query.
    pub column: String,
    /// How far back each poll looks again.
    pub overlap: Overlap,
}

/// How far back each poll looks again, for values that are assigned long before they are committed. What is read
/// twice is published once: the engine drops repeats of the same content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// Not at all.
    None,
    /// For dates and times.
    Time(Duration),
    /// For numbers.
    Number(i64),
}
