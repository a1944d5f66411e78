//! What differs between two landscapes: the jobs that have to end and to start, and what cannot change in a running bus.

use std::collections::BTreeSet;

use bus_config::shape::Shaper;
use bus_config::{Bus, Feed, FeedSource, Landscape, Map, MapSource, Route, Subscription, System, Via};
use bus_core::engine::supervisor::JobName;
use bus_core::vocabulary::{MapName, RouteName, StreamName, SystemName};

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

/// What holds until the process ends, as far as it differs.
pub fn fixed(old: &Landscape, new: &Landscape) -> Vec<String> {
    let of_bus = fixed_of_bus(&old.bus, &new.bus).into_iter().map(|option| format!("`{option}` of [bus]"));
    let told = (new.notify != old.notify).then(|| "`notify`".to_owned());
    let fixed = of_bus.chain(told).chain(fixed_by_maps(old, new)).chain(fixed_by_joins(old, new));
    fixed.chain(fixed_by_echoes(old, new)).collect()
}

/// What keeps a part knows what it is a part of.
fn fixed_by_joins(old: &Landscape, new: &Landscape) -> Vec<String> {
    let of = |landscape: &Landscape, name: &StreamName| landscape.joins().find(|join| join.stream == *name).cloned();
    let names: BTreeSet<&StreamName> = old.joins().chain(new.joins()).map(|join| &join.stream).collect();
    let changed = names.into_iter().filter(|name| of(old, name) != of(new, name));
    changed.map(|name| format!("`join` of stream {name}")).collect()
}

/// What keeps a map from a stream, or from what a route learns, has a place of its own; and what reads one from a system has
/// no job that a reload could end.
fn fixed_by_maps(old: &Landscape, new: &Landscape) -> Vec<String> {
    let mut fixed = BTreeSet::new();
    let kept = |landscape: &Landscape, name: &MapName| {
        let map = landscape.maps.iter().find(|map| map.handle.name == *name);
        map.filter(|map| matches!(map.source, MapSource::Stream { .. } | MapSource::Route { .. })).cloned()
    };
    for name in old.maps.iter().chain(&new.maps).map(|map| &map.handle.name) {
        if kept(old, name) != kept(new, name) {
            fixed.insert(format!("map `{name}`"));
        }
    }
    for map in &new.maps {
        let MapSource::Query { system, .. } = &map.source else { continue };
        let from = format!("(map `{}` is read from it)", map.handle.name);
        if new.system(system) != old.system(system) {
            fixed.insert(format!("system `{system}` {from}"));
        }
        if new.bus.timezone != old.bus.timezone {
            fixed.insert(format!("`timezone` of [bus] (map `{}` is read by it)", map.handle.name));
        }
    }
    fixed.into_iter().collect()
}

/// A pair notes for each other what they write: both sides have to know of an echo from their first message on.
fn fixed_by_echoes(old: &Landscape, new: &Landscape) -> Vec<String> {
    let of = |landscape: &Landscape, name: &RouteName| {
        landscape.routes.iter().find(|route| route.name == *name).and_then(|route| route.echo.clone())
    };
    let names: BTreeSet<&RouteName> =
        old.routes.iter().chain(&new.routes).filter(|route| route.echo.is_some()).map(|route| &route.name).collect();
    let changed = names.into_iter().filter(|name| of(old, name) != of(new, name));
    changed.map(|name| format!("`echo` of route {name}")).collect()
}

