//! `bus dead replay`: one, a group, a range or all of a route, at a set pace, oldest first.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use bus_config::Bus;
use bus_core::ports::state::{Replay, ReplayMode};
use serde::Deserialize;

use super::choose;
use super::stopped::Stopped;
use crate::cli;
use crate::client::{Answer, Client, bus, encoded};
use crate::command::EX_UNAVAILABLE;
use crate::command::who::who;
use crate::shown;

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
    let (mut replayed, mut failed, mut last) = (0, 0, None);
    let (mut offline, who) = (None, encoded(&who()));
    let mut turn = tokio::time::interval(between.max(Duration::from_micros(1)));
    for id in ids {
        turn.tick().await;
        let outcome = match &offline {
            Some(stopped) => offline_replay(stopped, *id, force).await,
            None => match client.post(&format!("/dead/{id}/replay?force={force}&who={who}")).await? {
                Answer::Ok(body) => Ok(serde_json::from_str(&body)?),
                Answer::Refused(_, body) => Err(body),
                Answer::NotRunning => {
                    let stopped = Stopped::open(bus)?;
                    let outcome = offline_replay(&stopped, *id, force).await;
                    offline = Some(stopped);
                    outcome
                }
            },
        };
        match outcome {
            Ok(again) => (replayed, last) = (replayed + 1, Some(again)),
            Err(reason) => {
                failed += 1;
                eprintln!("{}", shown::page(&format!("{id}: {reason}"), bus.timezone));
            }
        }
    }
    let said = match last {
        Some(again) if ids.len() == 1 => again.said(),
        // Whether the receivers accept them now is only known later.
        _ => format!("{replayed} put in line again, {failed} refused; what became of them: bus dead list"),
    };
    println!("{}", shown::line(&said, bus.timezone));
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(EX_UNAVAILABLE) })
}

/// What is in line again.
#[derive(Deserialize)]
struct Again {
    route: String,
    key: String,
    label: Option<String>,
}

impl Again {
    /// Not that it was sent: it is in line, and may be refused again a moment later.
    fn said(&self) -> String {
        let word = self.label.as_ref().unwrap_or(&self.key);
        format!("put in line again as {word} on route {}; look: bus where {}", self.route, shown::argument(word))
    }
}

async fn offline_replay(stopped: &Stopped, id: i64, force: bool) -> Result<Again, String> {
    let mode = if force { ReplayMode::Forced } else { ReplayMode::Careful };
    match stopped.replay(id, mode).await {
        Ok(Replay::Waiting { route, key, label, .. }) => {
            Ok(Again { route: route.to_string(), key: key.as_str().to_owned(), label })
        }
        Ok(Replay::Newer { seq }) => Err(format!("refused: a newer version of its key ({seq}) was delivered or waits")),
        Ok(Replay::NotFound) => Err("there is no such dead letter, or it cannot go back".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
