//! Joined streams: the routes that keep their parts, and the reader that puts them together.

use std::sync::Arc;

use bus_config::shape::{Body, Shaper};
use bus_config::{Join, Landscape};
use bus_core::engine::part::PartTarget;
use bus_core::ports::source::Source;
use bus_storage::{Database, JoinPlan, JoinSource, JoinedPart, StoredPart};

use super::routes::{self, RoutePart};
use super::workshop::Workshop;

pub fn source(landscape: &Landscape, database: &Database, join: &Join) -> Box<dyn Source> {
    let part = |part: &bus_config::JoinPart| JoinedPart {
        stream: part.stream.clone(),
        name: part.field.clone(),
        many: part.many,
    };
    let plan = JoinPlan {
        stream: join.stream.clone(),
        key: join.key.clone(),
        label: landscape.stream(&join.stream).and_then(|stream| stream.label.clone()),
        main: join.main.clone(),
        with: join.with.iter().map(part).collect(),
    };
    Box::new(JoinSource::new(database.clone(), plan))
}

/// The routes that keep its parts.
pub fn routes(landscape: &Landscape, workshop: &Workshop, join: &Join) -> anyhow::Result<Vec<RoutePart>> {
    let zone = landscape.bus.timezone;
    let route = |(part, on): (&_, &[String])| {
        let writer = StoredPart {
            database: workshop.database.clone(),
            joined: join.stream.clone(),
            part: Clone::clone(part),
            main: join.main.clone(),
        };
        let target = PartTarget { writer: Arc::new(writer), on: on.to_vec() };
        let shape = Shaper::new(None, Body::AsIs, zone);
        routes::own(landscape, &join.route_of(part), part, Arc::new(target), shape)
    };
    join.parts().map(route).collect()
}
