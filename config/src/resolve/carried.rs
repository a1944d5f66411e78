//! How a route's records reach its system: by requests, or written to a base of 1C.

use bus_core::policy::Idempotency;
use bus_core::vocabulary::RouteName;
use bus_options::{Located, Report, codes};

use super::batch;
use super::write;
use crate::landscape::{Carried, DeleteRequest, Http, Send};
use crate::language::route::{self as language, Idempotent, Method, OnDelete};
use crate::language::system::System;
use crate::language::template::Template;

/// By requests, or by writing: whichever the system takes.
pub fn carried(
    name: &Located<RouteName>,
    route: &language::Route,
    to: Option<&System>,
    report: &mut Report,
) -> Carried {
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
