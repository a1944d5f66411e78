//! `bus backfill`: orders to the queue, and how far it is.

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use bus_config::{Bus, Feed, FeedSource, Landscape};
use bus_core::policy::parse_period;
use bus_core::vocabulary::Period;
use serde_json::{Value, json};

use super::who::who;
use super::{not_running, refused};
use crate::cli::{self, BackfillCommand};
use crate::client::{Answer, Client, bus, landscape};

pub async fn backfill(args: cli::Backfill) -> anyhow::Result<ExitCode> {
    match args.command {
        None => order(args).await,
        Some(BackfillCommand::List(list)) => self::list(&bus(&list.config.file)?, list.json).await,
        Some(BackfillCommand::Pause(one)) => set_state(&one, "paused").await,
        Some(BackfillCommand::Resume(one)) => set_state(&one, "open").await,
        Some(BackfillCommand::Cancel(one)) => set_state(&one, "cancelled").await,
    }
}

async fn order(args: cli::Backfill) -> anyhow::Result<ExitCode> {
    // The command line asks for all three.
    let (Some(stream), Some(from), Some(to)) = (args.stream, args.from, args.to) else {
        bail!("say what, from when and to when")
    };
    let landscape = landscape(&args.config.file)?;
    let feed = readable(&landscape, &stream)?;
    let taking = landscape.routes.iter().filter(|route| route.stream.as_str() == stream);
    let taking: Vec<String> = taking.map(|route| route.name.to_string()).collect();
    ensure!(!taking.is_empty(), "no route takes stream {stream}");
    for route in &args.route {
        ensure!(taking.contains(route), "no route {route} takes stream {stream}; there are {}", taking.join(", "));
    }
    let routes = if args.route.is_empty() { taking } else { args.route };
    let period = parse_period(&from, &to).map_err(anyhow::Error::msg)?;
    let order = json!({
        "kind": if args.again { "resend" } else { "load" }, "feed": feed.name, "stream": stream, "routes": routes,
        "from": Period::write(period.from), "to": Period::write(period.to), "step_seconds": args.step.as_secs(),
        "priority": args.priority, "share": args.share.share, "who": who(),
    });
    Ok(match Client::new(&landscape.bus)?.post_json("/backfills", &order).await? {
        Answer::Ok(body) => {
            let answer: Value = serde_json::from_str(&body)?;
            println!(
                "backfill {}: {stream} of {period} to {}, {} steps; it goes on after a restart. How far it is: bus backfill list",
                answer["backfill"],
                routes.join(", "),
                answer["steps"]
            );
            ExitCode::SUCCESS
        }
        Answer::Refused(status, body) => refused(status, &body),
        Answer::NotRunning => not_running(),
    })
}

/// The feed of a stream that can be read by date.
fn readable<'a>(landscape: &'a Landscape, name: &str) -> anyhow::Result<&'a Feed> {
    let Some(stream) = landscape.streams.iter().find(|stream| stream.name.as_str() == name) else {
        let known: Vec<_> = landscape.streams.iter().map(|stream| stream.name.as_str()).collect();
        bail!("there is no stream {name}; there are {}", known.join(", "))
    };
    let feed = landscape.feeds.iter().find(|feed| feed.streams.contains(&stream.name));
    let feed = feed.with_context(|| format!("no feed serves stream {name}"))?;
    match &feed.source {
        FeedSource::Join(_) => bail!("stream {name} is put together from other streams: backfill those"),
        FeedSource::Push { .. } if stream.archive.is_none() => {
            bail!(
                "stream {name} is pushed and has no archive to be read from: say archive = \"30d\" in [streams.{name}]"
            )
        }
        FeedSource::Query { .. } | FeedSource::Odata { .. } if stream.date.is_none() => bail!(
            "stream {name} cannot be read by date: say date = \"COLUMN\" in [streams.{name}], which of its columns is the date"
        ),
        _ => Ok(feed),
    }
}

async fn set_state(one: &cli::BackfillOne, state: &str) -> anyhow::Result<ExitCode> {
    let client = Client::new(&bus(&one.config.file)?)?;
    let path = format!("/backfills/{}/{state}", one.id);
    Ok(match client.post_json(&path, &json!({ "who": who() })).await? {
        Answer::Ok(_) => {
            println!("backfill {} is {state}", one.id);
            ExitCode::SUCCESS
        }
        Answer::Refused(status, body) => refused(status, &body),
        Answer::NotRunning => not_running(),
    })
}

async fn list(bus: &Bus, as_json: bool) -> anyhow::Result<ExitCode> {
    let body = match Client::new(bus)?.get("/backfills").await? {
        Answer::Ok(body) => body,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => return Ok(not_running()),
    };
    if as_json {
        println!("{body}");
        return Ok(ExitCode::SUCCESS);
    }
    let all: Vec<Value> = serde_json::from_str(&body)?;
    for one in &all {
        println!("{}", line(one));
        one["under_way"].as_array().into_iter().flatten().for_each(|task| println!("      {}", step(task)));
    }
    if all.is_empty() {
        println!("no backfills");
    }
    Ok(ExitCode::SUCCESS)
}

/// `2  orders → crm, oms  open  73 of 365 steps (20 %), up to 2026-03-15  priority 5  by anna@erp1 since …`
fn line(one: &Value) -> String {
    let text = |name: &str| one[name].as_str().unwrap_or("-");
    let count = |name: &str| one[name].as_u64().unwrap_or(0);
    let routes: Vec<&str> = one["routes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let (done, all) = (count("steps_done"), count("steps"));
    let percent = done * 100 / all.max(1);
    let error = one["error"].as_str().map_or(String::new(), |error| format!("  {error}"));
    format!(
        "{}  {} → {}  {}  {done} of {all} steps ({percent} %), from {} up to {}  {} handed to routes  priority {}  by {} since {}{error}",
        one["id"],
        text("stream"),
        routes.join(", "),
        text("state"),
        day(text("from")),
        day(text("reached")),
        count("sent"),
        one["priority"],
        text("who"),
        text("at"),
    )
}

/// Midnight is the day.
fn day(bound: &str) -> &str {
    bound.strip_suffix("T00:00:00").unwrap_or(bound)
}

fn step(task: &Value) -> String {
    let route = task["route"].as_str().unwrap_or("-");
    let aside = if task["held_up"] == true { "; aside until it can get on: bus status" } else { "" };
    match task["stage"].as_str().unwrap_or("-") {
        "reading" => format!("{route}: reading, {} read so far{aside}", task["read"]),
        stage => format!("{route}: {stage}, {} of {} handed over{aside}", task["sent"], task["kept"]),
    }
}
