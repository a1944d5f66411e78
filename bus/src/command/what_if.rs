//! `bus what-if NEW.toml`: what an edited configuration makes of the messages that really came, beside what the present one
//! makes of them. Sends nothing, changes nothing; reads the state store beside the running bus.

use std::collections::{BTreeMap, HashMap};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::{Landscape, MapSource, Route};
use bus_core::ports::permits::Permits;
use bus_core::ports::recent::Recent;
use bus_core::ports::story::{Stories, StoryOf};
use bus_core::vocabulary::{Envelope, Key, Moment, RouteName, StreamName};
use bus_storage::{Database, SqliteJournal, StoredMap};
use serde_json::json;

use super::EX_CONFIG;
use crate::cli;
use crate::client::{Answer, Client, landscape};
use crate::rehearsal::{Compared, Outlook, Stage, Standing, Work, compared, outlooks, told};
use crate::reload::count;
use crate::server::Status;
use crate::wire::maps;

/// Columns where nobody sees them.
const WIDTH: usize = 100;
/// What came lately is what came in this time.
const LATELY: Duration = Duration::from_secs(3600);

pub async fn what_if(args: cli::WhatIf) -> anyhow::Result<ExitCode> {
    let old = landscape(&args.config.file)?;
    let checked = bus_config::check(&args.new);
    let Some(new) = checked.landscape else {
        eprint!("{}", bus_options::to_text(&checked.diagnostics, bus_options::Colour::Off));
        eprintln!("{}: {}", args.new.display(), count(checked.diagnostics.len(), "mistake"));
        return Ok(ExitCode::from(EX_CONFIG));
    };
    let database = Database::open_readonly(&old.bus.state)
        .with_context(|| format!("what-if reads the messages of the past from {}", old.bus.state.display()))?;
    let journal = SqliteJournal::readonly(database.clone());
    let mut notes = Vec::new();
    let stages = (stage(&old, &database, &mut notes).await?, stage(&new, &database, &mut notes).await?);
    notes.dedup();
    let mut rows = Vec::new();
    let mut streams: BTreeMap<StreamName, Vec<Envelope>> = BTreeMap::new();
    for (route, is) in routes(&old, &new, args.route.as_deref()) {
        if !streams.contains_key(&route.stream) {
            let newest = journal.newest(&route.stream, args.last).await?;
            notes.extend(missing(&new, &route.stream, newest.len()));
            streams.insert(route.stream.clone(), newest);
        }
        let messages = &streams[&route.stream];
        let ids = ids(&journal, &route.name, messages).await?;
        rows.push(compared((&stages.0, &stages.1), &route.name, is, messages, &ids));
    }
    if rows.is_empty() {
        anyhow::bail!("no route is called {:?} in either configuration", args.route.unwrap_or_default());
    }
    let (work, running) = work(&old, &journal).await?;
    if !running {
        notes.push("the bus does not run, so nobody knows what waits: no forecast".to_owned());
    }
    let outlooks = if running { outlooks((&old, &new), &rows, &work, Moment::now()) } else { Vec::new() };
    if args.json {
        println!("{}", json!({ "routes": rows, "forecast": outlooks, "notes": notes }));
    } else {
        print(&rows, &outlooks, &notes, args.show);
    }
    Ok(ExitCode::SUCCESS)
}

/// Routes of both configurations, the new one's first.
fn routes<'a>(old: &'a Landscape, new: &'a Landscape, only: Option<&str>) -> Vec<(&'a Route, Standing)> {
    let in_old = |route: &Route| old.routes.iter().any(|known| known.name == route.name);
    let in_new = |route: &Route| new.routes.iter().any(|known| known.name == route.name);
    let kept = new.routes.iter().map(|route| (route, if in_old(route) { Standing::Kept } else { Standing::New }));
    let removed = old.routes.iter().filter(|route| !in_new(route)).map(|route| (route, Standing::Removed));
    kept.chain(removed).filter(|(route, _)| only.is_none_or(|only| route.name.as_str() == only)).collect()
}

