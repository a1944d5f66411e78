//! Routes and subscriptions.

use std::sync::Arc;
use std::time::Duration;

use bus_core::policy::{Idempotency, Jitter, RetryPolicy};
use bus_core::vocabulary::{RouteName, StreamName, SubscriptionName, SystemName};
use bus_options::{Definitions, Filled, Located, Map, Report, SecretRef, codes, nearest};
use chrono_tz::Tz;

use super::batch;
use super::requires;
use super::shaper;
use super::system::system;
use super::template;
use super::write;
use crate::landscape::{Broker, Carried, DeleteRequest, Echo, Http, Route, Send, Subscription, Via, WhenLeft};
use crate::language::profile::Pace;
use crate::language::route::{self as language, Idempotent, Method, OnDelete, Template};
use crate::language::stream::Stream;
use crate::language::subscription as subscribed;
use crate::language::system::System;
use crate::maps::Catalogue;
use crate::shape::Shaper;

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

/// By requests, or by writing: whichever the system takes.
fn carried(name: &Located<RouteName>, route: &language::Route, to: Option<&System>, report: &mut Report) -> Carried {
    if let Some(System::Odata(_)) = to {
        return write::odata(name, route, report);
    }
    // What a system takes that could not be read nobody knows.
    if let (Some(Located { span, .. }), Some(_)) = (&route.write, to) {
        let message = format!("`write` is for a base of 1C; `{}` is none", route.to.name());
        report.add_with_hint(codes::CONTRADICTION, span, message, "say send = { path = \"/…/{key}\" }");
    }
    if let OnDelete::Mark | OnDelete::Delete = &route.on_delete.value {
        let hint = "add on_delete = { path = \"/…/{key}\" }";
        let message = "only a base of 1C knows by itself how to delete";
        report.add_with_hint(codes::CONTRADICTION, &route.on_delete.span, message, hint);
    }
    let Some(Located { value: send, .. }) = &route.send else {
        if route.write.is_none() {
            let hint = "add send = { path = \"/…/{key}\" }";
            report.add_with_hint(codes::MISSING, &name.span, "`send` is required", hint);
        }
        let send = Send { method: Method::Post, path: String::new(), headers: Vec::new(), receiver_id: None };
        let idempotency = Idempotency::NonIdempotent;
        return Carried::Http(Http { send, on_delete: None, idempotency, idempotency_header: None, batch: None });
    };
    known_id(&send.path, send.receiver_id.is_some(), report);
    let mut methods = vec![send.method];
    if let OnDelete::Send(request) = &route.on_delete.value {
        known_id(&request.path, send.receiver_id.is_some(), report);
        methods.push(request.method);
    }
    let (idempotency, idempotency_header) = idempotency(route.idempotent.as_ref(), &methods);
    Carried::Http(Http {
        batch: batch::resolve(route, to, report).map(Box::new),
        on_delete: match &route.on_delete.value {
            OnDelete::Send(request) => {
                Some(DeleteRequest { method: request.method, path: request.path.value.0.clone() })
            }
            OnDelete::Ignore | OnDelete::Mark | OnDelete::Delete => None,
        },
        idempotency,
        idempotency_header,
        send: Send {
            method: send.method,
            path: send.path.value.0.clone(),
            headers: send.headers.0.clone(),
            receiver_id: send.receiver_id.as_ref().map(|pointer| pointer.0.clone()),
        },
    })
}

