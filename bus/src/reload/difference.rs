//! What differs between two landscapes: the jobs that have to end and to start, and what cannot change in a running bus.

use std::collections::BTreeSet;

use bus_config::{Bus, Feed, FeedSource, Landscape, Route, Subscription, System, Via};
use bus_core::engine::supervisor::JobName;
use bus_core::vocabulary::SystemName;

/// From one landscape to another.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Jobs that end: gone, or other than they were.
    pub end: BTreeSet<JobName>,
    /// Jobs that start: new, or other than they were.
    pub start: BTreeSet<JobName>,
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
    let Landscape { bus, systems, feeds, streams: _, routes, subscriptions, notify: _, maintenance: _ } = new;
    let mut found = Difference::default();
    let changed = |system: &&System| old.system(&system.name) != Some(*system);
    found.systems = systems.iter().filter(changed).map(|system| system.name.clone()).collect();
    let gone = old.systems.iter().filter(|system| new.system(&system.name).is_none());
    found.systems.extend(gone.map(|system| system.name.clone()));

    let everywhere = bus.timezone != old.bus.timezone;
    let same_feed = |feed: &Feed| {
        let streams =
            |landscape: &Landscape| feed.streams.iter().map(|name| landscape.stream(name).cloned()).collect::<Vec<_>>();
        let system = match &feed.source {
            FeedSource::Query { system, .. } => !found.systems.contains(system),
            FeedSource::Push { .. } => true,
        };
        !everywhere && system && old.feeds.contains(feed) && streams(old) == streams(new)
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
            && !found.systems.contains(&route.to)
            && old.routes.contains(route)
            && routes.contains(route)
    };
    let route_names = |routes: &[Route]| -> BTreeSet<JobName> {
        routes.iter().filter(|route| !same_route(route)).map(|route| JobName::Route(route.name.clone())).collect()
    };
    let (starting, ending) = (route_names(routes), route_names(&old.routes));

    let same = |one: &Subscription| !everywhere && old.subscriptions.contains(one) && subscriptions.contains(one);
    let outboxes = |list: &[Subscription]| -> BTreeSet<JobName> {
        let others = list.iter().filter(|one| !same(one) && matches!(one.via, Via::Http { .. }));
        others.map(|one| JobName::Outbox(one.name.clone())).collect()
    };
    let (outboxes_start, outboxes_end) = (outboxes(subscriptions), outboxes(&old.subscriptions));
    found.queues = *subscriptions != old.subscriptions;
    found.start = starts.into_iter().chain(starting).chain(outboxes_start).collect();
    found.end = ends.into_iter().chain(ending).chain(outboxes_end).collect();
    found
}

/// What holds until the process ends, as far as it differs.
pub fn fixed(old: &Landscape, new: &Landscape) -> Vec<&'static str> {
    let told = (new.notify != old.notify).then_some("notify");
    fixed_of_bus(&old.bus, &new.bus).into_iter().chain(told).collect()
}

fn fixed_of_bus(old: &Bus, new: &Bus) -> Vec<&'static str> {
    let Bus { name, timezone: _, broker, state, listen, key, hold: _, log } = new;
    let differs = [
        ("name", *name != old.name),
        ("broker", *broker != old.broker),
        ("state", *state != old.state),
        ("listen", *listen != old.listen),
        ("key", *key != old.key),
        ("log", *log != old.log),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(option, _)| option).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = r#"
        [bus]
        listen = "127.0.0.1:8080"
        hold = "1m"
        [systems.shop]
        kind = "http"
        url = "http://shop"
        [systems.erp]
        kind = "http"
        url = "http://erp"
        [streams."заказы"]
        listen = { path = "/in/orders", key = { env = "K" } }
        key = "id"
        [streams.stock]
        listen = { path = "/in/stock", key = { env = "K" } }
        key = "id"
        [routes.orders-to-shop]
        stream = "заказы"
        to = "shop"
        send = { path = "/o" }
        [routes.orders-to-erp]
        stream = "заказы"
        to = "erp"
        when = '.total > 0'
        send = { path = "/o" }
        [routes.stock-to-shop]
        stream = "stock"
        to = "shop"
        fields = { id = ".id" }
        send = { path = "/s" }
    "#;

    fn landscape(text: &str) -> Landscape {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("routes.toml");
        std::fs::write(&file, text).unwrap();
        let checked = bus_config::check(&file);
        checked.landscape.unwrap_or_else(|| panic!("{:?}", checked.diagnostics))
    }

    fn words(jobs: &BTreeSet<JobName>) -> String {
        let word = |job: &JobName| match job {
            JobName::Feed(name) => format!("feed {name}"),
            JobName::Route(name) => format!("route {name}"),
            JobName::Outbox(name) => format!("outbox {name}"),
        };
        jobs.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn only_what_changed_ends_and_starts() {
        let out = "[subscriptions.bi]\nstream = \"stock\"\nvia = \"http\"\nkey = { env = \"K\" }\nkeep = { for = \"1d\", bytes = \"1MB\" }\n[routes.orders-to-shop]";
        for (from, to, end, start) in [
            ("", "", "", ""),
            ("# nothing", "# a comment", "", ""),
            ("'.total > 0'", "'.total > 1'", "route orders-to-erp", "route orders-to-erp"),
            ("{ id = \".id\" }", "{ id = \".sku\" }", "route stock-to-shop", "route stock-to-shop"),
            ("orders-to-erp]", "новый]", "route orders-to-erp", "route новый"),
            ("\"http://erp\"", "\"http://erp2\"", "route orders-to-erp", "route orders-to-erp"),
            ("/in/stock", "/in/leftovers", "feed stock", "feed stock"),
            ("[routes.orders-to-shop]", out, "", "outbox bi"),
            (
                "hold = \"1m\"",
                "hold = \"2m\"",
                "route orders-to-erp, route orders-to-shop, route stock-to-shop",
                "route orders-to-erp, route orders-to-shop, route stock-to-shop",
            ),
        ] {
            let old = landscape(BASE);
            let new = landscape(&if from.is_empty() { BASE.to_owned() } else { BASE.replacen(from, to, 1) });
            let found = between(&old, &new);
            assert_eq!((words(&found.end).as_str(), words(&found.start).as_str()), (end, start), "{from} -> {to}");
            let back = between(&new, &old);
            assert_eq!((words(&back.end).as_str(), words(&back.start).as_str()), (start, end), "{to} -> {from}");
        }
    }

    #[test]
    fn what_cannot_change_at_runtime_is_named() {
        let old = landscape(BASE);
        let new = landscape(&BASE.replace("8080\"", "8081\"\n state = \"other.db\""));
        assert_eq!(fixed(&old, &new), ["state", "listen"]);
        assert!(fixed(&old, &old).is_empty());
    }
}
