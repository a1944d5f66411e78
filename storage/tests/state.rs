//! The SQLite state store keeps the state store's contract.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use bus_contract::{StateFixture, WatchFixture, places_suite, state_suite, watch_suite};
use bus_core::ports::state::StateStore;
use bus_core::ports::watch::WatchStore;
use bus_storage::{Database, SqliteState};
use tempfile::TempDir;

struct Fixture {
    directory: TempDir,
    state: Option<SqliteState>,
}

impl Fixture {
    async fn new() -> Self {
        let mut fixture = Self { directory: tempfile::tempdir().unwrap(), state: None };
        fixture.reopen().await;
        fixture
    }
}

#[async_trait]
impl StateFixture for Fixture {
    fn store(&self) -> &dyn StateStore {
        self.state.as_ref().unwrap()
    }

    async fn reopen(&mut self) {
        self.state = None;
        let database = Database::open(self.directory.path().join("состояние.db")).unwrap();
        self.state = Some(SqliteState::new(database));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_state_store_keeps_the_contract() {
    state_suite(Fixture::new).await;
}

#[async_trait]
impl WatchFixture for Fixture {
    fn watch(&self) -> &dyn WatchStore {
        self.state.as_ref().unwrap()
    }

    async fn reopen_watch(&mut self) {
        self.reopen().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_state_store_remembers_troubles() {
    watch_suite(Fixture::new).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sqlite_state_store_keeps_the_contract_of_places() {
    places_suite(Fixture::new().await.state.as_ref().unwrap()).await;
}
