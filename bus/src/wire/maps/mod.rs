//! Maps: what answers for each, and what keeps it current.
//!
//! A route that a reload leaves alone goes on with the map it was compiled with. So whatever answers lives as long as
//! somebody may ask it, and the task that keeps it current ends when nobody can any more.

mod file;
mod query;
pub mod shared;

use std::sync::Arc;

use anyhow::Context;
use bus_config::maps::Table;
use bus_config::shape::Shaper;
use bus_config::{Landscape, MapSource, SystemKind};
use bus_core::engine::keep::{MapTarget, VALUE};
use bus_core::vocabulary::RouteName;
use bus_storage::{Database, Gives, ReceiverIds};

use super::gates;
use super::routes::{self, RoutePart};
use super::workshop::Workshop;

pub use query::{QueryPart, entries, source};

/// Binds the maps of a landscape to what answers for them; what reads databases is started later.
pub fn prepare(landscape: &Landscape, workshop: &Workshop) -> anyhow::Result<Vec<QueryPart>> {
    let mut queries = Vec::new();
    for map in &landscape.maps {
        let name = map.full_name();
        match &map.source {
            MapSource::Inline(_) => {}
            MapSource::Csv(csv) => {
                let keep = file::keep(name.clone(), Arc::downgrade(csv), workshop.incidents.clone());
                workshop.maps.start(&name, &workshop.incidents, keep);
            }
            // Shared with the landscape before: it is read already.
            MapSource::Query { .. } if map.handle.is_bound() => {}
            MapSource::Query { system, query, schedule } => {
                let table = Arc::new(Table::default());
                map.handle.bind(Arc::clone(&table) as _);
                let system = landscape.system(system).with_context(|| format!("system {system} is missing"))?;
                let SystemKind::Sql { reads, .. } = &system.kind else {
                    anyhow::bail!("{name}: {} cannot be read", system.name)
                };
                let (gate, capacity) = gates::of_reads(system, reads);
                queries.push(QueryPart {
                    source: source(system, &name, query)?,
                    name,
                    table: Arc::downgrade(&table),
                    schedule: schedule.clone(),
                    zone: landscape.bus.timezone,
                    gate,
                    capacity,
                });
            }
            MapSource::Route { route, gives } => {
                map.handle.bind(Arc::new(learnt(&workshop.maps.database, route, *gives)?));
            }
            MapSource::Stream { .. } => map.handle.bind(Arc::new(workshop.maps.stored(&map.handle.name)?)),
        }
    }
    Ok(queries)
}

/// The ids that a route has learnt.
pub fn learnt(database: &Database, route: &RouteName, gives: bus_config::Gives) -> anyhow::Result<ReceiverIds> {
    let gives = match gives {
        bus_config::Gives::Key => Gives::Key,
        bus_config::Gives::ReceiverId => Gives::ReceiverId,
    };
    ReceiverIds::open(database, route.clone(), gives).context("the state store")
}

/// The route that keeps a map from a stream; `None` for other maps.
pub fn route(landscape: &Landscape, workshop: &Workshop, map: &bus_config::Map) -> anyhow::Result<Option<RoutePart>> {
    let MapSource::Stream { stream, value } = &map.source else { return Ok(None) };
    let target = Arc::new(MapTarget(Arc::new(workshop.maps.stored(&map.handle.name)?)));
    let shape = Shaper::one(VALUE, value.clone(), landscape.bus.timezone);
    routes::own(landscape, &map.full_name(), stream, target, shape).map(Some)
}
