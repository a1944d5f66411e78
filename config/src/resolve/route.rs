//! Routes.

use std::sync::Arc;
use std::time::Duration;

use bus_core::policy::{Jitter, RetryPolicy};
use bus_core::vocabulary::{RouteName, StreamName, SystemName};
use bus_options::{Definitions, Filled, Located, Map, Report, codes, nearest};
use chrono_tz::Tz;

use super::batch;
use super::carried::{carried, learns};
use super::requires;
use super::shaper::shaper;
use super::system::system;
use super::template;
use crate::landscape::{Echo, Route, WhenLeft};
use crate::language::profile::Pace;
use crate::language::route::{self as language, OnDelete};
use crate::language::stream::Stream;
use crate::language::system::System;
use crate::maps::Catalogue;

pub fn routes(
    written: Definitions<RouteName, language::Route>,
    systems: &Definitions<SystemName, System>,
    streams: &Definitions<StreamName, Stream>,
    catalogue: &Catalogue,
    zone: Tz,
    hold: Duration,
    report: &mut Report,
) -> Vec<Route> {
    former_names(&written, report);
    pairs(&written, report);
    let ways = requires::ways(&written);
    let mut resolved = Vec::with_capacity(written.0.len());
    for entry in written.0 {
        template::check(&entry.value, system(systems, entry.value.to.name()), streams, report);
        batch::waits(&entry.value, hold, report);
        let requires = requires::resolve(&entry.value, &ways, streams, report);
        resolved.push(Route { requires, ..route(entry.key, entry.value, systems, catalogue, zone, report) });
    }
    resolved
}

fn route(
    name: Located<RouteName>,
    route: language::Route,
    systems: &Definitions<SystemName, System>,
    catalogue: &Catalogue,
    zone: Tz,
    report: &mut Report,
) -> Route {
    if let Some(System::Sql(_)) = system(systems, route.to.name()) {
        let message = format!("`{}` is a database: the bus does not write to one yet", route.to.name());
        report.add_with_hint(codes::NOT_YET, &route.to.0.span, message, "`to` names a system with kind = \"http\"");
    }
    let takes = match system(systems, route.to.name()) {
        Some(System::Http(http)) => Some(&http.capacity),
        Some(System::Odata(odata)) => Some(&odata.capacity),
        Some(System::Sql(_)) | None => None,
    };
    if let (Some(operation), Some(capacity)) = (&route.operation, takes) {
        known_operation(operation, route.to.name(), &capacity.operations, report);
    }
    let when_left = left(&name, &route, report);
    let carried = carried(&name, &route, system(systems, route.to.name()), report);
    let retry = route.retry;
    Route {
        name: name.value,
        was: route.was.map(|former| former.0.value),
        stream: route.stream.name().clone(),
        to: route.to.name().clone(),
        operation: route.operation.map(|operation| operation.value.0),
        shape: shaper(route.when, route.transform, route.fields, catalogue, zone, report),
        when_left,
        delivery: route.delivery,
        carried,
        retry: RetryPolicy {
            // At most 1000 by its type.
            attempts: retry.attempts.get() as u32,
            first: retry.first.0,
            max: retry.max.0.max(retry.first.0),
            jitter: Jitter::default(),
        },
        concurrency: route.concurrency.get() as usize,
        empty_by: route.empty_by.map(|by| by.0),
        echo: route.echo.map(|Located { value: echo, .. }| Echo {
            of: echo.of.name().clone(),
            compare: Arc::new(echo.compare),
            by: echo.by.value,
        }),
        requires: Vec::new(),
        schedule: route.schedule,
    }
}

/// An echo comes from another route, which has to learn the ids that it is found by.
fn pairs(written: &Definitions<RouteName, language::Route>, report: &mut Report) {
    for entry in &written.0 {
        let Some(Located { value: echo, .. }) = &entry.value.echo else { continue };
        let (of, span) = (echo.of.name(), &echo.of.0.span);
        if *of == entry.key.value {
            let hint = "name the route of the other way";
            report.add_with_hint(codes::CONTRADICTION, span, "a route is not the echo of itself", hint);
        }
        let other = written.0.iter().find(|other| other.key.value == *of);
        let learns = other.is_none_or(|other| learns(&other.value));
        if echo.by.value == language::EchoKey::ReceiverId && !learns {
            let hint = "say there where in the answer it stands: send = { …, receiver_id = \"/id\" }";
            let message = format!("the route `{of}` never learns its receiver's ids");
            report.add_with_hint(codes::CONTRADICTION, &echo.by.span, message, hint);
        }
    }
}

/// An operation without a pace of its own would be a limit that somebody believes in and nobody keeps.
fn known_operation(operation: &Located<Filled>, system: &SystemName, known: &Map<Pace>, report: &mut Report) {
    let names = || known.0.iter().map(|entry| entry.key.value.as_str());
    let name = &operation.value.0;
    if names().any(|known| known == name) {
        return;
    }
    let hint = match nearest(name, names()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("define it: [systems.{system}] capacity = {{ …, operations = {{ {name} = \"250/h\" }} }}"),
    };
    let message = format!("system `{system}` has no operation `{name}`");
    report.add_with_hint(codes::UNKNOWN_REFERENCE, &operation.span, message, hint);
}

/// A place can go to one route, and only when no route has it.
fn former_names(written: &Definitions<RouteName, language::Route>, report: &mut Report) {
    let mut seen: Vec<&RouteName> = Vec::new();
    for Located { value: was, span } in written.0.iter().filter_map(|entry| Some(&entry.value.was.as_ref()?.0)) {
        if written.0.iter().any(|entry| entry.key.value == *was) {
            let hint = "remove `was`, or rename the other route too";
            report.add_with_hint(codes::PLACE_TAKEN, span, format!("there still is a route `{was}`"), hint);
        } else if seen.contains(&was) {
            let hint = "keep `was` in the one that is to go on from where it stood";
            report.add_with_hint(codes::PLACE_TAKEN, span, format!("two routes were `{was}`"), hint);
        }
        seen.push(was);
    }
}

/// What has left must have been filtered, and can be deleted only by a request. A default says nothing to a route from
/// which nothing can leave.
fn left(name: &Located<RouteName>, route: &language::Route, report: &mut Report) -> WhenLeft {
    let Located { value: left, span } = &route.when_left;
    if left.value == WhenLeft::Ignore || (!left.own && route.when.is_none()) {
        return WhenLeft::Ignore;
    }
    if route.when.is_none() {
        let hint = "add `when`, or remove `when_left`";
        report.add_with_hint(codes::CONTRADICTION, span, "nothing leaves a route without `when`", hint);
    }
    if matches!(route.on_delete.value, OnDelete::Ignore) {
        let hint = match route.write {
            None => "add on_delete = { path = \"/…/{key}\" }",
            Some(_) => "add on_delete = \"mark\"",
        };
        let message = "what has left is to be deleted, but no request says how";
        match left.own {
            true => report.add_with_hint(codes::CONTRADICTION, span, message, hint),
            // The default is right; this route lacks something.
            false => {
                let hint = format!("{hint}, or when_left = \"ignore\" beside `when`");
                report.add_with_hint(codes::CONTRADICTION, &name.span, format!("{message} (see [defaults])"), hint);
            }
        }
    }
    left.value
}
