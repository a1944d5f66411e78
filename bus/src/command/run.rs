//! `bus run`: from the configuration to a drained stop.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::Landscape;
use bus_storage::Database;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::EX_CONFIG;
use crate::instance::{Instance, StartError};
use crate::reload::{self, Dropped, Reloader};
use crate::{cli, logging, server};

/// From the signal on: attempts under way may finish, their outcomes become durable. Above the default request time-out;
/// with what comes after it (3 s, and 1 s for what still runs in the background) below the 20 s of `deploy/bus.service`.
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
    // Before anything else: until it is handled, a hangup ends the process.
    let hangup = signal(SignalKind::hangup())?;
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
    if database.is_new() {
        let state = landscape.bus.state.display();
        tracing::warn!(
            "{state} is a new state store: every source is read from its beginning, and all of it is delivered"
        );
    }
    let listener = server::bind(landscape.bus.listen).await?;
    database.announce(listener.local_addr()?);
    let dropped = Dropped { routes: args.drop_route, ..Dropped::default() };
    let file = args.config.file.as_path();
    let started = tokio::select! {
        started = Instance::start(&landscape, Some(file), &dropped, database, listener) => started,
        // As a crash at this moment: every step of the start is durable before the next one, and nothing was taken yet.
        () = &mut stopped => {
            tracing::info!("stopped while starting");
            return Ok(ExitCode::SUCCESS);
        }
    };
    let instance = match started {
        Ok(instance) => instance,
        Err(StartError::Refused(refused)) => {
            eprintln!("bus: {}", refused.whole());
            return Ok(ExitCode::from(EX_CONFIG));
        }
        Err(StartError::Failed(error)) => return Err(error),
    };
    tracing::info!(
        listen = %landscape.bus.listen,
        routes = landscape.routes.len(),
        streams = landscape.streams.len(),
        "the bus runs; look with `bus status`"
    );
    let reloader = Arc::clone(&instance.app.reloader);
    tokio::select! {
        () = stopped => {}
        () = follow(hangup, reloader, args.watch) => {}
    }
    tracing::info!("stopping: no new messages, attempts under way may finish");
    let clean = instance.stop(DRAIN).await;
    tracing::info!(clean, "stopped");
    Ok(ExitCode::SUCCESS)
}

/// SIGHUP and, if wanted, edited files. Never ends.
async fn follow(mut hangup: Signal, reloader: Arc<Reloader>, watch: bool) {
    let asked = async {
        while hangup.recv().await.is_some() {
            let reloading = Arc::clone(&reloader);
            // In a task of its own, so that a stop does not leave it half done; its outcome is in log and incidents.
            let _ = tokio::spawn(async move { reloading.reload(&Dropped::default()).await }).await;
        }
        std::future::pending::<()>().await;
    };
    let edited = async {
        if watch {
            reload::watch::follow(Arc::clone(&reloader)).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::join!(asked, edited);
}

async fn open(landscape: &Landscape, standby: bool) -> anyhow::Result<Database> {
    let path = &landscape.bus.state;
    let opened = if standby { Database::open_waiting(path, STANDBY).await } else { Database::open(path) };
    opened.context("the state store")
}
