//! What a record refers to, and who brings that to the same receiver.

use std::sync::Arc;

use bus_core::vocabulary::{RouteName, StreamName, SystemName};
use bus_options::{Definitions, Report, codes};

use crate::landscape::Requires;
use crate::language::route::Route;
use crate::language::stream::Stream;

/// Which route brings which stream where.
pub type Ways = Vec<(RouteName, StreamName, SystemName)>;

pub fn ways(written: &Definitions<RouteName, Route>) -> Ways {
    let way = |route: &Route| (route.stream.name().clone(), route.to.name().clone());
    let ways = written.0.iter().map(|entry| (entry.key.value.clone(), way(&entry.value)));
    ways.map(|(name, (stream, to))| (name, stream, to)).collect()
}

pub fn resolve(
    route: &Route,
    ways: &Ways,
    streams: &Definitions<StreamName, Stream>,
    report: &mut Report,
) -> Vec<Requires> {
    let Some(requires) = &route.requires else { return Vec::new() };
    let to = route.to.name();
    let mut resolved = Vec::new();
    for required in &requires.value.0 {
        let stream = required.stream.name();
        let span = &required.stream.0.span;
        let bring = ways.iter().filter(|(_, brought, system)| brought == stream && system == to);
        let from: Vec<RouteName> = bring.map(|(name, ..)| name.clone()).collect();
        let known = streams.0.iter().find(|entry| entry.key.value == *stream);
        // A stream that is not there is reported where names are checked.
        let Some(key) = known.map(|entry| &entry.value.key.value.0) else { continue };
        if key.len() > 1 {
            let message = format!("`{stream}` is known by {} columns: a record refers to it by one value", key.len());
            let hint = "require a stream with a key of one column";
            report.add_with_hint(codes::NOT_YET, span, message, hint);
        }
        if from.is_empty() {
            let message = format!("no route brings `{stream}` to `{to}`, so nothing could ever be delivered there");
            let hint = format!("add a route with stream = \"{stream}\" and to = \"{to}\", or remove `requires`");
            report.add_with_hint(codes::NOBODY_DELIVERS, span, message, hint);
        }
        resolved.push(Requires {
            stream: stream.clone(),
            from,
            keys: Arc::new(required.keys.0.clone()),
            within: required.within.0,
            late: required.late,
            preloaded: required.preloaded,
        });
    }
    resolved
}
