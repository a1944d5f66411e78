//! From tables to the landscape: what only shows when options are seen together.

mod batch;
mod bus;
mod carried;
mod feed;
mod join;
mod map;
mod odata;
mod reading;
mod requires;
mod route;
mod shaper;
mod stream;
mod subscription;
mod system;
mod template;
mod test;
mod watch;
mod write;

use std::path::Path;

use bus_options::{Report, Sources, codes};

use crate::landscape::Landscape;
use crate::load::Tables;

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
    let subscriptions = subscription::subscriptions(tables.subscriptions, &bus.broker, &catalogue, zone, report);
    let tests = test::tests(tables.tests, &maps, base, sources, report);
    let notify = watch::channels(tables.notify, report);
    let maintenance = watch::maintenance(tables.maintenance, zone);
    for (name, span) in report.unused("stream") {
        let hint = "add a route or a subscription with this stream, or remove it";
        report.add_with_hint(codes::NOBODY_TAKES, &span, format!("nobody takes the stream `{name}`"), hint);
    }
    Some(Landscape { bus, systems, feeds, streams, routes, subscriptions, notify, maintenance, maps, tests })
}
