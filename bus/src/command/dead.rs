//! `bus dead`: dead letters. Through the running bus; when it does not run, straight from its state store.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use bus_config::Landscape;
use bus_core::ports::state::{DeadFilter, Replay, ReplayMode, StateStore};
use bus_core::vocabulary::RouteName;
use bus_storage::{Database, SqliteState};
use serde_json::Value;

use super::{EX_UNAVAILABLE, refused};
use crate::cli;
use crate::client::{Answer, Client, encoded, landscape};
use crate::server::{dead_summary, dead_whole};

pub async fn dead(command: cli::Dead) -> anyhow::Result<ExitCode> {
    match command {
        cli::Dead::List(args) => list(args).await,
        cli::Dead::Show(args) => show(args).await,
        cli::Dead::Replay(args) => replay(args).await,
        cli::Dead::Drop(args) => drop_one(args).await,
    }
}

async fn list(args: cli::DeadList) -> anyhow::Result<ExitCode> {
    let rows = match rows(&landscape(&args.config.file)?, args.route, args.key, args.limit).await? {
        Ok(rows) => rows,
        Err(code) => return Ok(code),
    };
    if args.json {
        println!("{}", Value::from(rows));
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rows {
        println!("{}", line(row));
    }
    if rows.is_empty() {
        println!("no dead letters");
    }
    Ok(ExitCode::SUCCESS)
}

/// `17  orders-to-shop  УТ-000123  rejected  2026-11-22T…  the receiver answered 422`
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let who = row["label"].as_str().or(row["key"].as_str()).unwrap_or("-");
    let place = row["route"].as_str().map_or_else(|| format!("stream {}", text("stream")), str::to_owned);
    format!("{}  {place}  {who}  {}  {}  {}", row["id"], text("fault"), text("at"), text("message"))
}

async fn rows(
    landscape: &Landscape,
    route: Option<String>,
    key: Option<String>,
    limit: usize,
) -> anyhow::Result<Result<Vec<Value>, ExitCode>> {
    let mut path = format!("/dead?limit={limit}");
    for (name, value) in [("route", &route), ("key", &key)] {
        if let Some(value) = value {
            path.push_str(&format!("&{name}={}", encoded(value)));
        }
    }
    Ok(match Client::new(landscape)?.get(&path).await? {
        Answer::Ok(body) => Ok(serde_json::from_str(&body)?),
        Answer::Refused(status, body) => Err(refused(status, &body)),
        Answer::NotRunning => {
            let route = route.as_deref().map(RouteName::new).transpose()?;
            let state = SqliteState::new(Database::open_readonly(&landscape.bus.state)?);
            let filter = DeadFilter { id: None, route, key, limit };
            Ok(state.dead_letters(&filter).await?.iter().map(dead_summary).collect())
        }
    })
}

async fn show(args: cli::DeadOne) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let row: Value = match Client::new(&landscape)?.get(&format!("/dead/{}", args.id)).await? {
        Answer::Ok(body) => serde_json::from_str(&body)?,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let state = SqliteState::new(Database::open_readonly(&landscape.bus.state)?);
            let filter = DeadFilter { id: Some(args.id), ..DeadFilter::default() };
            let found = state.dead_letters(&filter).await?;
            let row = found.first().with_context(|| format!("there is no dead letter {}", args.id))?;
            dead_whole(row)
        }
    };
    if args.json {
        println!("{row}");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{}", line(&row));
    println!("attempts: {}   seq: {}   message id: {}", row["attempts"], row["seq"], row["message_id"]);
    for (name, title) in
        [("record", "record"), ("transformed", "sent as"), ("request", "request"), ("answer", "answer"), ("raw", "raw")]
    {
        if let Some(text) = row[name].as_str() {
            println!("--- {title}\n{text}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn replay(args: cli::DeadReplay) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let ids = match args.id {
        Some(id) => vec![id],
        None => match rows(&landscape, args.route, None, 10_000).await? {
            Ok(rows) => rows.iter().filter_map(|row| row["id"].as_i64()).collect(),
            Err(code) => return Ok(code),
        },
    };
    let client = Client::new(&landscape)?;
    let (mut replayed, mut failed) = (0, 0);
    let mut offline: Option<Arc<dyn StateStore>> = None;
    for id in ids {
        let outcome = match &offline {
            Some(state) => offline_replay(state.as_ref(), id, args.force).await,
            None => match client.post(&format!("/dead/{id}/replay?force={}", args.force)).await? {
                Answer::Ok(_) => Ok(()),
                Answer::Refused(_, body) => Err(body),
                Answer::NotRunning => {
                    let state: Arc<dyn StateStore> = Arc::new(SqliteState::new(Database::open(&landscape.bus.state)?));
                    let outcome = offline_replay(state.as_ref(), id, args.force).await;
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

async fn drop_one(args: cli::DeadOne) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let dropped = match Client::new(&landscape)?.delete(&format!("/dead/{}", args.id)).await? {
        Answer::Ok(_) => true,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => SqliteState::new(Database::open(&landscape.bus.state)?).drop_dead(args.id).await?,
    };
    if dropped {
        println!("dead letter {} is gone", args.id);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("bus: there is no dead letter {}", args.id);
    Ok(ExitCode::from(EX_UNAVAILABLE))
}
