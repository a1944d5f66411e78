//! `bus dead`: dead letters. Through the running bus; looking, replaying and dropping also without it, straight in its
//! state store.

mod choose;
mod edit;
mod exchange;
mod replay;
mod stopped;

use std::process::ExitCode;

use anyhow::Context;
use bus_core::ports::state::{DeadFilter, StateStore};
use bus_core::ports::triage::TriageStore;
use bus_core::vocabulary::RouteName;
use bus_storage::{Database, SqliteState};
use serde_json::Value;

use self::stopped::Stopped;
use super::who::who;
use super::{EX_UNAVAILABLE, refused};
use crate::cli;
use crate::client::{Answer, Client, bus, encoded};
use crate::server::{dead_group, dead_whole};
use crate::shown;

pub async fn dead(command: cli::Dead) -> anyhow::Result<ExitCode> {
    match command {
        cli::Dead::Groups(args) => groups(args).await,
        cli::Dead::List(args) => list(args).await,
        cli::Dead::Show(args) => show(args).await,
        cli::Dead::Edit(args) => edit::edit(args).await,
        cli::Dead::Replay(args) => replay::replay(args).await,
        cli::Dead::Export(args) => exchange::export(args).await,
        cli::Dead::Import(args) => exchange::import(args).await,
        cli::Dead::Drop(args) => drop_one(args).await,
    }
}

async fn groups(args: cli::DeadGroups) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let query = args.route.as_deref().map_or(String::new(), |route| format!("?route={}", encoded(route)));
    let groups: Vec<Value> = match Client::new(&bus)?.get(&format!("/dead/groups{query}")).await? {
        Answer::Ok(body) => serde_json::from_str(&body)?,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let route = args.route.as_deref().map(RouteName::new).transpose()?;
            let state = SqliteState::new(Database::open_readonly(&bus.state)?);
            state.dead_groups(route.as_ref()).await?.iter().map(dead_group).collect()
        }
    };
    if args.json {
        println!("{}", Value::from(groups));
        return Ok(ExitCode::SUCCESS);
    }
    for group in &groups {
        let text = |name: &str| group[name].as_str().unwrap_or("-");
        let (route, fault, words) = (text("route"), text("fault"), text("words"));
        let said =
            format!("{}  {:>6}  {route}  {fault}  since {}  {words}", text("group"), group["count"], text("first"));
        println!("{}", shown::line(&said, bus.timezone));
        // The words of a group have holes where its letters differ.
        if let Some(example) = group["example_words"].as_str().filter(|example| *example != words) {
            println!("{}", shown::line(&format!("          as {}: {example}", group["example"]), bus.timezone));
        }
    }
    match groups.first() {
        // Nothing of these was ever published, so there is nothing to replay.
        Some(group) if group["fault"] == "unreadable" => println!(
            "look at one: bus dead show {}; mend the rows at the source or the query, so that they are read, then: bus dead drop ID",
            group["example"]
        ),
        Some(group) => println!(
            "look at one: bus dead show {}; mend the cause, then: bus dead replay --group {}",
            group["example"],
            group["group"].as_str().unwrap_or_default()
        ),
        None => println!("no dead letters"),
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(args: cli::DeadList) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let rows = match choose::rows(&bus, &args.choice, args.limit).await? {
        Ok(rows) => rows,
        Err(code) => return Ok(code),
    };
    if args.json {
        println!("{}", Value::from(rows));
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rows {
        println!("{}", shown::line(&line(row), bus.timezone));
    }
    if rows.is_empty() {
        println!("no dead letters");
    }
    Ok(ExitCode::SUCCESS)
}

/// `17  orders-to-shop  УТ-000123  rejected  2026-11-22T…  the receiver answered 422 (replayed 2 times)`
fn line(row: &Value) -> String {
    let text = |name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let who = row["label"].as_str().or(row["key"].as_str()).unwrap_or("-");
    let place = row["route"].as_str().map_or_else(|| format!("stream {}", text("stream")), str::to_owned);
    let counted = |name: &str, word: &str| match row[name].as_u64() {
        None | Some(0) => String::new(),
        Some(times) => format!(" ({word} {times} times)"),
    };
    let (replayed, edited) = (counted("replays", "replayed"), counted("edits", "edited"));
    let (fault, at, message) = (text("fault"), text("at"), text("message"));
    format!("{}  {place}  {who}  {fault}  {at}  {message}{replayed}{edited}", row["id"])
}

async fn show(args: cli::DeadOne) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let row: Value = match Client::new(&bus)?.get(&format!("/dead/{}", args.id)).await? {
        Answer::Ok(body) => serde_json::from_str(&body)?,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let state = SqliteState::new(Database::open_readonly(&bus.state)?);
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
    println!("{}", shown::line(&line(&row), bus.timezone));
    println!("attempts: {}   seq: {}   message id: {}", row["attempts"], row["seq"], row["message_id"]);
    println!("group: {}", row["group"].as_str().unwrap_or("-"));
    for (name, title) in [
        ("record", "record"),
        ("transformed", "sent as"),
        ("request", "request"),
        ("answer", "answer"),
        ("raw", "raw"),
        ("original_record", "the record before the edit"),
        ("original_transformed", "sent as, before the edit"),
    ] {
        if let Some(text) = row[name].as_str() {
            println!("--- {title}\n{}", shown::foreign(text));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn drop_one(args: cli::DeadOne) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let path = format!("/dead/{}?who={}", args.id, encoded(&who()));
    let dropped = match Client::new(&bus)?.delete(&path).await? {
        Answer::Ok(_) => true,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => Stopped::open(&bus)?.drop_dead(args.id).await?,
    };
    if dropped {
        println!("dead letter {} is gone", args.id);
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("bus: there is no dead letter {}", args.id);
    Ok(ExitCode::from(EX_UNAVAILABLE))
}
