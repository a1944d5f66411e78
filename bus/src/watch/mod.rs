//! Oversight: what is looked at from time to time, who is told, and when nobody is.
//!
//! | file | what it does |
//! |---|---|
//! | `look` | samples the running engine and the disk, and lets `policy::watch` judge |
//! | `forecast` | when each route will be empty |
//! | `certificate` | reads the dates of the certificates that servers show |
//! | `maintenance` | whether nobody is told now |
//! | `open` | whether receivers take messages and feeds read |
//! | `pretend` | what tests pretend to the looks |

mod certificate;
mod forecast;
mod look;
mod maintenance;
mod open;
mod pretend;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use bus_config::{FeedSource, Landscape, PlannedMaintenance, Via};
use bus_core::engine::incident;
use bus_core::engine::supervisor::{Watch, watched};
use bus_core::policy::{Expectation, TimeOfDay, Topology};
use bus_core::ports::watch::WatchStore;
use chrono_tz::Tz;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::certificate::Peer;
pub use forecast::Forecasts;
pub use maintenance::{Quiet, open as open_maintenance};

use crate::live::Live;
use crate::wire::Workshop;

/// Looks after things, for as long as the process runs.
pub struct Oversight {
    /// What the configuration says; a reload replaces it. Channels and certificates stay as they were at the start.
    pub plan: Live<Plan>,
    /// Where incidents, maintenance and identities are kept.
    pub store: Arc<dyn WatchStore>,
    /// When nobody is told.
    pub quiet: Quiet,
    /// What was last foreseen.
    pub forecasts: Forecasts,
    /// The name of the bus.
    pub name: String,
    /// What is looked at.
    pub workshop: Arc<Workshop>,
    /// What runs.
    pub engine: Watch,
    database: PathBuf,
    peers: Vec<Peer>,
}

/// What the configuration says about looking after things.
pub struct Plan {
    /// Who depends on whom.
    pub topology: Topology,
    /// Hours in which nobody is told.
    pub maintenance: Vec<PlannedMaintenance>,
    /// All of them.
    streams: BTreeSet<String>,
    /// Subscriptions that ask over HTTP.
    pulled: BTreeSet<String>,
    /// By stream.
    expect: Vec<(String, Expectation)>,
    /// By route.
    empty_by: BTreeMap<String, TimeOfDay>,
    /// Records under way at the same time, by route.
    concurrency: BTreeMap<String, usize>,
    zone: Tz,
}

impl Plan {
    /// From a checked landscape.
    pub fn of(landscape: &Landscape) -> Self {
        let expect = landscape.streams.iter().filter_map(|s| Some((s.name.to_string(), s.expect?)));
        let empty_by = landscape.routes.iter().filter_map(|r| Some((r.name.to_string(), r.empty_by?)));
        let pulled = landscape.subscriptions.iter().filter(|one| matches!(one.via, Via::Http { .. }));
        Self {
            topology: topology(landscape),
            maintenance: landscape.maintenance.clone(),
            streams: landscape.streams.iter().map(|stream| stream.name.to_string()).collect(),
            pulled: pulled.map(|one| one.name.to_string()).collect(),
            expect: expect.collect(),
            empty_by: empty_by.collect(),
            concurrency: landscape.routes.iter().map(|route| (route.name.to_string(), route.concurrency)).collect(),
            zone: landscape.bus.timezone,
        }
    }
}

impl Oversight {
    /// Takes from the landscape what has to be looked after.
    pub fn new(landscape: &Landscape, workshop: Arc<Workshop>, engine: Watch) -> Self {
        let store = Arc::clone(&workshop.watch);
        Self {
            plan: Live::new(Plan::of(landscape)),
            quiet: Quiet::new(Arc::clone(&store)),
            store,
            forecasts: Forecasts::default(),
            name: landscape.bus.name.clone(),
            workshop,
            engine,
            database: landscape.bus.state.clone(),
            peers: certificate::peers(landscape),
        }
    }

    /// What the configuration says now.
    pub fn plan(&self) -> Arc<Plan> {
        self.plan.get()
    }

    /// Whether nobody is told about a system now.
    pub fn is_quiet(&self, system: Option<&str>, now: bus_core::vocabulary::Moment) -> bool {
        self.quiet.covers(&self.plan().maintenance, system, now)
    }
}

/// Who writes to whom and who reads from whom. Streams bear the names of their feeds.
fn topology(landscape: &Landscape) -> Topology {
    let mut route: BTreeMap<_, _> =
        landscape.routes.iter().map(|route| (route.name.to_string(), route.to.to_string())).collect();
    // The receiver of the bus's own routes is the state store.
    route.extend(landscape.own_routes().map(|(name, _)| (name.clone(), name)));
    let mut feed = BTreeMap::new();
    for one in &landscape.feeds {
        let system = match &one.source {
            FeedSource::Query { system, .. } | FeedSource::Odata { system, .. } => system.to_string(),
            FeedSource::Push { .. } | FeedSource::Join(_) => one.name.to_string(),
        };
        feed.insert(one.name.to_string(), system.clone());
        feed.extend(one.streams.iter().map(|stream| (stream.to_string(), system.clone())));
    }
    Topology { route, feed }
}

/// Starts to look, until stopped.
pub fn start(oversight: &Arc<Oversight>, stop: &CancellationToken) -> Vec<JoinHandle<()>> {
    let (store, incidents) = (Arc::clone(&oversight.store), oversight.workshop.incidents.clone());
    let start = |name: &str, job: BoxFuture<'static, ()>| {
        tokio::spawn(watched(job, name.to_owned(), oversight.workshop.incidents.clone()))
    };
    vec![
        start("incidents", incident::keep(incidents, store, stop.clone()).boxed()),
        start("watch", look::run(Arc::clone(oversight), stop.clone()).boxed()),
        start("certificates", certificate::run(Arc::clone(oversight), stop.clone()).boxed()),
    ]
}
