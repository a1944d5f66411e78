//! Wiring: from a checked landscape to running parts. The one place that knows every connector.
//!
//! Two steps: [`parts::prepare`] builds what may fail (secrets, addresses, certificates, maps) and changes nothing that runs;
//! [`Parts::open`](parts::Parts::open) makes jobs of it. A reload prepares first, and ends what it replaces in between.

mod echoes;
pub mod feeds;
pub mod gates;
pub mod joins;
pub mod maps;
pub mod operations;
pub mod parts;
pub mod reach;
pub mod routes;
pub mod source;
mod subscriptions;
pub mod target;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use bus_config::{Broker as BrokerChoice, Landscape};
use bus_core::engine::arrivals::Arrivals;
use bus_core::engine::chronicle::{Chronicle, Keeping};
use bus_core::engine::incident::Incidents;
use bus_core::engine::metrics::Metrics;
use bus_core::policy::Masks;
use bus_core::ports::broker::Broker;
use bus_core::ports::one_step::OneStep;
use bus_core::ports::places::Places;
use bus_core::ports::runs::Runs;
use bus_core::ports::state::StateStore;
use bus_core::ports::watch::WatchStore;
use bus_core::vocabulary::{Secret, StreamName};
use bus_options::{SecretOr, SecretRef};
use bus_rabbitmq::RabbitMq;
use bus_storage::{Database, EmbeddedBroker, JournalBounds, SqliteJournal, SqliteRuns, SqliteState};

use self::echoes::Echoes;
use self::gates::Gates;
use self::maps::Maps;
use self::operations::Operations;
use crate::story::Teller;

/// What all parts of one process share, for as long as it runs.
pub struct Workshop {
    pub store: Arc<dyn StateStore>,
    pub places: Arc<dyn Places>,
    pub chronicle: Chronicle,
    pub broker: Arc<dyn Broker>,
    /// With the embedded broker, which shares the store's file.
    pub one_step: Option<Arc<dyn OneStep>>,
    pub metrics: Metrics,
    pub incidents: Incidents,
    pub gates: Arc<Gates>,
    pub operations: Operations,
    pub watch: Arc<dyn WatchStore>,
    pub database: Database,
    pub maps: Maps,
    pub echoes: Echoes,
    pub arrivals: Arrivals,
    pub runs: Arc<dyn Runs>,
    pub teller: Arc<Teller>,
}

impl Workshop {
    /// Connects to nothing but the local state store; RabbitMQ may be away.
    pub async fn open(landscape: &Landscape, database: Database) -> anyhow::Result<Self> {
        let state = Arc::new(SqliteState::new(database.clone()));
        let (store, places): (Arc<dyn StateStore>, Arc<dyn Places>) = (state.clone(), state.clone());
        let (metrics, incidents) = (Metrics::new(), Incidents::default());
        let (broker, one_step) = broker(landscape, &database).await?;
        let operations = Operations::open(&state, &incidents).await?;
        let (pauses, noted) = (operations.pauses.clone(), incidents.clone());
        let gates = Arc::new(Gates::new(Arc::clone(&store), pauses, noted, metrics.clone()));
        let runs = Arc::new(SqliteRuns::new(database.clone()));
        let echoes = Echoes::new(&database)?;
        let maps = Maps::new(database.clone());
        let bounds = JournalBounds { age: landscape.bus.journal.age, bytes: landscape.bus.journal.bytes };
        let journal = Arc::new(SqliteJournal::open(database.clone(), bounds));
        let chronicle = Chronicle::new(Arc::clone(&journal) as _, keeping(landscape));
        let teller = Arc::new(Teller::new(landscape, journal));
        let (watch, arrivals) = (state, Arrivals::default());
        Ok(Self {
            store,
            places,
            chronicle,
            broker,
            one_step,
            metrics,
            incidents,
            gates,
            operations,
            watch,
            database,
            maps,
            echoes,
            arrivals,
            runs,
            teller,
        })
    }

    /// After a reload: masks, archive and routes of the new landscape. The journal's own bounds hold until a restart.
    pub fn remember(&self, landscape: &Landscape) {
        self.chronicle.keep(keeping(landscape));
        self.teller.know(landscape);
    }
}

fn keeping(landscape: &Landscape) -> HashMap<StreamName, Keeping> {
    let of = |stream: &bus_config::Stream| Keeping { archive: stream.archive, masks: Masks::new(stream.mask.clone()) };
    landscape.streams.iter().map(|stream| (stream.name.clone(), of(stream))).collect()
}

/// The broker, and what it can do in one step.
type Brokers = (Arc<dyn Broker>, Option<Arc<dyn OneStep>>);

async fn broker(landscape: &Landscape, database: &Database) -> anyhow::Result<Brokers> {
    Ok(match &landscape.bus.broker {
        BrokerChoice::Embedded => {
            let broker = Arc::new(EmbeddedBroker::open(database.clone()).await?);
            (Arc::clone(&broker) as Arc<dyn Broker>, Some(broker as Arc<dyn OneStep>))
        }
        BrokerChoice::Amqp { .. } => {
            let options = rabbitmq_options(landscape)?.context("the broker is not RabbitMQ")?;
            (Arc::new(RabbitMq::connect(options).await?), None)
        }
    })
}

/// The options of RabbitMQ, if the landscape uses it.
pub fn rabbitmq_options(landscape: &Landscape) -> anyhow::Result<Option<bus_rabbitmq::Options>> {
    let BrokerChoice::Amqp { url, ca } = &landscape.bus.broker else { return Ok(None) };
    let mut options = bus_rabbitmq::Options::new(secret_url(url, "the broker")?, landscape.bus.name.clone());
    options.ca_file.clone_from(ca);
    Ok(Some(options))
}

pub fn load(secret: &SecretRef, what: &str) -> anyhow::Result<Secret> {
    secret.load().with_context(|| what.to_owned())
}

/// An address that may hold a password, so it is handled as a secret from here on.
pub fn secret_url(url: &SecretOr<url::Url>, what: &str) -> anyhow::Result<Secret> {
    match url {
        SecretOr::Literal(url) => Ok(Secret::new(url.as_str())),
        SecretOr::Secret(secret) => load(secret, &format!("the address of {what}")),
    }
}

fn pem(ca: Option<&Path>, what: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("the certificate authority of {what}: {}", path.display()))
    };
    ca.map(read).transpose()
}