fn missing(new: &Landscape, name: &StreamName, found: usize) -> Option<String> {
    let stream = new.stream(name);
    if found == 0 {
        let archived = stream.is_some_and(|stream| stream.archive.is_some());
        return Some(match archived {
            true => format!("stream {name}: the archive holds no message yet"),
            false => format!("stream {name} keeps no bodies to look at: archive = \"30d\" in [streams.{name}]"),
        });
    }
    let masked = stream.is_some_and(|stream| !stream.mask.is_empty());
    masked.then(|| format!("stream {name}: masked fields are stars in the archive, and the routes saw these"))
}

/// The routes with their maps: those that the bus keeps are read from its state, others from their databases.
async fn stage(landscape: &Landscape, database: &Database, notes: &mut Vec<String>) -> anyhow::Result<Stage> {
    for map in &landscape.maps {
        let name = map.full_name();
        match &map.source {
            MapSource::Inline(_) | MapSource::Csv(_) => {}
            MapSource::Stream { .. } => {
                map.handle
                    .bind(Arc::new(StoredMap::open(database.clone(), &map.handle.name).context("the state store")?));
            }
            MapSource::Route { route, gives } => map.handle.bind(Arc::new(maps::learnt(database, route, *gives)?)),
            MapSource::Query { system, query, .. } => {
                let system = landscape.system(system).with_context(|| format!("system {system} is missing"))?;
                let read = match maps::source(system, &name, query) {
                    Ok(mut source) => {
                        maps::entries(&mut source, &Permits::unbounded()).await.map_err(|error| error.message)
                    }
                    Err(error) => Err(format!("{error:#}")),
                };
                match read {
                    Ok(entries) => map.handle.bind(Arc::new(bus_config::maps::Table::of(entries))),
                    Err(why) => {
                        notes.push(format!("map {} could not be read, so what needs it waits: {why}", map.handle.name))
                    }
                }
            }
        }
    }
    Stage::new(landscape)
}

/// What the route's receiver calls the records of these messages.
async fn ids(
    journal: &SqliteJournal,
    route: &RouteName,
    messages: &[Envelope],
) -> anyhow::Result<HashMap<Key, String>> {
    let mut ids = HashMap::new();
    for envelope in messages {
        let of = StoryOf {
            stream: envelope.stream.clone(),
            key: envelope.key.clone(),
            routes: vec![route.clone()],
            versions: 0,
            since: None,
            until: None,
        };
        let story = journal.story(&of).await?;
        let id = story.fences.into_iter().find_map(|(_, fence)| fence.receiver_id);
        ids.extend(id.map(|id| (envelope.key.clone(), id)));
    }
    Ok(ids)
}

/// What waits now, as the running bus says, and what came in the last hour; `false` if the bus does not run.
async fn work(old: &Landscape, journal: &SqliteJournal) -> anyhow::Result<(HashMap<String, Work>, bool)> {
    let status: Status = match Client::new(&old.bus)?.get("/status").await? {
        Answer::Ok(body) => serde_json::from_str(&body)?,
        Answer::Refused(..) | Answer::NotRunning => return Ok((HashMap::new(), false)),
    };
    let mut work = HashMap::new();
    let since = Moment(Moment::now().0 - LATELY.as_millis() as i64);
    for route in &old.routes {
        let Some(known) = status.routes.iter().find(|known| known.name == route.name.as_str()) else { continue };
        let came = journal.read_since(&route.stream, since).await?;
        let backlog = (known.queued.unwrap_or(0) + known.waiting) as f64;
        work.insert(known.name.clone(), Work { backlog, arrivals: came as f64 / LATELY.as_secs_f64() });
    }
    Ok((work, true))
}

fn print(rows: &[Compared], outlooks: &[Outlook], notes: &[String], show: usize) {
    let terminal = std::io::stdout().is_terminal();
    let width = if terminal { crossterm::terminal::size().map_or(WIDTH, |(columns, _)| columns.into()) } else { WIDTH };
    let colour = terminal && std::env::var_os("NO_COLOR").is_none();
    for row in rows {
        for line in told(row, show, width, colour) {
            println!("{line}");
        }
    }
    for Outlook { route, backlog, before, after } in outlooks {
        println!("\nforecast of {route}, where {backlog} wait:");
        println!("  before: {}", before.as_deref().unwrap_or("the route is not there"));
        println!("  after:  {}", after.as_deref().unwrap_or("the route is not there"));
    }
    for note in notes {
        println!("\nnote: {note}");
    }
}
