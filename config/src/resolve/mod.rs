//! From tables to the landscape: what only shows when options are seen together.

mod bus;
mod route;
mod stream;
mod system;
mod watch;

use std::sync::Arc;

use bus_options::{Located, Report, codes};
use chrono_tz::Tz;

use crate::landscape::Landscape;
use crate::load::Tables;
use crate::shape::{Body, Condition, Fields, Shaper, Transform};

/// Resolves the tables of all files. `None`, or a landscape with holes, only where the report holds a mistake.
pub fn resolve(tables: Tables, report: &mut Report) -> Option<Landscape> {
    let bus = bus::resolve(tables.bus, report)?;
    let zone = bus.timezone;
    let systems = system::resolve(&tables.systems, &tables.profiles, zone, report);
    let (feeds, streams) = stream::resolve(&tables.streams, &tables.systems, zone, bus.journal.age, report);
    let routes = route::routes(tables.routes, &tables.systems, zone, report);
    let subscriptions = route::subscriptions(tables.subscriptions, &bus.broker, zone, report);
    let notify = watch::channels(tables.notify, report);
    let maintenance = watch::maintenance(tables.maintenance, zone);
    for (name, span) in report.unused("stream") {
        let hint = "add a route or a subscription with this stream, or remove it";
        report.add_with_hint(codes::NOBODY_TAKES, &span, format!("nobody takes the stream `{name}`"), hint);
    }
    Some(Landscape { bus, systems, feeds, streams, routes, subscriptions, notify, maintenance })
}

/// Filter and body of a route or subscription; `transform` and `fields` exclude each other.
fn shaper(
    when: Option<Condition>,
    transform: Option<Transform>,
    fields: Option<Located<Fields>>,
    zone: Tz,
    report: &mut Report,
) -> Arc<Shaper> {
    let body = match (transform, fields) {
        (None, None) => Body::AsIs,
        (Some(transform), None) => Body::Transform(transform),
        (None, Some(fields)) => Body::Fields(fields.value),
        (Some(transform), Some(fields)) => {
            let hint = "keep one of the two";
            report.add_with_hint(codes::CONTRADICTION, &fields.span, "`fields` beside `transform`", hint);
            Body::Transform(transform)
        }
    };
    Arc::new(Shaper::new(when, body, zone))
}
