//! The embedded broker keeps the broker's contract.
#![allow(clippy::unwrap_used)]

use async_trait::async_trait;
use bus_contract::{BrokerFixture, broker_suite};
use bus_core::ports::broker::Broker;
use bus_storage::{Database, EmbeddedBroker};
use tempfile::TempDir;

struct Fixture {
    directory: TempDir,
    broker: Option<EmbeddedBroker>,
}

impl Fixture {
    async fn new() -> Self {
        let mut fixture = Self { directory: tempfile::tempdir().unwrap(), broker: None };
        fixture.reopen().await;
        fixture
    }
}

#[async_trait]
impl BrokerFixture for Fixture {
    fn broker(&self) -> &dyn Broker {
        self.broker.as_ref().unwrap()
    }

    async fn reopen(&mut self) {
        self.broker = None;
        let database = Database::open(self.directory.path().join("шина.db")).unwrap();
        self.broker = Some(EmbeddedBroker::open(database).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_broker_keeps_the_contract() {
    broker_suite(Fixture::new).await;
}
