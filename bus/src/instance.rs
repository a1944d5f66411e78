//! One instance of the bus: everything wired and started, and its HTTP server.

use std::sync::Arc;
use std::time::Duration;

use bus_config::Landscape;
use bus_core::engine::supervisor::{self, Running};
use bus_storage::Database;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::{self, App};
use crate::wire;

/// A running bus.
pub struct Instance {
    running: Running,
    server: JoinHandle<anyhow::Result<()>>,
    stop: CancellationToken,
    pub app: Arc<App>,
}

impl Instance {
    /// Wires everything and starts it. Systems that are away delay, they do not fail the start.
    pub async fn start(landscape: &Landscape, database: Database, listener: TcpListener) -> anyhow::Result<Self> {
        // An error means that it is installed already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wired = wire::wire(landscape, database).await?;
        let gates = wired.gates;
        let (store, broker) = (Arc::clone(&wired.store), Arc::clone(&wired.jobs.broker));
        let (metrics, incidents) = (wired.jobs.metrics.clone(), wired.jobs.incidents.clone());
        let running = supervisor::start(wired.jobs);
        let app = Arc::new(App {
            name: landscape.bus.name.clone(),
            watch: running.watch().clone(),
            store,
            broker,
            metrics,
            incidents,
            gates,
            key: wired.key,
            doors: wired.doors,
            outs: wired.outs,
        });
        let stop = CancellationToken::new();
        let server = tokio::spawn(server::serve(listener, Arc::clone(&app), stop.clone()));
        Ok(Self { running, server, stop, app })
    }

    /// Drains within the bound; `true` if nothing had to be cut off.
    pub async fn stop(self, bound: Duration) -> bool {
        let clean = self.running.stop(bound).await;
        self.stop.cancel();
        // Open connections of slow clients do not hold up the end.
        if tokio::time::timeout(Duration::from_secs(1), self.server).await.is_err() {
            tracing::debug!("a client kept its connection open");
        }
        clean
    }
}
