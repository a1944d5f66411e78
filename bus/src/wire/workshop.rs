//! What all parts of one process share.

use std::collections::HashMap;
use std::sync::Arc;

use bus_config::Landscape;
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
use bus_core::vocabulary::StreamName;
use bus_storage::{Database, JournalBounds, SqliteJournal, SqliteRuns, SqliteState};

use super::broker::broker;
use super::echoes::Echoes;
use super::gates::Gates;
use super::maps::shared::Maps;
use super::operations::Operations;
use crate::story::Teller;

/// See the module's comment; it lives as long as the process.
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