/// Whether a route learns its receiver's ids: of 1C always.
pub fn learns(route: &language::Route) -> bool {
    route.write.is_some() || route.send.as_ref().is_some_and(|send| send.value.receiver_id.is_some())
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

/// `{receiver_id}` needs to be learnt from an answer.
fn known_id(path: &Located<Template>, learnt: bool, report: &mut Report) {
    if path.value.uses("receiver_id") && !learnt {
        let hint = "say where in the answer it stands: send = { …, receiver_id = \"/id\" }";
        report.add_with_hint(codes::CONTRADICTION, &path.span, "`{receiver_id}` is never learnt", hint);
    }
}

/// Of all requests of a route together: one that does harm is enough.
fn idempotency(stated: Option<&Idempotent>, methods: &[Method]) -> (Idempotency, Option<String>) {
    let by = |yes| if yes { Idempotency::Idempotent } else { Idempotency::NonIdempotent };
    match stated {
        None => (by(methods.iter().all(|method| method.is_idempotent())), None),
        Some(Idempotent::Stated(yes)) => (by(*yes), None),
        Some(Idempotent::Header(header)) => (Idempotency::Idempotent, Some(header.clone())),
    }
}

pub fn subscriptions(
    written: Definitions<SubscriptionName, subscribed::Subscription>,
    broker: &Broker,
    catalogue: &Catalogue,
    zone: Tz,
    report: &mut Report,
) -> Vec<Subscription> {
    let mut resolved = Vec::new();
    for entry in written.0 {
        let subscription = entry.value;
        // The embedded broker has no queues for others, so there is one way only.
        let usual = match broker {
            Broker::Amqp { .. } => subscribed::Via::Amqp,
            Broker::Embedded => subscribed::Via::Http,
        };
        let taken = subscription.via.clone().unwrap_or(Located { value: usual, span: entry.key.span.clone() });
        as_it_is(&subscription, taken.value, report);
        let (when, transform) = (subscription.when.map(|when| when.value), subscription.transform.map(|t| t.value));
        let shape = shaper(when, transform, subscription.fields, catalogue, zone, report);
        may_not_wait(&entry.key, &shape, report);
        let Some(via) = via(&taken, subscription.key, broker, report) else { continue };
        resolved.push(Subscription {
            name: entry.key.value,
            stream: subscription.stream.name().clone(),
            via,
            keep_for: subscription.keep.age.0,
            keep_bytes: subscription.keep.bytes.0,
            shape,
        });
    }
    resolved
}

/// An outbox has one order for all keys: a message that waits would stop everything behind it.
fn may_not_wait(name: &Located<SubscriptionName>, shape: &Shaper, report: &mut Report) {
    let Some(map) = shape.holds_for() else { return };
    let message = format!("a subscription does not wait for map `{map}` to know a value");
    let hint = "say at the lookup what happens instead: default: \"…\", unknown: \"pass\" or unknown: \"dead-letter\"";
    report.add_with_hint(codes::CONTRADICTION, &name.span, message, hint);
}

/// A queue at RabbitMQ receives what is published, before anything of ours could filter or change it.
fn as_it_is(subscription: &subscribed::Subscription, via: subscribed::Via, report: &mut Report) {
    if via != subscribed::Via::Amqp {
        return;
    }
    let when = subscription.when.iter().map(|when| ("when", &when.span));
    let transform = subscription.transform.iter().map(|transform| ("transform", &transform.span));
    let fields = subscription.fields.iter().map(|fields| ("fields", &fields.span));
    for (key, span) in when.chain(transform).chain(fields) {
        let hint = format!("remove `{key}`, or write via = \"http\" with a key");
        let message = format!("`{key}` is not supported yet where a queue is the subscriber's own");
        report.add_with_hint(codes::NOT_YET, span, message, hint);
    }
}

fn via(
    via: &Located<subscribed::Via>,
    key: Option<Located<SecretRef>>,
    broker: &Broker,
    report: &mut Report,
) -> Option<Via> {
    let (message, hint, span) = match (via.value, key, broker) {
        (subscribed::Via::Http, Some(key), _) => return Some(Via::Http { key: key.value }),
        (subscribed::Via::Amqp, None, Broker::Amqp { .. }) => return Some(Via::Amqp),
        (subscribed::Via::Http, None, _) => {
            ("who asks over HTTP must present a key", "add key = { env = \"NAME\" }", &via.span)
        }
        (subscribed::Via::Amqp, Some(key), _) => {
            let hint = "remove `key`, or write via = \"http\"";
            report.add_with_hint(codes::CONTRADICTION, &key.span, "a queue is opened by the broker's own users", hint);
            return None;
        }
        (subscribed::Via::Amqp, None, Broker::Embedded) => (
            "the embedded broker has no queues for others",
            "write via = \"http\" with a key, or name RabbitMQ as the broker",
            &via.span,
        ),
    };
    report.add_with_hint(codes::CONTRADICTION, span, message, hint);
    None
}