fn fixed_of_bus(old: &Bus, new: &Bus) -> Vec<&'static str> {
    let Bus { name, timezone: _, broker, state, listen, key, hold: _, log, journal } = new;
    let differs = [
        ("name", *name != old.name),
        ("broker", *broker != old.broker),
        ("state", *state != old.state),
        ("listen", *listen != old.listen),
        ("key", *key != old.key),
        ("log", *log != old.log),
        ("journal", *journal != old.journal),
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
        when = '.total == 0'
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
            ("'.total == 0'", "'.total == 1'", "route orders-to-erp", "route orders-to-erp"),
            ("{ id = \".id\" }", "{ id = \".sku\" }", "route stock-to-shop", "route stock-to-shop"),
            ("orders-to-erp]", "\"новый\"]", "route orders-to-erp", "route новый"),
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

    const MAPS: &str = r#"
        [systems.wms]
        kind = "sql"
        url = "postgres://wms/wms"
        [maps.currencies]
        values = { "643" = "RUB" }
        unknown = "pass"
        [maps.warehouses]
        from = "wms"
        query = "SELECT code AS key, city AS value FROM warehouses"
        schedule = "10m"
        [maps.names]
        stream = "stock"
        value = ".name"
        [routes.mapped]
        stream = "stock"
        to = "shop"
        transform = '. = { "c": lookup("currencies", .cur), "n": lookup("names", .id) }'
        send = { path = "/m", receiver_id = "/id" }
        [routes.back]
        stream = "stock"
        to = "erp"
        fields = { city = { path = ".at", map = "warehouses" } }
        echo = { of = "mapped", compare = [".status"] }
        send = { path = "/b" }
    "#;

    #[test]
    fn routes_with_the_same_maps_are_the_same() {
        let text = format!("{BASE}{MAPS}");
        let old = landscape(&text);
        assert!(between(&old, &landscape(&text)).is_none());
        for (from, to, jobs) in [
            ("\"c\": lookup", "\"d\": lookup", "route mapped"),
            ("map = \"warehouses\"", "map = \"currencies\"", "route back"),
            ("map = \"warehouses\"", "map = \"warehouses\", unknown = \"hold\"", "route back"),
            (
                "hold = \"1m\"",
                "hold = \"2m\"",
                "route back, route map.names, route mapped, route orders-to-erp, route orders-to-shop, route stock-to-shop",
            ),
        ] {
            let new = landscape(&text.replacen(from, to, 1));
            let found = between(&old, &new);
            assert_eq!((words(&found.end), words(&found.start)), (jobs.to_owned(), jobs.to_owned()), "{from}");
            assert!(fixed(&old, &new).is_empty(), "{from}");
        }
    }

    #[test]
    fn whoever_asks_a_map_that_comes_from_elsewhere_starts_anew() {
        let text = format!("{BASE}{MAPS}");
        let old = landscape(&text);
        for (from, to, jobs, maps) in [
            ("\"RUB\"", "\"RUR\"", "route mapped", "currencies"),
            ("unknown = \"pass\"", "", "route mapped", "currencies"),
            ("schedule = \"10m\"", "schedule = \"11m\"", "route back", "warehouses"),
            ("city AS value", "country AS value", "route back", "warehouses"),
            // Nobody asks it yet.
            ("[maps.names]", "[maps.more]\nvalues = { a = \"b\" }\n[maps.names]", "", ""),
        ] {
            let new = landscape(&text.replacen(from, to, 1));
            let found = between(&old, &new);
            assert_eq!((words(&found.end).as_str(), words(&found.start).as_str()), (jobs, jobs), "{from}");
            let changed: Vec<_> = found.maps.iter().map(MapName::as_str).collect();
            assert_eq!(changed.join(", "), maps, "{from}");
            assert!(fixed(&old, &new).is_empty() && fixed(&new, &old).is_empty(), "{from}");
        }
        let asked = "[subscriptions.bi]\nstream = \"stock\"\nvia = \"http\"\nkey = { env = \"K\" }\nfields = { c = { path = \".cur\", map = \"currencies\" } }\n";
        let (old, new) = (format!("{text}{asked}"), format!("{text}{asked}").replacen("\"RUB\"", "\"RUR\"", 1));
        assert_eq!(words(&between(&landscape(&old), &landscape(&new)).end), "route mapped, outbox bi");
    }

    #[test]
    fn kept_maps_and_echo_change_with_a_restart() {
        let text = format!("{BASE}{MAPS}");
        let old = landscape(&text);
        for (from, to, refused) in [
            ("value = \".name\"", "value = \".title\"", "map `names`"),
            (
                "[maps.names]\n        stream = \"stock\"\n        value = \".name\"",
                "[maps.names]\n        values = { a = \"b\" }",
                "map `names`",
            ),
            ("compare = [\".status\"]", "compare = [\".state\"]", "`echo` of route back"),
            ("echo = {", "# echo = {", "`echo` of route back"),
            ("wms/wms", "wms/wms2", "system `wms` (map `warehouses` is read from it)"),
            ("hold = \"1m\"", "timezone = \"Asia/Tomsk\"", "`timezone` of [bus] (map `warehouses` is read by it)"),
        ] {
            let new = landscape(&text.replacen(from, to, 1));
            assert_eq!(fixed(&old, &new), [refused], "{from} -> {to}");
            assert_eq!(fixed(&new, &old), [refused], "{to} -> {from}");
        }
        assert_eq!(fixed(&old, &landscape(BASE)), ["map `names`", "`echo` of route back"]);
    }

    #[test]
    fn what_cannot_change_at_runtime_is_named() {
        let old = landscape(BASE);
        let new = landscape(&BASE.replace("8080\"", "8081\"\n state = \"other.db\""));
        assert_eq!(fixed(&old, &new), ["`state` of [bus]", "`listen` of [bus]"]);
        assert!(fixed(&old, &old).is_empty());
    }
}
