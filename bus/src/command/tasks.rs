//! `bus load`, `bus resend` and `bus tasks`: orders to the running bus.

use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use bus_config::Landscape;
use bus_core::policy::parse_moment;
use bus_core::vocabulary::Moment;
use serde_json::{Value, json};

use super::who::who;
use super::{not_running, refused};
use crate::cli;
use crate::client::{Answer, Client, bus, landscape};
use crate::shown;

pub async fn load(args: cli::Load) -> anyhow::Result<ExitCode> {
    let landscape = landscape(&args.config.file)?;
    let stream = stream_of(&landscape, &args.to)?;
    ensure!(stream == args.stream, "route {} takes stream {stream}, not {}", args.to, args.stream);
    order(&landscape, "load", &args.to, json!({}), args.share.share).await
}

pub async fn resend(args: cli::Resend) -> anyhow::Result<ExitCode> {
    let timed = args.since.is_some() || args.until.is_some();
    ensure!(
        args.all || timed || !args.only.is_empty(),
        "say what: --key KEY, --label LABEL, --since TIME (and --until TIME), or --all"
    );
    let landscape = landscape(&args.config.file)?;
    let moment = |text: &Option<String>| {
        let parse = |text: &String| parse_moment(text, landscape.bus.timezone, Moment::now());
        text.as_ref().map(parse).transpose().map_err(anyhow::Error::msg)
    };
    let chosen = json!({ "only": args.only, "since": moment(&args.since)?, "until": moment(&args.until)? });
    order(&landscape, "resend", &args.route, chosen, args.share.share).await
}

/// What a route takes; the bus's own count too.
fn stream_of<'a>(landscape: &'a Landscape, route: &str) -> anyhow::Result<&'a str> {
    let routes = landscape.routes.iter().map(|route| (route.name.to_string(), route.stream.as_str()));
    let own = landscape.own_routes().map(|(name, stream)| (name, stream.as_str()));
    let known: Vec<_> = routes.chain(own).collect();
    match known.iter().find(|(name, _)| name == route) {
        Some((_, stream)) => Ok(stream),
        None => {
            let names: Vec<_> = known.iter().map(|(name, _)| name.as_str()).collect();
            bail!("there is no route {route}; there are {}", names.join(", "))
        }
    }
}

async fn order(landscape: &Landscape, kind: &str, route: &str, chosen: Value, share: u8) -> anyhow::Result<ExitCode> {
    let stream = stream_of(landscape, route)?;
    let serves = |feed: &&bus_config::Feed| feed.streams.iter().any(|name| name.as_str() == stream);
    let feed = landscape.feeds.iter().find(serves).with_context(|| format!("no feed serves stream {stream}"))?;
    let mut order = json!({
        "kind": kind, "feed": feed.name, "stream": stream, "route": route, "share": share, "who": who()
    });
    order.as_object_mut().into_iter().for_each(|order| order.extend(chosen.as_object().cloned().unwrap_or_default()));
    Ok(match Client::new(&landscape.bus)?.post_json("/tasks", &order).await? {
        Answer::Ok(body) => {
            let answer: Value = serde_json::from_str(&body)?;
            let (id, records) = (&answer["task"], answer["records"].as_u64().unwrap_or(0));
            let only = if records > 0 { format!(" ({records} records)") } else { String::new() };
            println!(
                "task {id}: {kind} of {stream} to {route}{only}; it goes on after a restart. How far it is: bus tasks"
            );
            ExitCode::SUCCESS
        }
        Answer::Refused(status, body) => refused(status, &body),
        Answer::NotRunning => not_running(),
    })
}

pub async fn tasks(args: cli::Tasks) -> anyhow::Result<ExitCode> {
    let bus = bus(&args.config.file)?;
    let client = Client::new(&bus)?;
    let answer = match &args.command {
        Some(cli::TasksCommand::Cancel { id }) => client.delete(&format!("/tasks/{id}")).await?,
        None => client.get("/tasks").await?,
    };
    let body = match answer {
        Answer::Ok(body) => body,
        Answer::Refused(status, body) => return Ok(refused(status, &body)),
        Answer::NotRunning => return Ok(not_running()),
    };
    match &args.command {
        Some(cli::TasksCommand::Cancel { id }) => println!("task {id} is cancelled"),
        None if args.json => println!("{body}"),
        None => {
            let tasks: Vec<Value> = serde_json::from_str(&body)?;
            tasks.iter().for_each(|task| println!("{}", shown::line(&line(task), bus.timezone)));
            if tasks.is_empty() {
                println!("no tasks");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `3  load  orders → orders-to-crm  sending  4100 of 12000 (34 %)  by anna@erp1 since …`
fn line(task: &Value) -> String {
    let text = |name: &str| task[name].as_str().unwrap_or("-");
    let count = |name: &str| task[name].as_u64().unwrap_or(0);
    let (sent, kept) = (count("sent"), count("kept"));
    let behind = match count("keys_behind_percent") {
        0 => String::new(),
        percent => format!(", of the part after {percent} % of all keys"),
    };
    let progress = match text("stage") {
        "reading" => format!("{} read so far{behind}", count("read")),
        _ if kept == 0 && count("named") > 0 => {
            "nothing to send: nothing that was published has a key or label that was named".to_owned()
        }
        _ if kept == 0 => "nothing to send".to_owned(),
        _ => format!("{sent} of {kept} ({} %){behind}", sent * 100 / kept),
    };
    let error = task["error"].as_str().map_or(String::new(), |error| format!("  {error}"));
    let (kind, stream, route, stage) = (text("kind"), text("stream"), text("route"), text("stage"));
    let (who, at) = (text("who"), text("at"));
    format!("{}  {kind}  {stream} → {route}  {stage}  {progress}  by {who} since {at}{error}", task["id"])
}
