//! What cannot change in a running bus.

use std::collections::BTreeSet;

use bus_config::{Bus, Landscape, MapSource};
use bus_core::vocabulary::{MapName, RouteName, StreamName};

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
