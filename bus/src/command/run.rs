//! `bus run`: one instance of the bus, from its configuration to a drained stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::Landscape;
use bus_core::engine::supervisor::{self, Running};
use bus_storage::Database;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::EX_CONFIG;
use crate::server::{self, App};
use crate::{cli, logging, wire};

/// From the signal to the end: attempts under way may finish, their outcomes become durable. Below the 15 s after which
/// service managers lose patience on average, above the default request time-out.
const DRAIN: Duration = Duration::from_secs(12);
/// A standby waits for its turn practically for ever.
const STANDBY: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

pub async fn run(args: cli::Run) -> anyhow::Result<ExitCode> {
    let checked = bus_config::check(&args.config.file);
    let Some(landscape) = checked.landscape else {
        eprint!("{}", bus_options::to_text(&checked.diagnostics, bus_options::Colour::Off));
        return Ok(ExitCode::from(EX_CONFIG));
    };
    logging::start(landscape.bus.log);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stopped = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::pin!(stopped);
    let database = tokio::select! {
        opened = open(&landscape, args.standby) => opened?,
        () = &mut stopped => return Ok(ExitCode::SUCCESS),
    };
    let listener = server::bind(landscape.bus.listen).await?;
    let instance = Instance::start(&landscape, database, listener).await?;
    tracing::info!(
        listen = %landscape.bus.listen,
        routes = landscape.routes.len(),
        streams = landscape.streams.len(),
        "the bus runs; look with `bus status`"
    );
    stopped.await;
    tracing::info!("stopping: no new messages, attempts under way may finish");
    let clean = instance.stop(DRAIN).await;
    tracing::info!(clean, "stopped");
    Ok(ExitCode::SUCCESS)
}

async fn open(landscape: &Landscape, standby: bool) -> anyhow::Result<Database> {
    let path = &landscape.bus.state;
    let opened = if standby { Database::open_waiting(path, STANDBY).await } else { Database::open(path) };
    opened.context("the state store")
}

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
