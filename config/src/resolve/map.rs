//! Maps: each from exactly one place.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bus_core::vocabulary::{MapName, RouteName, SubscriptionName, SystemName};
use bus_options::{Definitions, EntityName, Entry, Ref, Report, Span, codes};

use super::carried::learns;
use super::system::{dialect, system};
use crate::landscape::{Gives, Map, MapSource, is_own_route};
use crate::language::map as language;
use crate::language::route::Route;
use crate::language::system::System;
use crate::maps::{Catalogue, CsvFile, Encoding, Handle, Table, Unknown};

/// A map kept from a stream is usually only a moment behind the messages that need it.
const STREAM_HOLD: Duration = Duration::from_secs(3600);

type Routes = Definitions<RouteName, Route>;
type Written = Entry<MapName, language::Map>;

pub fn resolve(
    written: &Definitions<MapName, language::Map>,
    systems: &Definitions<SystemName, System>,
    routes: &Routes,
    base: &Path,
    report: &mut Report,
) -> Vec<Map> {
    written.0.iter().map(|entry| map(entry, systems, routes, base, report)).collect()
}

/// The bus's own routes are called `map.NAME` and `join.STREAM.PART`: a queue of that name would be shared.
pub fn reserved<R, S>(
    routes: &Definitions<RouteName, R>,
    subscriptions: &Definitions<SubscriptionName, S>,
    report: &mut Report,
) {
    let routes = routes.0.iter().map(|entry| (entry.key.value.as_str(), &entry.key.span));
    let subscriptions = subscriptions.0.iter().map(|entry| (entry.key.value.as_str(), &entry.key.span));
    for (name, span) in routes.chain(subscriptions).filter(|(name, _)| is_own_route(name)) {
        let message = format!("`{name}`: names that begin with `map.` or `join.` belong to the bus's own routes");
        report.add_with_hint(codes::BAD_NAME, span, message, "for example \"maps.…\", or another word");
    }
}

/// What programs know of the maps. One that could not be read still has a name: its mistake is not told again at every
/// lookup.
pub fn catalogue(maps: &[Map], report: &Report) -> Catalogue {
    let mut catalogue = Catalogue(maps.iter().map(|map| map.handle.clone()).collect());
    for name in report.defined(MapName::KIND).filter_map(|name| MapName::new(name).ok()) {
        if catalogue.get(name.as_str()).is_none() {
            catalogue.0.push(Handle::new(name, Unknown::DeadLetter, true));
        }
    }
    catalogue
}

fn map(
    entry: &Written,
    systems: &Definitions<SystemName, System>,
    routes: &Routes,
    base: &Path,
    report: &mut Report,
) -> Map {
    let map = &entry.value;
    one_place(entry, report);
    if let (Some(encoding), None) = (&map.encoding, &map.csv) {
        let hint = "remove `encoding`, or name the file with `csv`";
        report.add_with_hint(codes::CONTRADICTION, &encoding.span, "`encoding` without a file", hint);
    }
    let (bound, source) = match in_memory(map, base, report) {
        Some((table, source)) => (Some(table), source),
        // A map with a mistake still has a name, so that the mistake is not reported again at every lookup.
        None => (None, elsewhere(map, systems, routes, report).unwrap_or_else(|| MapSource::Inline(Arc::default()))),
    };
    let unknown = match &source {
        MapSource::Stream { .. } | MapSource::Route { .. } => Unknown::Hold(STREAM_HOLD),
        MapSource::Inline(_) | MapSource::Csv(_) | MapSource::Query { .. } => Unknown::DeadLetter,
    };
    let texts = match &source {
        MapSource::Inline(_) => map.values.iter().flat_map(|map| &map.value.0).all(|entry| entry.value.0.is_string()),
        MapSource::Csv(_) | MapSource::Route { .. } => true,
        MapSource::Query { .. } | MapSource::Stream { .. } => false,
    };
    let handle = Handle::new(entry.key.value.clone(), map.unknown.clone().unwrap_or(unknown), texts);
    if let Some(table) = bound {
        handle.bind(table);
    }
    Map { handle, source }
}

/// Values that are here already.
fn in_memory(
    map: &language::Map,
    base: &Path,
    report: &mut Report,
) -> Option<(Arc<dyn bus_core::ports::map::Map>, MapSource)> {
    if let Some(values) = &map.values {
        let entries = values.value.0.iter().map(|entry| (entry.key.value.as_str().into(), entry.value.0.clone()));
        let table = Arc::new(Table::of(entries.collect()));
        return Some((Arc::clone(&table) as _, MapSource::Inline(table)));
    }
    let csv = map.csv.as_ref()?;
    let encoding = map.encoding.as_ref().map_or(Encoding::Utf8, |encoding| encoding.value);
    match CsvFile::open(base.join(&csv.value), encoding) {
        Ok(file) => {
            let file = Arc::new(file);
            Some((Arc::clone(&file) as _, MapSource::Csv(file)))
        }
        Err(message) => {
            report.add(codes::MAP_FILE, &csv.span, message);
            None
        }
    }
}

