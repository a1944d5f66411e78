//! `bus demo`: the bus at work with nothing else installed. A shop's SQLite database keeps changing, a receiver in another
//! process takes less by day than by night and sometimes fails, and the shipped `routes.toml` runs between them.

mod landscape;
mod ledger;
mod receiver;
mod shop;
mod verdict;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bus_core::vocabulary::Moment;
use bus_storage::Database;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use crate::cli;
use crate::instance::Instance;
use crate::reload::Dropped;

pub use receiver::receive;

/// What is under way at the end may still arrive within this time.
const DRAIN: Duration = Duration::from_secs(60);
const REFRESH: Duration = Duration::from_millis(500);

/// Runs until Ctrl-C, or for a time; exit code 1 if anything was lost.
pub async fn run(args: cli::Demo) -> anyhow::Result<ExitCode> {
    let directory = tempfile::Builder::new().prefix("bus-demo-").tempdir()?;
    let shop = shop::Shop::open(directory.path())?;
    let receiver = receiver::Receiver::start(directory.path()).await?;
    let landscape = landscape::prepare(directory.path(), &shop.url(), &receiver)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let database = Database::open(&landscape.bus.state).context("the demo's state store")?;
    let instance = Instance::start(&landscape, None, &Dropped::default(), database, listener).await?;
    let mut view = view::View::new(!args.json && std::io::stdout().is_terminal(), args.json, address);

    let mut interrupt = signal(SignalKind::interrupt())?;
    let end = args.duration.map(|duration| Instant::now() + duration);
    let mut refresh = tokio::time::interval(REFRESH);
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = refresh.tick() => {
                if end.is_some_and(|end| Instant::now() >= end) {
                    break;
                }
                view.draw(&instance.app, "changing").await;
            }
        }
    }
    let issued = shop.stop()?;
    let (ended, deadline) = (Moment::now(), Instant::now() + DRAIN);
    while !verdict::is_drained(&instance.app, ended).await && Instant::now() < deadline {
        view.draw(&instance.app, "draining").await;
        tokio::time::sleep(REFRESH / 2).await;
    }
    let verdict = verdict::find(&instance.app, &landscape, &issued, &receiver.ledger()?).await?;
    instance.stop(Duration::from_secs(10)).await;
    view.close();
    if args.json {
        println!("{}", serde_json::to_string(&verdict)?);
    } else {
        println!("{verdict}");
    }
    Ok(if verdict.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
