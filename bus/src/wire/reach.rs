//! `bus check --connect`: reaches every system, the broker and the state store, and says what answered.

use std::time::Duration;

use bus_config::{Carried, FeedSource, Landscape, MapSource, SystemKind};
use bus_core::ports::source::{Source, SystemReport};
use bus_rabbitmq::RabbitMq;

use super::target::{self, Secrets};
use super::{maps, rabbitmq_options, source};

/// One system is waited for no longer.
const PATIENCE: Duration = Duration::from_secs(20);
/// A base of 1C takes half a minute to wake up, and as long for its `$metadata`.
const SLOW: Duration = Duration::from_secs(180);

/// What came of reaching one thing.
pub struct Reached {
    /// In words: "system shop", "stream orders (erp)", "the broker".
    pub what: String,
    /// What answered, or why nothing did.
    pub outcome: Result<SystemReport, String>,
}

/// Reaches everything, one after the other. Writes nothing anywhere.
pub async fn everything(landscape: &Landscape) -> Vec<Reached> {
    let mut reached = Vec::new();
    if let bus_config::Broker::Amqp { .. } = landscape.bus.broker {
        reached.push(Reached { what: "the broker".to_owned(), outcome: within(broker(landscape)).await });
    }
    for feed in &landscape.feeds {
        let (FeedSource::Query { system, .. } | FeedSource::Odata { system, .. }) = &feed.source else { continue };
        let Some(system) = landscape.system(system) else { continue };
        let ask = async {
            let source = source::of(landscape, feed).map_err(|error| format!("{error:#}"));
            source?.check().await.map_err(|error| error.to_string())
        };
        let kind = if feed.entity_column.is_some() { "feed" } else { "stream" };
        let what = format!("{kind} {} ({})", feed.name, system.name);
        let patience = if let SystemKind::Odata(_) = system.kind { SLOW } else { PATIENCE };
        reached.push(Reached { what, outcome: within_time(patience, ask).await });
    }
    for map in &landscape.maps {
        let MapSource::Query { system, query, .. } = &map.source else { continue };
        let Some(system) = landscape.system(system) else { continue };
        let ask = async {
            let name = map.full_name();
            let mut source = maps::source(system, &name, query).map_err(|error| format!("{error:#}"))?;
            source.check().await.map_err(|error| error.to_string())
        };
        let what = format!("map {} ({})", map.handle.name, system.name);
        reached.push(Reached { what, outcome: within(ask).await });
    }
    for route in &landscape.routes {
        let (Some(system), Carried::Odata(write)) = (landscape.system(&route.to), &route.carried) else { continue };
        let SystemKind::Odata(base) = &system.kind else { continue };
        let ask = async {
            let target = target::odata(landscape, system, base, route, write).map_err(|error| format!("{error:#}"))?;
            target.check().await.map_err(|error| error.to_string())
        };
        let what = format!("route {} ({})", route.name, system.name);
        reached.push(Reached { what, outcome: within_time(SLOW, ask).await });
    }
    for system in &landscape.systems {
        let SystemKind::Http(http) = &system.kind else { continue };
        let ask = async {
            let target = target::Http::new(system, http, Secrets::Read).map_err(|error| format!("{error:#}"))?;
            target.check().await
        };
        reached.push(Reached { what: format!("system {}", system.name), outcome: within(ask).await });
    }
    reached
}

async fn broker(landscape: &Landscape) -> Result<SystemReport, String> {
    let options = rabbitmq_options(landscape).map_err(|error| format!("{error:#}"))?;
    let options = options.ok_or("the broker is not RabbitMQ")?;
    let broker = RabbitMq::connect(options).await.map_err(|error| error.to_string())?;
    let report = broker.check().await.map_err(|error| error.to_string())?;
    Ok(SystemReport { version: report.version, latency: report.latency, remarks: report.problems })
}

async fn within(ask: impl Future<Output = Result<SystemReport, String>>) -> Result<SystemReport, String> {
    within_time(PATIENCE, ask).await
}

async fn within_time(
    patience: Duration,
    ask: impl Future<Output = Result<SystemReport, String>>,
) -> Result<SystemReport, String> {
    match tokio::time::timeout(patience, ask).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", patience.as_secs())),
    }
}
