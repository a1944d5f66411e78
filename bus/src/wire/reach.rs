//! `bus check --connect`: reaches every system, the broker and the state store, and says what answered.

use std::time::{Duration, Instant};

use bus_config::{Carried, FeedSource, Landscape, MapSource, System, SystemKind};
use bus_connectors::{odata, sql};
use bus_core::policy::{Micros, Now, Pacer, Profile, Tick};
use bus_core::ports::source::{Source, SystemReport};
use bus_core::vocabulary::Moment;
use bus_rabbitmq::RabbitMq;

use super::broker::rabbitmq_options;
use super::secrets::Secrets;
use super::{maps, source, target};

/// One system is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A base of 1C takes half a minute to wake up, and as long for its `$metadata`.
const SLOW: Duration = Duration::from_secs(180);

/// What came of reaching one thing.
pub struct Reached {
    /// In words: "system shop", "stream orders (erp)", "the broker".
    pub what: String,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of reaching one thing.
pub enum Outcome {
    /// It answered.
    Answered(SystemReport),
    /// Why it did not.
    Failed(String),
    /// Why it was not asked.
    Left(String),
}

/// A check asks beside the pace; only what its own profile closes now is left alone: the system may not be there, or may not be
/// touched. The words say when it opens.
fn closed(pace: Option<&Profile>, word: &str) -> Option<String> {
    let now = Now { wall: Micros::now(), mono: Tick::default() };
    let profile = pace.filter(|profile| profile.piece_at(now.wall).rate.is_closed())?;
    let opens = match Pacer::new(profile.clone(), 0.0, now).next_grant(now) {
        Some(wait) => format!("it opens at {}", Moment::now().after(wait)),
        None => "it stays so for more than a week".to_owned(),
    };
    Some(format!("not asked: its {word} is 0/min now, {opens}"))
}

fn reads(system: &System) -> Option<String> {
    match &system.kind {
        SystemKind::Sql { reads, .. } => closed(reads.pace.as_ref(), "`reads`"),
        SystemKind::Odata(base) => closed(base.reads.pace.as_ref(), "`reads`"),
        SystemKind::Http(_) => None,
    }
}

fn takes(system: &System) -> Option<String> {
    match &system.kind {
        SystemKind::Http(http) => closed(http.takes.capacity.pace.as_ref(), "`capacity`"),
        SystemKind::Odata(base) => closed(base.takes.capacity.pace.as_ref(), "`capacity`"),
        SystemKind::Sql { .. } => None,
    }
}

/// Reaches everything, one after the other. Writes nothing anywhere.
pub async fn everything(landscape: &Landscape) -> Vec<Reached> {
    let mut reached = vec![Reached { what: "the state store".to_owned(), outcome: within(state(landscape)).await }];
    if let bus_config::Broker::Amqp { .. } = landscape.bus.broker {
        reached.push(Reached { what: "the broker".to_owned(), outcome: within(broker(landscape)).await });
    }
    for system in &landscape.systems {
        // A base that is only written to is described to a reader all the same.
        let left = match system.kind {
            SystemKind::Http(_) => takes(system),
            SystemKind::Sql { .. } | SystemKind::Odata(_) => reads(system),
        };
        let outcome = unless(left, within_time(patience(system), one(landscape, system))).await;
        reached.push(Reached { what: format!("system {}", system.name), outcome });
    }
    reached.extend(feeds(landscape).await);
    reached.extend(map_queries(landscape).await);
    reached.extend(writes(landscape).await);
    reached
}

fn patience(system: &System) -> Duration {
    if let SystemKind::Odata(_) = system.kind { SLOW } else { PATIENCE }
}

/// A system by itself, whether or not anything uses it.
async fn one(landscape: &Landscape, system: &System) -> Result<SystemReport, String> {
    let words = |error: anyhow::Error| format!("{error:#}");
    match &system.kind {
        SystemKind::Http(http) => target::Http::new(system, http, Secrets::Read).map_err(words)?.check().await,
        SystemKind::Sql { url, .. } => {
            let address = source::address(system, url).map_err(words)?;
            sql::reach(&address).await.map_err(|error| error.to_string())
        }
        SystemKind::Odata(base) => {
            let options = source::base_of(landscape, system, base).map_err(words)?;
            let begun = Instant::now();
            let published = odata::Catalogue::read(&options).await.map_err(|error| error.to_string())?;
            let (latency, objects) = (begun.elapsed(), published.objects().len());
            let rights = vec![format!("may read the description of the {objects} objects that are published")];
            Ok(SystemReport { version: "1C OData".to_owned(), latency, rights, remarks: Vec::new() })
        }
    }
}

async fn feeds(landscape: &Landscape) -> Vec<Reached> {
    let mut reached = Vec::new();
    for feed in &landscape.feeds {
        let (FeedSource::Query { system, .. } | FeedSource::Odata { system, .. }) = &feed.source else { continue };
        let Some(system) = landscape.system(system) else { continue };
        let ask = async {
            let source = source::of(landscape, feed).map_err(|error| format!("{error:#}"));
            source?.check().await.map_err(|error| error.to_string())
        };
        let kind = if feed.entity_column.is_some() { "feed" } else { "stream" };
        let what = format!("{kind} {} ({})", feed.name, system.name);
        let outcome = unless(reads(system), within_time(patience(system), ask)).await;
        reached.push(Reached { what, outcome });
    }
    reached
}

async fn map_queries(landscape: &Landscape) -> Vec<Reached> {
    let mut reached = Vec::new();
    for map in &landscape.maps {
        let MapSource::Query { system, query, .. } = &map.source else { continue };
        let Some(system) = landscape.system(system) else { continue };
        let ask = async {
            let name = map.full_name();
            let mut source = maps::source(system, &name, query).map_err(|error| format!("{error:#}"))?;
            source.check().await.map_err(|error| error.to_string())
        };
        let what = format!("map {} ({})", map.handle.name, system.name);
        let outcome = unless(reads(system), within(ask)).await;
        reached.push(Reached { what, outcome });
    }
    reached
}

/// Routes that write to a base of 1C.
async fn writes(landscape: &Landscape) -> Vec<Reached> {
    let mut reached = Vec::new();
    for route in &landscape.routes {
        let (Some(system), Carried::Odata(write)) = (landscape.system(&route.to), &route.carried) else { continue };
        let SystemKind::Odata(base) = &system.kind else { continue };
        let ask = async {
            let target = target::odata(landscape, system, base, route, write).map_err(|error| format!("{error:#}"))?;
            target.check().await.map_err(|error| error.to_string())
        };
        let what = format!("route {} ({})", route.name, system.name);
        let outcome = unless(takes(system), within_time(SLOW, ask)).await;
        reached.push(Reached { what, outcome });
    }
    reached
}

async fn state(landscape: &Landscape) -> Result<SystemReport, String> {
    let (path, begun) = (landscape.bus.state.clone(), Instant::now());
    let look = tokio::task::spawn_blocking(move || bus_storage::look(&path)).await;
    let look = look.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    let rights = match look.exists {
        true => "may read and write the file",
        false => "may make the file: there is none yet",
    };
    let holder = look.holder.map(|holder| format!("the bus with process number {} has it", holder.pid));
    let (version, latency) = (look.version, begun.elapsed());
    Ok(SystemReport { version, latency, rights: vec![rights.to_owned()], remarks: holder.into_iter().collect() })
}

async fn broker(landscape: &Landscape) -> Result<SystemReport, String> {
    let options = rabbitmq_options(landscape).map_err(|error| format!("{error:#}"))?;
    let options = options.ok_or("the broker is not RabbitMQ")?;
    let broker = RabbitMq::connect(options).await.map_err(|error| error.to_string())?;
    let report = broker.check().await.map_err(|error| error.to_string())?;
    match report.problems.as_slice() {
        [] => Ok(SystemReport {
            version: report.version,
            latency: report.latency,
            rights: vec![report.rights],
            remarks: Vec::new(),
        }),
        problems => Err(problems.join("; ")),
    }
}

async fn unless(left: Option<String>, ask: impl Future<Output = Outcome>) -> Outcome {
    match left {
        Some(why) => Outcome::Left(why),
        None => ask.await,
    }
}

async fn within(ask: impl Future<Output = Result<SystemReport, String>>) -> Outcome {
    within_time(PATIENCE, ask).await
}

async fn within_time(patience: Duration, ask: impl Future<Output = Result<SystemReport, String>>) -> Outcome {
    match tokio::time::timeout(patience, ask).await {
        Ok(Ok(report)) => Outcome::Answered(report),
        Ok(Err(error)) => Outcome::Failed(error),
        Err(_) => Outcome::Failed(format!("no answer within {} s", patience.as_secs())),
    }
}
