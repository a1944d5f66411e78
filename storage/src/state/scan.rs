//! What a comparison scan has seen: a file of its own that a crash may spoil, because a crash starts the scan again.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus_core::ports::state::{ScanTotals, StateError};
use bus_core::vocabulary::Key;
use rusqlite::Connection;

use crate::database;
use crate::failure::Failure;

/// SQLite's cache of the scan: a million keys must not become memory.
const CACHE_KIB: i64 = 8 * 1024;

/// The scans of all streams. Opened at the first use, deleted with the store.
#[derive(Clone)]
pub(super) struct Scans {
    shared: Arc<Shared>,
}

struct Shared {
    database: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Scans {
    pub fn new(database: &Path) -> Self {
        Self { shared: Arc::new(Shared { database: database.to_owned(), connection: Mutex::new(None) }) }
    }

    /// Runs `work` where blocking is allowed. Dropped while waiting, the work is done all the same.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StateError> {
        let shared = self.shared.clone();
        let task = tokio::task::spawn_blocking(move || {
            let mut slot = shared.connection.lock().unwrap_or_else(PoisonError::into_inner);
            if slot.is_none() {
                *slot = Some(shared.open().map_err(|failure| failure.0)?);
            }
            let connection = slot.as_mut().ok_or_else(crate::work::stopped)?;
            work(connection).map_err(|failure| failure.0)
        });
        task.await.unwrap_or_else(|error| Err(StateError::Failed(error.to_string())))
    }

    pub async fn begin(&self, stream: i64) -> Result<(), StateError> {
        self.run(move |connection| {
            connection.execute("DELETE FROM seen WHERE stream = ?1", [stream])?;
            Ok(())
        })
        .await
    }

    pub async fn seen(&self, stream: i64, keys: Vec<Key>) -> Result<(), StateError> {
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            let mut insert =
                transaction.prepare_cached("INSERT INTO seen (stream, key) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
            for key in &keys {
                insert.execute((stream, key.as_str()))?;
            }
            drop(insert);
            Ok(transaction.commit()?)
        })
        .await
    }

    pub async fn missing(&self, stream: i64, after: Option<Key>, limit: usize) -> Result<Vec<Key>, StateError> {
        self.run(move |connection| {
            // No key is empty, so every key is after the empty text.
            let after = after.as_ref().map_or("", Key::as_str);
            let mut select = connection.prepare_cached(
                "SELECT key FROM bus.published p WHERE stream = ?1 AND key > ?2 AND NOT deleted
                   AND NOT EXISTS (SELECT 1 FROM seen s WHERE s.stream = ?1 AND s.key = p.key)
                 ORDER BY key LIMIT ?3",
            )?;
            let limit = i64::try_from(limit).unwrap_or(i64::MAX);
            let rows = select.query_map((stream, after, limit), |row| row.get::<_, String>(0))?;
            rows.map(|key| Ok(Key::from_stored(&key?))).collect()
        })
        .await
    }

    pub async fn totals(&self, stream: i64) -> Result<ScanTotals, StateError> {
        self.run(move |connection| {
            let mut select = connection.prepare_cached(
                "SELECT count(*), count(*) FILTER (WHERE NOT EXISTS
                     (SELECT 1 FROM seen s WHERE s.stream = ?1 AND s.key = p.key))
                 FROM bus.published p WHERE stream = ?1 AND NOT deleted",
            )?;
            let (existing, missing): (i64, i64) = select.query_row([stream], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(ScanTotals { existing: existing.unsigned_abs(), missing: missing.unsigned_abs() })
        })
        .await
    }
}

impl Shared {
    fn file(&self) -> PathBuf {
        let mut name = self.database.as_os_str().to_owned();
        name.push(".scan");
        name.into()
    }

    /// What a predecessor left is worthless: it does not know how far that scan came.
    fn open(&self) -> Result<Connection, Failure> {
        self.remove();
        let file = self.file();
        let at = |error: std::io::Error| StateError::Failed(format!("cannot make {}: {error}", file.display()));
        database::private(&file).map_err(at)?;
        let connection = Connection::open(&file)?;
        connection.busy_timeout(Duration::from_secs(10))?;
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.execute_batch(
            "CREATE TABLE seen (stream INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (stream, key)) WITHOUT ROWID",
        )?;
        connection.execute("ATTACH ?1 AS bus", [self.database.to_string_lossy()])?;
        connection.pragma_update(Some("bus"), "cache_size", -CACHE_KIB)?;
        Ok(connection)
    }

    fn remove(&self) {
        // Usually there is none; if it cannot be removed, opening it says why.
        let _ = std::fs::remove_file(self.file());
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let slot = self.connection.get_mut().unwrap_or_else(PoisonError::into_inner);
        if slot.take().is_some() {
            self.remove();
        }
    }
}
