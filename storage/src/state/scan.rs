//! What a comparison scan has seen: a file of its own that a crash may spoil, because a crash starts the scan again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    notes: Mutex<Option<Notes>>,
}

/// The file as it is open now, and the scans that it holds from their beginning. Of any other it holds too little: what was
/// seen would pass for deleted.
struct Notes {
    connection: Connection,
    begun: HashSet<i64>,
}

impl Scans {
    pub fn new(database: &Path) -> Self {
        Self { shared: Arc::new(Shared { database: database.to_owned(), notes: Mutex::new(None) }) }
    }

    /// Runs `work` where blocking is allowed. Dropped while waiting, the work is done all the same.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, &mut Option<Notes>) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let shared = self.shared.clone();
        let task = tokio::task::spawn_blocking(move || work(&shared, &mut shared.notes()));
        task.await.unwrap_or_else(|error| Err(StateError::Failed(error.to_string())))
    }

    /// `work` on the notes of a scan that has begun.
    async fn run<T: Send + 'static>(
        &self,
        stream: i64,
        work: impl FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StateError> {
        self.blocking(move |shared, slot| {
            let Some(notes) = slot.as_mut().filter(|notes| notes.begun.contains(&stream)) else {
                let why = "what the comparison has seen so far is lost, so it has to begin anew";
                return Err(StateError::Failed(why.to_owned()));
            };
            let outcome = work(&mut notes.connection);
            outcome.map_err(|failure| shared.give_up(slot, failure))
        })
        .await
    }

    pub async fn begin(&self, stream: i64) -> Result<(), StateError> {
        self.blocking(move |shared, slot| {
            let outcome = shared.begin(slot, stream);
            outcome.map_err(|failure| shared.give_up(slot, failure))
        })
        .await
    }

    pub async fn seen(&self, stream: i64, keys: Vec<Key>) -> Result<(), StateError> {
        self.run(stream, move |connection| {
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
        self.run(stream, move |connection| {
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
        self.run(stream, move |connection| {
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
    fn notes(&self) -> MutexGuard<'_, Option<Notes>> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, slot: &mut Option<Notes>, stream: i64) -> Result<(), Failure> {
        let notes = match slot {
            Some(notes) => notes,
            None => slot.insert(Notes { connection: self.open()?, begun: HashSet::new() }),
        };
        notes.begun.remove(&stream);
        notes.connection.execute("DELETE FROM seen WHERE stream = ?1", [stream])?;
        notes.begun.insert(stream);
        Ok(())
    }

    /// After any error the file is given up, whatever is in it: the next scan begins with another one, and those under way
    /// begin anew. So damage in it is nothing that a feed must stop for.
    fn give_up(&self, slot: &mut Option<Notes>, failure: Failure) -> StateError {
        *slot = None;
        self.remove();
        match failure.0 {
            StateError::Corrupt(what) => StateError::Failed(format!("{}: {what}", self.file().display())),
            other => other,
        }
    }

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
        // In memory, as far as one call writes: without any, a call that fails half-way cannot be undone.
        connection.pragma_update(None, "journal_mode", "MEMORY")?;
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
        let slot = self.notes.get_mut().unwrap_or_else(PoisonError::into_inner);
        if slot.take().is_some() {
            self.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Database;

    fn keys(count: usize) -> Vec<Key> {
        (0..count).map(|number| Key::from_stored(&format!("ключ-{number:06}"))).collect()
    }

    fn failed<T>(outcome: Result<T, StateError>) -> bool {
        matches!(outcome, Err(StateError::Failed(_)))
    }

    /// Two scans under way, and their file.
    async fn setting() -> (tempfile::TempDir, Database, Scans) {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let scans = Scans::new(database.path());
        for stream in [1, 2] {
            scans.begin(stream).await.unwrap();
            scans.seen(stream, keys(10)).await.unwrap();
        }
        (directory, database, scans)
    }

    /// None of them goes on as if it had seen nothing, and each can begin anew.
    async fn all_begin_anew(scans: &Scans) {
        for stream in [1, 2] {
            assert!(failed(scans.seen(stream, keys(1)).await));
            assert!(failed(scans.missing(stream, None, 10).await));
            assert!(failed(scans.totals(stream).await));
        }
        assert!(!scans.shared.file().exists(), "what is worthless takes no room");
        scans.begin(1).await.unwrap();
        assert_eq!(scans.seen(1, keys(5000)).await, Ok(()));
        assert!(scans.totals(1).await.is_ok() && failed(scans.totals(2).await));
    }

    #[tokio::test]
    async fn a_full_disk_costs_the_scans_under_way_and_no_feed_its_life() {
        let (_directory, _database, scans) = setting().await;
        let full = |connection: &mut Connection| {
            Ok(connection.query_row("PRAGMA max_page_count = 20", [], |row| row.get::<_, i64>(0))?)
        };
        assert_eq!(scans.run(1, full).await, Ok(20));
        assert_eq!(scans.seen(1, keys(5000)).await, Err(StateError::Failed("the disk is full".into())));
        all_begin_anew(&scans).await;
    }

    #[tokio::test]
    async fn a_damaged_file_is_replaced_and_stops_nobody() {
        let (_directory, _database, scans) = setting().await;
        let bytes = std::fs::metadata(scans.shared.file()).unwrap().len();
        std::fs::write(scans.shared.file(), vec![b'x'; usize::try_from(bytes).unwrap()]).unwrap();
        assert!(failed(scans.seen(2, keys(5000)).await));
        all_begin_anew(&scans).await;
    }
}
