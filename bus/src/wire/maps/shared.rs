//! What maps of all landscapes of one process share: what is stored of them, and the tasks that keep them current.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use bus_core::engine::incident::Incidents;
use bus_core::engine::supervisor::watched;
use bus_core::vocabulary::MapName;
use bus_storage::{Database, StoredMap};
use tokio::task::JoinSet;

/// See the module's comment.
pub struct Maps {
    pub database: Database,
    /// One per name: writes have to reach the cache that lookups read.
    stored: Mutex<HashMap<MapName, StoredMap>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Maps {
    pub fn new(database: Database) -> Self {
        Self { database, stored: Mutex::default(), tasks: Mutex::default() }
    }

    /// The map that is stored under this name.
    pub fn stored(&self, name: &MapName) -> anyhow::Result<StoredMap> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = stored.get(name) {
            return Ok(map.clone());
        }
        let map = StoredMap::open(self.database.clone(), name).context("the state store")?;
        stored.insert(name.clone(), map.clone());
        Ok(map)
    }

    /// Aborted with the process; what it does may be cut off anywhere. A panic is told under the map's name.
    pub fn start(&self, map: &str, incidents: &Incidents, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(watched(work, map.to_owned(), incidents.clone()));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use bus_core::engine::incident::Kind;

    #[tokio::test]
    async fn a_map_whose_upkeep_crashes_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let maps = Maps::new(Database::open(folder.path().join("bus.db")).unwrap());
        let incidents = Incidents::default();
        maps.start("map.города", &incidents, async { panic!("a planned panic") });
        while !incidents.is_open(Kind::JobCrashed, "map.города") {
            tokio::task::yield_now().await;
        }
    }
}
