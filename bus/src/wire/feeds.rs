//! Feeds: a source, its reading capacity, and for pushed records the door they come through.

use std::time::Duration;

use anyhow::Context;
use bus_config::{Feed, FeedSource, Landscape, OdataSystem, SystemKind};
use bus_connectors::push::PushHandle;
use bus_core::engine::capture::{Changes, DeletionGuard, FeedPlan, StreamPlan};
use bus_core::engine::gate::Capacity;
use bus_core::policy::Schedule;
use bus_core::ports::source::{BatchLimit, Source};
use bus_core::vocabulary::{FeedName, GateName, Secret};

use super::secrets::load;
use super::workshop::Workshop;
use super::{gates, joins, source};

/// A path where records are pushed.
#[derive(Clone)]
pub struct Door {
    pub key: Secret,
    pub handle: PushHandle,
    /// Whose records they are.
    pub feed: FeedName,
}

/// One batch: enough for group commits, small enough to be read again after a crash.
const BATCH: BatchLimit = BatchLimit { records: 1000, bytes: 4 * 1024 * 1024 };
/// Pushed records are waited for, not polled.
const PUSH_SCHEDULE: Schedule = Schedule::Every(Duration::from_secs(1));

/// A feed that may be started.
pub struct FeedPart {
    pub plan: FeedPlan,
    pub source: Box<dyn Source>,
    /// The gate of its reads; `None` where no system is asked.
    pub gate: Option<(GateName, Capacity)>,
    /// Where its records are pushed, if they are.
    pub door: Option<(String, Door)>,
}

pub fn prepare(landscape: &Landscape, workshop: &Workshop, feed: &Feed) -> anyhow::Result<FeedPart> {
    let streams: Vec<&bus_config::Stream> = feed.streams.iter().filter_map(|name| landscape.stream(name)).collect();
    let plan = |schedule, changes| FeedPlan {
        name: feed.name.clone(),
        streams: streams
            .iter()
            .map(|s| StreamPlan { name: s.name.clone(), key: s.key.clone(), date: s.date.clone() })
            .collect(),
        schedule,
        timezone: landscape.bus.timezone,
        changes,
        limit: BATCH,
    };
    match &feed.source {
        FeedSource::Push { path, key } => {
            let (source, handle) = source::pushed(source::serves(landscape, feed)?);
            let key = load(key, &format!("the key of {path}"))?;
            Ok(FeedPart {
                plan: plan(PUSH_SCHEDULE, Changes::Push),
                source,
                gate: None,
                door: Some((path.clone(), Door { key, handle, feed: feed.name.clone() })),
            })
        }
        FeedSource::Join(join) => Ok(FeedPart {
            plan: plan(join.schedule.clone(), Changes::Cursor { recheck: None }),
            source: joins::source(landscape, &workshop.database, join),
            gate: None,
            door: None,
        }),
        FeedSource::Query { system, schedule, changes, .. } | FeedSource::Odata { system, schedule, changes } => {
            let system = landscape.system(system).with_context(|| format!("system {system} is missing"))?;
            let reads = match &system.kind {
                SystemKind::Sql { reads, .. } | SystemKind::Odata(OdataSystem { reads, .. }) => reads,
                SystemKind::Http(_) => anyhow::bail!("feed {}: {} cannot be read", feed.name, system.name),
            };
            Ok(FeedPart {
                plan: plan(schedule.clone(), engine_changes(changes)),
                source: source::of(landscape, feed)?,
                gate: Some(gates::of_reads(system, reads)),
                door: None,
            })
        }
    }
}

fn engine_changes(changes: &bus_config::Changes) -> Changes {
    let guard = |share: f64| DeletionGuard { percent: share * 100.0 };
    match changes {
        bus_config::Changes::Cursor { recheck, .. } | bus_config::Changes::Plan { recheck, .. } => Changes::Cursor {
            recheck: recheck.as_ref().map(|recheck| (recheck.schedule.clone(), guard(recheck.guard))),
        },
        bus_config::Changes::Diff { guard: share, .. } => Changes::Diff(guard(*share)),
    }
}
