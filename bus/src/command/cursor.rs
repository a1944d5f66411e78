//! `bus cursor`: where feeds stand, and going back.

use std::process::ExitCode;

use anyhow::bail;
use bus_config::{Bus, FeedSource, Landscape};
use bus_core::ports::cursors::{CursorStore, Moved};
use bus_core::vocabulary::{Cursor, FeedName};
use bus_storage::{Database, SqliteState};
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::who::who;
use super::{EX_UNAVAILABLE, refused};
use crate::cli;
use crate::client::{Answer, Client, bus, encoded, landscape};
use crate::server::standing;
use crate::wire;

pub async fn cursor(command: cli::Cursor) -> anyhow::Result<ExitCode> {
    match command {
        cli::Cursor::Show(args) => show(args).await,
        cli::Cursor::Rewind(args) => rewind(args).await,
    }
}

async fn show(args: cli::CursorShow) -> anyhow::Result<ExitCode> {
    let rows = match standings(&bus(&args.config.file)?).await? {
        Ok(rows) => rows,
        Err((status, body)) => return Ok(refused(status, &body)),
    };
    let wanted = |row: &&Value| args.feed.as_ref().is_none_or(|feed| row["feed"] == feed.as_str());
    let rows: Vec<&Value> = rows.iter().filter(wanted).collect();
    if args.json {
        println!("{}", json!(rows));
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rows {
        let cursor = row["cursor"].as_str().unwrap_or("at the beginning");
        let sealed = if row["sealed"] == true { "  (a batch is being published)" } else { "" };
        println!("{}  {cursor}{sealed}", row["feed"].as_str().unwrap_or("-"));
    }
    match &args.feed {
        Some(feed) if rows.is_empty() => bail!("feed {feed} has never run; `bus cursor show` lists those that have"),
        None if rows.is_empty() => println!("no feed has run yet"),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Where all feeds stand; or the refusal of the running bus.
async fn standings(bus: &Bus) -> anyhow::Result<Result<Vec<Value>, (StatusCode, String)>> {
    Ok(match Client::new(bus)?.get("/feeds").await? {
        Answer::Ok(body) => Ok(serde_json::from_str(&body)?),
        Answer::Refused(status, body) => Err((status, body)),
        Answer::NotRunning if bus.state.exists() => {
            let state = SqliteState::new(Database::open_readonly(&bus.state)?);
            Ok(state.standings().await?.iter().map(standing).collect())
        }
        Answer::NotRunning => Ok(Vec::new()),
    })
}

async fn rewind(args: cli::CursorRewind) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let standings = match standings(&landscape.bus).await? {
        Ok(rows) => rows,
        Err((status, body)) => return Ok(refused(status, &body)),
    };
    let present = standings.iter().find(|row| row["feed"] == args.feed.as_str()).and_then(|row| row["cursor"].as_str());
    let to = position(&landscape, &args, present.map(Cursor::new))?;
    let path = format!("/feeds/{}/cursor", encoded(&args.feed));
    let order = json!({ "cursor": to.as_str(), "force": args.force, "who": who() });
    let (mut before, mut given_up) = (None, 0);
    match Client::new(&landscape.bus)?.post_json(&path, &order).await? {
        Answer::Ok(body) => {
            let answer: Value = serde_json::from_str(&body)?;
            before = answer["before"].as_str().map(str::to_owned);
            given_up = answer["given_up"].as_u64().unwrap_or(0);
        }
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => {
            let state = SqliteState::new(Database::open(&landscape.bus.state)?);
            match state.move_cursor(&FeedName::new(&args.feed)?, &to, args.force).await? {
                Moved::Yes => {}
                Moved::GivenUp(records) => given_up = records,
                Moved::Unknown => bail!("feed {} has never run: it begins at the beginning anyway", args.feed),
                Moved::Sealed => {
                    eprintln!(
                        "bus: a batch of {} has to be published first: start the bus, then rewind; or give it up with --force",
                        args.feed
                    );
                    return Ok(ExitCode::from(EX_UNAVAILABLE));
                }
            }
        }
    };
    println!("{} goes on from {}", args.feed, to.as_str());
    println!("it stood at {}", before.as_deref().unwrap_or("what `bus cursor show` said"));
    if given_up > 0 {
        println!(
            "{given_up} records that were sealed and perhaps published are given up: they go out as they are read next"
        );
    }
    println!(
        "everything from {} on is read again; what has not changed since it was published is not sent again",
        args.to
    );
    Ok(ExitCode::SUCCESS)
}

/// The position that a value of the cursor column means, as its connector writes it; not one behind which rows would be
/// left out, unless that is wanted.
fn position(landscape: &Landscape, args: &cli::CursorRewind, present: Option<Cursor>) -> anyhow::Result<Cursor> {
    let (name, value) = (args.feed.as_str(), args.to.as_str());
    let Some(feed) = landscape.feeds.iter().find(|feed| feed.name.as_str() == name) else {
        let known: Vec<_> = landscape.feeds.iter().map(|feed| feed.name.as_str()).collect();
        bail!("there is no feed {name}; there are {}", known.join(", "))
    };
    match &feed.source {
        FeedSource::Push { .. } => bail!("feed {name} is pushed to: its senders alone know what came before"),
        FeedSource::Join(_) => {
            bail!("feed {name} is put together from other streams: rewind those, or `bus load {name} --to ROUTE`")
        }
        FeedSource::Query { .. } | FeedSource::Odata { .. } => {}
    }
    let source = wire::source::of(landscape, feed)?;
    let named = source.cursor_at(value)?;
    // A position that cannot be read is what a rewind mends.
    let present = present.filter(|present| source.skips(present, present).is_ok());
    if let (Some(present), false) = (present, args.skip)
        && source.skips(&present, &named)?
    {
        bail!(
            "feed {name} stands at {}, before {value}: what lies between would never be read; if that is wanted, say --skip",
            present.as_str()
        );
    }
    Ok(named)
}
