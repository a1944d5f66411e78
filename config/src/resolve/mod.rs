//! From tables to the landscape: what only shows when options are seen together.

mod batch;
mod bus;
mod feed;
mod join;
mod map;
mod odata;
mod requires;
mod route;
mod stream;
mod system;
mod template;
mod test;
mod watch;
mod write;

use std::path::Path;
use std::sync::Arc;

use bus_options::{Located, Report, Sources, codes};
use chrono_tz::Tz;

use crate::landscape::Landscape;
use crate::load::Tables;
use crate::maps::Catalogue;
use crate::shape::{Body, ConditionText, FieldsText, Shaper, TransformText};

/// Resolves the tables of all files. `None`, or a landscape with holes, only where the report holds a mistake.
pub fn resolve(tables: Tables, base: &Path, sources: &Sources, report: &mut Report) -> Option<Landscape> {
    let bus = bus::resolve(tables.bus, report)?;
    let zone = bus.timezone;
    let systems = system::resolve(&tables.systems, &tables.profiles, zone, report);
    let mut feeds = feed::resolve(&tables.feeds, &tables.streams, &tables.systems, report);
    let (own, mut streams) =
        stream::resolve(&tables.streams, &tables.feeds, &tables.systems, zone, bus.journal.age, report);
    feeds.extend(own);
    odata::names(&feeds, &mut streams, &tables.streams, report);
    let spans: Vec<_> = tables.feeds.0.iter().map(|feed| (feed.key.value.as_str(), &feed.key.span)).collect();
    odata::nodes(&feeds, &spans, report);
    feed::paths(&tables.feeds, &tables.streams, report);
    map::reserved(&tables.routes, &tables.subscriptions, report);
    let maps = map::resolve(&tables.maps, &tables.systems, &tables.routes, base, report);
    let catalogue = map::catalogue(&maps, report);
    for programs in &tables.programs {
        programs.compile(&catalogue, report);
    }
    let routes = route::routes(tables.routes, &tables.systems, &tables.streams, &catalogue, zone, bus.hold, report);
    let subscriptions = route::subscriptions(tables.subscriptions, &bus.broker, &catalogue, zone, report);
    let tests = test::tests(tables.tests, &maps, base, sources, report);
    let notify = watch::channels(tables.notify, report);
    let maintenance = watch::maintenance(tables.maintenance, zone);
    for (name, span) in report.unused("stream") {
        let hint = "add a route or a subscription with this stream, or remove it";
        report.add_with_hint(codes::NOBODY_TAKES, &span, format!("nobody takes the stream `{name}`"), hint);
    }
    Some(Landscape { bus, systems, feeds, streams, routes, subscriptions, notify, maintenance, maps, tests })
}

/// Filter and body of a route or subscription; `transform` and `fields` exclude each other.
fn shaper(
    when: Option<ConditionText>,
    transform: Option<TransformText>,
    fields: Option<Located<FieldsText>>,
    catalogue: &Catalogue,
    zone: Tz,
    report: &mut Report,
) -> Arc<Shaper> {
    if let (Some(_), Some(fields)) = (&transform, &fields) {
        let hint = "keep one of the two";
        report.add_with_hint(codes::CONTRADICTION, &fields.span, "`fields` beside `transform`", hint);
    }
    let when = when.and_then(|when| when.compile(catalogue, report));
    // A program with a mistake leaves a gap; the report keeps the landscape from being used.
    let body = match (transform, fields) {
        (None, None) => Body::AsIs,
        (Some(transform), _) => transform.compile(catalogue, report).map_or(Body::AsIs, Body::Transform),
        (None, Some(fields)) => Body::Fields(fields.value.compile(catalogue)),
    };
    Arc::new(Shaper::new(when, body, zone))
}
