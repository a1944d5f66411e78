//! One instance of the bus: everything wired and started, and its HTTP server.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::Landscape;
use bus_core::engine::supervisor::{self, Running};
use bus_storage::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::notify;
use crate::server::{self, App, Live};
use crate::watch::{self, Oversight};
use crate::wire::parts::{self, QueueOf};
use crate::wire::{self, Workshop};

/// A running bus.
pub struct Instance {
    workshop: Workshop,
    running: Running,
    server: JoinHandle<anyhow::Result<()>>,
    watching: Vec<JoinHandle<()>>,
    stop: CancellationToken,
    pub app: Arc<App>,
}

impl Instance {
    /// Wires everything and starts it. Systems that are away delay, they do not fail the start.
    pub async fn start(landscape: &Landscape, database: Database, listener: TcpListener) -> anyhow::Result<Self> {
        // An error means that it is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let workshop = Workshop::open(landscape, database).await?;
        let key = landscape.bus.key.as_ref().map(|key| wire::load(key, "the key of [bus]")).transpose()?;
        let queue_of = QueueOf::default();
        let mut parts = parts::prepare(landscape, &workshop, &queue_of, |_| true)?;
        let (doors, outs) = (std::mem::take(&mut parts.doors), std::mem::take(&mut parts.outs));
        let jobs = parts.open(&workshop).await?;
        let queues = parts::queues(landscape, &queue_of)?;
        let (broker, metrics) = (Arc::clone(&workshop.broker), workshop.metrics.clone());
        let channels = notify::channels(landscape)?;
        let oversight = Oversight::new(landscape, Arc::clone(&workshop.watch), wire::peers(landscape));
        let before = oversight.store.open_incidents().await.context("the state store")?;
        workshop.incidents.restore(before);
        oversight.quiet.reload().await.context("the state store")?;
        let running = supervisor::start(queues, broker, metrics, workshop.incidents.clone());
        running.launch(jobs);
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
            doors: Live::new(doors.into_values().collect()),
            outs: Live::new(outs),
        });
        let stop = CancellationToken::new();
        let watch = running.watch().clone();
        let tasks = workshop.operations.tasks.clone();
        tokio::spawn(tasks.run(move |route| watch.route(route), stop.clone()));
        let server = tokio::spawn(server::serve(listener, Arc::clone(&app), stop.clone()));
        let mut watching = watch::start(&app, &stop);
        watching.extend(notify::start(&app, &stop));
        Ok(Self { workshop, running, server, watching, stop, app })
    }

    /// Drains within the bound; `true` if nothing had to be cut off.
    pub async fn stop(self, bound: Duration) -> bool {
        let clean = self.running.stop(bound).await;
        if clean {
            self.workshop.gates.close_all().await;
        }
        self.stop.cancel();
        // Open connections of slow clients do not hold up the end.
        if tokio::time::timeout(Duration::from_secs(1), self.server).await.is_err() {
            tracing::debug!("a client kept its connection open");
        }
        for task in self.watching {
            if tokio::time::timeout(Duration::from_secs(1), task).await.is_err() {
                tracing::debug!("an oversight task did not end in time");
            }
        }
        clean
    }
}
