//! What differs between two landscapes: the jobs that have to end and to start.

use std::collections::BTreeSet;

use bus_config::shape::Shaper;
use bus_config::{Feed, FeedSource, Landscape, Map, Route, Subscription, System, Via};
use bus_core::engine::supervisor::JobName;
use bus_core::vocabulary::{MapName, RouteName, SystemName};

use crate::wire::source;

/// From one landscape to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Jobs that end: gone, or other than they were.
    pub end: BTreeSet<JobName>,
    /// Jobs that start: new, or other than they were.
    pub start: BTreeSet<JobName>,
    /// Maps whose values come from elsewhere than they did; who asks them starts anew.
    pub maps: BTreeSet<MapName>,
    /// Systems whose gates cannot stay as they are.
    pub systems: BTreeSet<SystemName>,
    /// A queue is another's, or no one's: subscriptions of one's own queue have no job that would say so.
    pub queues: bool,
}

impl Difference {
    /// The same throughout?
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Compares. Every part of a landscape is named here, so that a new one cannot be forgotten.
pub fn between(old: &Landscape, new: &Landscape) -> Difference {
    let Landscape { bus, systems, feeds, streams: _, routes, subscriptions, notify: _, maintenance: _, maps, tests: _ } =
        new;
    let mut found = Difference::default();
    let other = |map: &&Map| old.maps.iter().any(|known| known.handle.name == map.handle.name && known != *map);
    found.maps = maps.iter().filter(other).map(|map| map.handle.name.clone()).collect();
    let asks_another = |shape: &Shaper| shape.maps().into_iter().any(|map| found.maps.contains(map));
    let changed = |system: &&System| old.system(&system.name) != Some(*system);
    found.systems = systems.iter().filter(changed).map(|system| system.name.clone()).collect();
    let gone = old.systems.iter().filter(|system| new.system(&system.name).is_none());
    found.systems.extend(gone.map(|system| system.name.clone()));

    let everywhere = bus.timezone != old.bus.timezone;
    let same_feed = |feed: &Feed| {
        let streams =
            |landscape: &Landscape| feed.streams.iter().map(|name| landscape.stream(name).cloned()).collect::<Vec<_>>();
        let system = match &feed.source {
            FeedSource::Query { system, .. } | FeedSource::Odata { system, .. } => !found.systems.contains(system),
            FeedSource::Push { .. } | FeedSource::Join(_) => true,
        };
        // A feed of 1C watches the fields that are read of it.
        let readers = |landscape: &Landscape| {
            let streams = feed.streams.iter().filter_map(|name| landscape.stream(name));
            streams.map(|stream| source::readers(landscape, stream)).collect::<Vec<_>>()
        };
        let watched = !matches!(feed.source, FeedSource::Odata { .. }) || readers(old) == readers(new);
        !everywhere && system && watched && old.feeds.contains(feed) && streams(old) == streams(new)
    };
    let feed_names = |feeds: &[Feed], same: &dyn Fn(&Feed) -> bool| -> BTreeSet<JobName> {
        feeds.iter().filter(|feed| !same(feed)).map(|feed| JobName::Feed(feed.name.clone())).collect()
    };
    let starts = feed_names(feeds, &same_feed);
    let ends = feed_names(&old.feeds, &|feed| feeds.contains(feed) && same_feed(feed));

    let hold = bus.hold != old.bus.hold;
    let same_route = |route: &Route| {
        !everywhere
            && !hold
            && !asks_another(&route.shape)
            && !found.systems.contains(&route.to)
            && old.routes.contains(route)
            && routes.contains(route)
    };
    let route_names = |routes: &[Route]| -> BTreeSet<JobName> {
        routes.iter().filter(|route| !same_route(route)).map(|route| JobName::Route(route.name.clone())).collect()
    };
    let (starting, ending) = (route_names(routes), route_names(&old.routes));
    // The bus's own routes know nothing else that could change.
    let keeping = |landscape: &Landscape| -> BTreeSet<JobName> {
        let names = landscape.own_routes().filter(|_| hold).filter_map(|(name, _)| RouteName::new(&name).ok());
        names.map(JobName::Route).collect()
    };
    let (keeping_start, keeping_end) = (keeping(new), keeping(old));

    let same = |one: &Subscription| {
        let known = old.subscriptions.contains(one) && subscriptions.contains(one);
        !everywhere && !asks_another(&one.shape) && known
    };
    let outboxes = |list: &[Subscription]| -> BTreeSet<JobName> {
        let others = list.iter().filter(|one| !same(one) && matches!(one.via, Via::Http { .. }));
        others.map(|one| JobName::Outbox(one.name.clone())).collect()
    };
    let (outboxes_start, outboxes_end) = (outboxes(subscriptions), outboxes(&old.subscriptions));
    found.queues = *subscriptions != old.subscriptions;
    found.start = starts.into_iter().chain(starting).chain(keeping_start).chain(outboxes_start).collect();
    found.end = ends.into_iter().chain(ending).chain(keeping_end).chain(outboxes_end).collect();
    found
}

#[cfg(test)]
#[path = "difference_tests.rs"]
mod tests;
