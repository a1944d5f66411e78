//! Names as small numbers.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension};

use crate::failure::Failure;

/// What a name is of. The numbers are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Feed = 1,
    Stream = 2,
    Route = 3,
    System = 4,
    Subscription = 5,
    Queue = 6,
    Map = 20,
    /// A system as one that is read: its gate is another than that of deliveries.
    Reads = 21,
}

/// Numbers already looked up; it holds committed ones only. Only a renaming changes them, and clears it.
#[derive(Default)]
pub(crate) struct Names(Mutex<HashMap<(Kind, String), i64>>);

impl Names {
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<i64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(kind, name.to_owned())).copied()
    }

    /// After a renaming.
    pub(crate) fn forget(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(crate) fn put(&self, kind: Kind, name: String, id: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((kind, name), id);
    }
}

/// Inside a transaction of the writer.
pub(crate) fn intern(connection: &Connection, kind: Kind, name: &str) -> Result<i64, Failure> {
    if let Some(id) = find(connection, kind, name)? {
        return Ok(id);
    }
    let mut insert = connection.prepare_cached("INSERT INTO names (kind, name) VALUES (?1, ?2)")?;
    Ok(insert.insert((kind as i64, name))?)
}

/// Inside any connection.
pub(crate) fn find(connection: &Connection, kind: Kind, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT id FROM names WHERE kind = ?1 AND name = ?2")?;
    select.query_row((kind as i64, name), |row| row.get(0)).optional()
}

/// The name of a number.
pub(crate) fn name(connection: &Connection, id: i64) -> rusqlite::Result<Option<String>> {
    connection.prepare_cached("SELECT name FROM names WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
}
