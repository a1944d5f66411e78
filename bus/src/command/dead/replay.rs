//! `bus dead replay`: one, a group, a range or all of a route, at a set pace, oldest first.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use bus_config::Bus;
use bus_core::ports::state::{Replay, ReplayMode, StateStore};
use bus_storage::{Database, SqliteState};

use super::choose;
use crate::cli;
use crate::client::{Answer, Client, bus};
use crate::command::EX_UNAVAILABLE;

/// Letters of one command.
pub(super) const MOST: usize = 100_000;

pub(super) async fn replay(args: cli::DeadReplay) -> anyhow::Result<ExitCode> {
    ensure!(
        args.id.is_none() || args.choice.is_everything(),
        "give either the number of one letter, or conditions for several"
    );
    ensure!(
        args.id.is_some() || !args.choice.is_everything(),
        "say which: a number, or --route, --group, --key, --from and --to, --since and --until"
    );
    let bus = bus(&args.config.file)?;
    let ids = match args.id {
        Some(id) => vec![id],
        None => match choose::rows(&bus, &args.choice, MOST).await? {
            Ok(rows) => rows.iter().filter_map(|row| row["id"].as_i64()).collect(),
            Err(code) => return Ok(code),
        },
    };
    let between = args.rate.map_or(Duration::ZERO, |rate| match u32::try_from(rate.events()) {
        Ok(0) | Err(_) => rate.per(),
        Ok(events) => rate.per() / events,
    });
    all(&bus, &ids, args.force, between).await
}

/// Replays in turn; what is refused is said, and stays.
pub(super) async fn all(bus: &Bus, ids: &[i64], force: bool, between: Duration) -> anyhow::Result<ExitCode> {
    let client = Client::new(bus)?;
    let (mut replayed, mut failed) = (0, 0);
    let mut offline: Option<Arc<dyn StateStore>> = None;
    let mut turn = tokio::time::interval(between.max(Duration::from_micros(1)));
    for id in ids {
        turn.tick().await;
        let outcome = match &offline {
            Some(state) => offline_replay(state.as_ref(), *id, force).await,
            None => match client.post(&format!("/dead/{id}/replay?force={force}")).await? {
                Answer::Ok(_) => Ok(()),
                Answer::Refused(_, body) => Err(body),
                Answer::NotRunning => {
                    let state: Arc<dyn StateStore> = Arc::new(SqliteState::new(Database::open(&bus.state)?));
                    let outcome = offline_replay(state.as_ref(), *id, force).await;
                    offline = Some(state);
                    outcome
                }
            },
        };
        match outcome {
            Ok(()) => replayed += 1,
            Err(reason) => {
                failed += 1;
                eprintln!("{id}: {reason}");
            }
        }
    }
    println!("{replayed} replayed, {failed} refused");
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EX_UNAVAILABLE) })
}

async fn offline_replay(state: &dyn StateStore, id: i64, force: bool) -> Result<(), String> {
    let mode = if force { ReplayMode::Forced } else { ReplayMode::Careful };
    match state.replay(id, mode).await {
        Ok(Replay::Waiting { .. }) => Ok(()),
        Ok(Replay::Newer { seq }) => Err(format!("refused: a newer version of its key ({seq}) was delivered or waits")),
        Ok(Replay::NotFound) => Err("there is no such dead letter, or it cannot go back".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
