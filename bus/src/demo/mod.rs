//! `bus demo`: the bus at work with nothing else installed. People work in a small base of 1C, two receivers take less by day
//! than by night and sometimes fail, each in a process of its own, and the shipped `routes.toml` runs between them.

mod base;
mod landscape;
mod ledger;
mod people;
mod receiver;
mod table;
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

pub use base::serve as serve_base;
pub use receiver::receive;

/// What is under way at the end may still arrive within this time.
const DRAIN: Duration = Duration::from_secs(60);
/// The systems of `routes.toml` that receive.
const RECEIVERS: [&str; 2] = ["shop", "warehouse"];
const REFRESH: Duration = Duration::from_millis(500);

/// Runs until Ctrl-C, or for a time; exit code 1 if its figures are not good.
pub async fn run(args: cli::Demo) -> anyhow::Result<ExitCode> {
    let directory = tempfile::Builder::new().prefix("bus-demo-").tempdir()?;
    let mut trade = base::Trade::start().await?;
    let mut receivers = Vec::new();
    for name in RECEIVERS {
        receivers.push(receiver::Receiver::start(name, directory.path()).await?);
    }
    let landscape = landscape::prepare(directory.path(), &trade, &receivers)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let database = Database::open(&landscape.bus.state).context("the demo's state store")?;
    let instance = Instance::start(&landscape, None, &Dropped::default(), database, listener).await?;
    let mut view = view::View::new(!args.json && std::io::stdout().is_terminal(), args.json, address, &landscape);

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
    let issued = trade.stop().await?;
    let (ended, deadline) = (Moment::now(), Instant::now() + DRAIN);
    let mut drained = verdict::is_drained(&instance.app, ended).await;
    while !drained && Instant::now() < deadline {
        view.draw(&instance.app, "draining").await;
        tokio::time::sleep(REFRESH / 2).await;
        drained = verdict::is_drained(&instance.app, ended).await;
    }
    let ledgers = receivers.iter().map(|receiver| Ok((receiver.name(), receiver.ledger()?)));
    let ledgers = ledgers.collect::<anyhow::Result<_>>()?;
    let verdict = verdict::find(&instance.app, &landscape, &issued, &ledgers, drained).await?;
    instance.stop(Duration::from_secs(10)).await;
    view.close();
    if args.json {
        println!("{}", serde_json::to_string(&verdict)?);
    } else {
        println!("{verdict}");
    }
    Ok(if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
