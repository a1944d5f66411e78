//! One instance of the bus: everything wired and started, and its HTTP server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::Landscape;
use bus_core::engine::supervisor::{self, Running, watched};
use bus_storage::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::live::Live;
use crate::notify;
use crate::reload::{self, Current, Dropped, Refused, Reloader};
use crate::server::{self, App};
use crate::watch::{self, Oversight};
use crate::wire::{self, Workshop, parts};

/// After the drain: gates are closed, answers under way are sent, oversight writes down what it knows. Together with the
/// drain below the 20 s after which `deploy/bus.service` kills.
const END: Duration = Duration::from_secs(3);
/// Open connections of slow clients do not hold up the end.
const CLIENTS: Duration = Duration::from_secs(1);

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration would lose what routes hold.
    #[error("{}", .0.whole())]
    Refused(Refused),
    /// Something does not work.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}

/// A running bus.
pub struct Instance {
    workshop: Arc<Workshop>,
    running: Arc<Running>,
    server: JoinHandle<anyhow::Result<()>>,
    watching: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    pub app: Arc<App>,
}

impl Instance {
    /// Wires everything and starts it. Systems that are away delay, they do not fail the start. `file`: where the
    /// landscape came from, for reloads. Routes that are gone from it and hold messages refuse the start.
    pub async fn start(
        landscape: &Landscape,
        file: Option<&Path>,
        dropped: &Dropped,
        database: Database,
        listener: TcpListener,
    ) -> Result<Self, StartError> {
        // An error means that it is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let workshop = Arc::new(Workshop::open(landscape, database).await?);
        let key = landscape.bus.key.as_ref().map(|key| wire::secrets::load(key, "the key of [bus]")).transpose()?;
        let arrangement =
            reload::arranged(&workshop, landscape, dropped, &[], false).await.map_err(StartError::Refused)?;
        for place in &arrangement.kept {
            tracing::warn!(
                route = place.route.as_str(),
                "not in the file any more; nobody could look into its queue: kept"
            );
        }
        let mut parts = parts::prepare(landscape, &workshop, &arrangement.queues, |_| true)?;
        reload::give_places(&workshop, &arrangement.steps).await.map_err(anyhow::Error::from)?;
        let broker = Arc::clone(&workshop.broker);
        reload::remove_given_up(&workshop, |queue| {
            let broker = Arc::clone(&broker);
            async move { broker.remove(&queue).await }
        })
        .await;
        let queues = parts::queues(landscape, &arrangement)?;
        let (doors, outs) = (std::mem::take(&mut parts.doors), std::mem::take(&mut parts.outs));
        let jobs = parts.open(&workshop).await?;
        let channels = notify::channels(landscape)?;
        let before = workshop.watch.open_incidents().await.context("the state store")?;
        workshop.incidents.restore(before);
        let running = Arc::new(supervisor::start(queues, broker, workshop.metrics.clone(), workshop.incidents.clone()));
        let oversight = Arc::new(Oversight::new(landscape, Arc::clone(&workshop), running.watch().clone()));
        oversight.quiet.reload().await.context("the state store")?;
        running.launch(jobs);
        let (live_doors, live_outs) = (Arc::new(Live::default()), Arc::new(Live::default()));
        let idle = std::collections::BTreeSet::new();
        let current = Current { landscape: landscape.clone(), queues: arrangement.queues, doors, outs, idle };
        let reloader = Reloader::new(
            file,
            Arc::clone(&workshop),
            Arc::clone(&running),
            Arc::clone(&oversight),
            Arc::clone(&live_doors),
            Arc::clone(&live_outs),
            current,
        );
        let app = Arc::new(App {
            name: landscape.bus.name.clone(),
            watch: running.watch().clone(),
            store: Arc::clone(&workshop.store),
            broker: Arc::clone(&workshop.broker),
            metrics: workshop.metrics.clone(),
            incidents: workshop.incidents.clone(),
            gates: Arc::clone(&workshop.gates),
            operations: workshop.operations.clone(),
            oversight,
            channels,
            teller: Arc::clone(&workshop.teller),
            key,
            doors: live_doors,
            outs: live_outs,
            reloader: Arc::new(reloader),
            stopping: CancellationToken::new(),
        });
        let stop = CancellationToken::new();
        let tasks = workshop.operations.tasks.clone();
        let told = |name: &str| (name.to_owned(), workshop.incidents.clone());
        let (name, incidents) = told("tasks");
        let seen = Arc::clone(&app);
        tokio::spawn(watched(tasks.run(move |route| seen.find_route(route), stop.clone()), name, incidents));
        let backfills = workshop.operations.backfills.clone();
        let (name, incidents) = told("backfills");
        tokio::spawn(watched(backfills.run(Arc::clone(&app.oversight) as _, stop.clone()), name, incidents));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&app), stop.clone()));
        let mut watching = watch::start(&app.oversight, &stop);
        watching.extend(notify::start(&app.channels, &app.oversight, &stop));
        Ok(Self { workshop, running, server, watching, stop, app })
    }

    /// Drains within the bound, and ends at most 3 s later; `true` if nothing had to be cut off. From the first moment on
    /// it is not ready.
    pub async fn stop(self, bound: Duration) -> bool {
        self.app.stopping.cancel();
        let drained = Instant::now() + bound;
        // A reload under way has the same time: what it would start from now on ends at once, and none begins any more.
        let (ended, held) = tokio::join!(self.running.stop(bound), timeout_at(drained, self.app.reloader.hold()));
        let clean = ended && held.is_ok();
        self.stop.cancel();
        let gates = async {
            if clean {
                self.workshop.gates.close_all().await;
            }
        };
        let server = timeout(CLIENTS, self.server);
        let rest = async { tokio::join!(gates, server, futures::future::join_all(self.watching)) };
        if timeout(END, rest).await.is_err() {
            tracing::warn!(
                "the state store is too slow to note everything at the end: nothing is lost, the next start waits longer"
            );
        }
        clean
    }
}
