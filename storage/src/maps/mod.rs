//! [`StoredMap`]: a map that is kept from a stream, as rows of the state store's own file.
//!
//! Lookups happen while records are shaped, thousands a second, and must not wait for a thread of the pool: they are
//! answered from a bounded cache, and else by one indexed lookup on a connection of the map's own. In WAL mode neither
//! ever waits for the writer.

mod cache;
mod ids;

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use async_trait::async_trait;
use bus_core::ports::map::{Answer, Map, MapWriter};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{Key, MapName};
use rusqlite::{Connection, OptionalExtension};
use serde_json::Value;

use crate::database::Database;
use crate::failure::Failure;
use crate::names::{self, Kind};
use cache::Cache;
pub use ids::{Gives, ReceiverIds};

/// One map of a [`Database`]. Cloning shares it.
#[derive(Clone)]
pub struct StoredMap {
    database: Database,
    name: MapName,
    /// The map's number, once it holds anything.
    number: Arc<OnceLock<i64>>,
    reader: Arc<Mutex<Connection>>,
    cache: Arc<Mutex<Cache>>,
}

impl StoredMap {
    /// Opens a map, an empty one if there is none of this name.
    pub fn open(database: Database, name: &MapName) -> Result<Self, StateError> {
        let reader = database.reader().map_err(|error| StateError::Failed(error.to_string()))?;
        Ok(Self {
            database,
            name: name.clone(),
            number: Arc::default(),
            reader: Arc::new(Mutex::new(reader)),
            cache: Arc::default(),
        })
    }

    fn look_up(&self, key: &str) -> Result<Option<Value>, Failure> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let map = match self.number.get() {
            Some(map) => *map,
            None => match names::find(&reader, Kind::Map, self.name.as_str())? {
                Some(map) => *self.number.get_or_init(|| map),
                None => return Ok(None),
            },
        };
        let mut select = reader.prepare_cached("SELECT value FROM map_entries WHERE map = ?1 AND key = ?2")?;
        let text: Option<String> = select.query_row((map, key), |row| row.get(0)).optional()?;
        let read = |text: String| serde_json::from_str(&text).map_err(|_| crate::failure::damaged("a map's value"));
        text.map(read).transpose()
    }
}

impl Map for StoredMap {
    fn get(&self, key: &str) -> Answer {
        let version = {
            let mut cache = locked(&self.cache);
            if let Some(found) = cache.get(key) {
                return answer(found);
            }
            cache.version()
        };
        match self.look_up(key) {
            Ok(found) => {
                locked(&self.cache).remember(version, key, found.clone());
                answer(found)
            }
            Err(_) => Answer::NotReady,
        }
    }
}

#[async_trait]
impl MapWriter for StoredMap {
    async fn write(&self, entries: Vec<(Key, Option<Value>)>) -> Result<(), StateError> {
        let map = self.database.number(Kind::Map, self.name.as_str()).await?;
        let cache = Arc::clone(&self.cache);
        let entries = Arc::new(entries);
        let written = Arc::clone(&entries);
        let work = move |connection: &Connection| {
            let mut put = connection.prepare_cached(
                "INSERT INTO map_entries (map, key, value) VALUES (?1, ?2, ?3)
                 ON CONFLICT (map, key) DO UPDATE SET value = excluded.value",
            )?;
            let mut remove = connection.prepare_cached("DELETE FROM map_entries WHERE map = ?1 AND key = ?2")?;
            for (key, value) in written.iter() {
                match value {
                    Some(value) => put.execute((map, key.as_str(), value.to_string()))?,
                    None => remove.execute((map, key.as_str()))?,
                };
            }
            Ok(())
        };
        let weight = entries.iter().map(|(key, _)| key.as_str().len() + 64).sum();
        // On the writer's thread, and also if the caller has gone: the cache must never outlive what was committed.
        let then = move |outcome: &Result<(), StateError>| {
            if outcome.is_ok() {
                locked(&cache).replace(&entries);
            }
        };
        self.database.write_then(weight, work, then).await
    }
}

fn answer(found: Option<Value>) -> Answer {
    found.map_or(Answer::Unknown, Answer::Value)
}

/// A panic while holding the lock cannot leave the cache half changed: each change is one call.
fn locked(cache: &Mutex<Cache>) -> MutexGuard<'_, Cache> {
    cache.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key(text: &str) -> Key {
        Key::from_stored(text)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_was_written_is_seen_at_once_and_after_opening_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bus.db");
        let name = MapName::new("sku").unwrap();
        let database = Database::open(&path).unwrap();
        let map = StoredMap::open(database.clone(), &name).unwrap();
        let other = StoredMap::open(database, &MapName::new("other").unwrap()).unwrap();
        assert_eq!(map.get("guid-1"), Answer::Unknown);
        map.write(vec![(key("guid-1"), Some("Ж-1".into())), (key("guid-2"), Some(2.into()))]).await.unwrap();
        assert_eq!((map.get("guid-1"), map.get("guid-2")), (Answer::Value("Ж-1".into()), Answer::Value(2.into())));
        assert_eq!(other.get("guid-1"), Answer::Unknown);
        map.write(vec![(key("guid-1"), Some("Ж-9".into())), (key("guid-2"), None)]).await.unwrap();
        assert_eq!((map.get("guid-1"), map.get("guid-2")), (Answer::Value("Ж-9".into()), Answer::Unknown));
        drop((map, other));
        let map = StoredMap::open(Database::open(&path).unwrap(), &name).unwrap();
        assert_eq!((map.get("guid-1"), map.get("guid-2")), (Answer::Value("Ж-9".into()), Answer::Unknown));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_whose_caller_has_gone_is_in_the_cache_too() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let map = StoredMap::open(database, &MapName::new("sku").unwrap()).unwrap();
        assert_eq!(map.get("a"), Answer::Unknown);
        let gone = tokio::time::timeout(std::time::Duration::ZERO, map.write(vec![(key("a"), Some(1.into()))])).await;
        // Whether it was still in time or not, the next write is behind it.
        drop(gone);
        map.write(vec![(key("b"), Some(1.into()))]).await.unwrap();
        let stored = map.look_up("a").unwrap();
        assert_eq!(map.get("a"), answer(stored));
    }
}