/// Values that others bring.
fn elsewhere(
    map: &language::Map,
    systems: &Definitions<SystemName, System>,
    routes: &Routes,
    report: &mut Report,
) -> Option<MapSource> {
    if let Some(from) = &map.from {
        if let Some(System::Http(_) | System::Odata(_)) = system(systems, from.name()) {
            let hint = "`from` names a system with kind = \"sql\"";
            report.add_with_hint(codes::CONTRADICTION, &from.0.span, format!("`{}` cannot be read", from.name()), hint);
        }
        let query = map.query.as_ref()?;
        if query.parse(dialect(systems, from.name()), report).is_some_and(|select| select.takes_cursor()) {
            let message = "a map is read whole, but the query uses `:cursor`";
            report.add_with_hint(codes::CONTRADICTION, &query.0.span, message, "remove the condition");
        }
        let (query, schedule) = (query.0.text.clone(), map.schedule.clone()?);
        return Some(MapSource::Query { system: from.name().clone(), query, schedule });
    }
    if let Some(route) = &map.route {
        learnt(route, routes, report);
        let gives = map.gives.as_ref().map_or(Gives::Key, |gives| gives.value);
        return Some(MapSource::Route { route: route.name().clone(), gives });
    }
    let (stream, value) = (map.stream.as_ref()?, map.value.as_ref()?);
    Some(MapSource::Stream { stream: stream.name().clone(), value: value.value.clone() })
}

/// A receiver's id has to be learnt from its answers.
fn learnt(route: &Ref<RouteName>, routes: &Routes, report: &mut Report) {
    let found = routes.0.iter().find(|entry| entry.key.value == *route.name());
    if found.is_some_and(|entry| !learns(&entry.value)) {
        let hint = "say there where in the answer it stands: send = { …, receiver_id = \"/id\" }";
        let message = format!("the route `{}` never learns its receiver's ids", route.name());
        report.add_with_hint(codes::CONTRADICTION, &route.0.span, message, hint);
    }
}

/// Exactly one of five places, with all that belongs to it and nothing that belongs to another.
fn one_place(entry: &Written, report: &mut Report) {
    let (name, map) = (&entry.key, &entry.value);
    let places: Vec<(&str, &Span)> = [
        map.values.as_ref().map(|values| ("values", &values.span)),
        map.csv.as_ref().map(|csv| ("csv", &csv.span)),
        map.from.as_ref().map(|from| ("from", &from.0.span)),
        map.stream.as_ref().map(|stream| ("stream", &stream.0.span)),
        map.route.as_ref().map(|route| ("route", &route.0.span)),
    ]
    .into_iter()
    .flatten()
    .collect();
    let hint = "one of: values = { … }, csv = \"FILE\", from with query and schedule, stream with value, \
                or route";
    match places.as_slice() {
        [] => report.add_with_hint(codes::MISSING, &name.span, "nothing says what the map holds", hint),
        [_] => {}
        [(first, _), (second, span), ..] => {
            let message = format!("`{second}` beside `{first}`: a map comes from one place");
            report.add_with_hint(codes::CONTRADICTION, span, message, hint);
        }
    }
    if let (Some(gives), None) = (&map.gives, &map.route) {
        let hint = "remove `gives`, or add `route`";
        report.add_with_hint(codes::CONTRADICTION, &gives.span, "`gives` belongs to `route`", hint);
    }
    let mut belongs = |key: &str, there: Option<&Span>, to: &str, wanted: bool| match (there, wanted) {
        (None, true) => {
            let hint = format!("add {key} = …, beside `{to}`");
            report.add_with_hint(codes::MISSING, &name.span, format!("`{key}` is required"), hint);
        }
        (Some(span), false) => {
            let hint = format!("remove `{key}`, or add `{to}`");
            report.add_with_hint(codes::CONTRADICTION, span, format!("`{key}` belongs to `{to}`"), hint);
        }
        _ => {}
    };
    belongs("query", map.query.as_ref().map(|query| &query.0.span), "from", map.from.is_some());
    belongs("schedule", map.schedule.as_ref().map(|_| &name.span), "from", map.from.is_some());
    belongs("value", map.value.as_ref().map(|value| &value.span), "stream", map.stream.is_some());
}
