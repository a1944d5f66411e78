//! Routes, their maps and targets, built from a landscape. Connects to nothing and reads no secret.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::Context;
use bus_config::maps::{Entries, Table};
use bus_config::{Carried, Gone, Landscape, MapSource, OdataWrite, RouteTest, SystemKind};
use bus_connectors::http::HttpTarget;
use bus_connectors::push;
use bus_connectors::{Served, Serves};
use bus_core::engine::seal::{LastPublished, Numbering, seal};
use bus_core::engine::worker::{Batch, Rehearsed, RoutePlan, rehearse};
use bus_core::ports::shape::Shape;
use bus_core::ports::state::{Published, Settled};
use bus_core::ports::target::Parcel;
use bus_core::vocabulary::{ContentHash, Envelope, MapName, Moment, Operation, QueueName, RouteName, Seq};

use super::{Outcome, Request};
use crate::wire::routes::route_plan;
use crate::wire::secrets::Secrets;
use crate::wire::target::Http;

/// See the module's comment.
pub struct Stage {
    routes: HashMap<RouteName, Part>,
    /// Maps whose values are read elsewhere: here they hold what they are told.
    maps: Vec<(MapName, Arc<Table>)>,
}

/// One route.
struct Part {
    plan: RoutePlan,
    shape: Arc<dyn Shape>,
    target: Receiver,
    /// Its stream.
    serves: Serves,
}

/// What is asked what it would send.
enum Receiver {
    Http(Box<HttpTarget>),
    Odata(OdataWrite),
}

impl Stage {
    /// The routes of a landscape that nothing else runs on. Its maps are still to be bound.
    pub fn new(landscape: &Landscape) -> anyhow::Result<Self> {
        let mut systems = HashMap::new();
        let mut routes = HashMap::new();
        for route in &landscape.routes {
            let system = landscape.system(&route.to).with_context(|| format!("system {} is missing", route.to))?;
            let target = match (&system.kind, &route.carried) {
                (SystemKind::Http(http), Carried::Http(requests)) => {
                    if !systems.contains_key(&system.name) {
                        systems.insert(system.name.clone(), Http::new(system, http, Secrets::Starred)?);
                    }
                    Receiver::Http(Box::new(systems[&system.name].route(route, requests)?))
                }
                (_, Carried::Odata(write)) => Receiver::Odata(write.clone()),
                _ => anyhow::bail!("route {}: {} takes no such requests", route.name, route.to),
            };
            let stream = landscape.stream(&route.stream).with_context(|| format!("stream {}", route.stream))?;
            let part = Part {
                plan: route_plan(landscape, route, QueueName::new(route.name.as_str())?),
                shape: Arc::clone(&route.shape) as _,
                target,
                serves: Serves::One(Served {
                    stream: stream.name.clone(),
                    key: stream.key.clone(),
                    label: stream.label.clone(),
                    date: None,
                }),
            };
            routes.insert(route.name.clone(), part);
        }
        Ok(Self { routes, maps: Vec::new() })
    }

    /// Maps that are read elsewhere hold what each test tells them.
    pub fn for_tests(landscape: &Landscape) -> anyhow::Result<Self> {
        let mut stage = Self::new(landscape)?;
        for map in &landscape.maps {
            if matches!(map.source, MapSource::Query { .. } | MapSource::Stream { .. } | MapSource::Route { .. }) {
                let table = Arc::new(Table::of(Entries::new()));
                map.handle.bind(Arc::clone(&table) as _);
                stage.maps.push((map.handle.name.clone(), table));
            }
        }
        Ok(stage)
    }

    /// What becomes of a test's record.
    pub fn run(&self, test: &RouteTest) -> Outcome {
        for (name, table) in &self.maps {
            let held = test.maps.iter().find(|(map, _)| map == name).map(|(_, entries)| entries.clone());
            table.set(held.unwrap_or_default());
        }
        let Some(part) = self.routes.get(&test.route) else {
            return Outcome::Unusable(format!("there is no route {}", test.route));
        };
        let operation = if test.deleted { Operation::Delete } else { Operation::Upsert };
        match sealed(&test.given, operation, test.had, &part.serves) {
            Ok(envelope) => part.play(&envelope, before(test).as_ref()).outcome,
            Err(reason) => Outcome::Unusable(format!("the record is none of its stream: {reason}")),
        }
    }

    /// What becomes of a message; `None` for a route that is not there.
    pub fn play(&self, route: &RouteName, envelope: &Envelope, settled: Option<&Settled>) -> Option<Played> {
        self.routes.get(route).map(|part| part.play(envelope, settled))
    }

    /// How many messages of a route share a request; `None`: each has its own.
    pub fn batch(&self, route: &RouteName) -> Option<Batch> {
        self.routes.get(route).and_then(|part| part.plan.batch)
    }

    /// The one request of all these.
    pub fn request(&self, route: &RouteName, parcels: &[Parcel]) -> Option<Request> {
        match &self.routes.get(route)?.target {
            Receiver::Http(target) => target.preview(parcels).ok().flatten().map(Request::from),
            Receiver::Odata(_) => None,
        }
    }
}

/// What became of a message.
pub struct Played {
    pub outcome: Outcome,
    /// What goes to the receiver, if anything does.
    pub sent: Option<Parcel>,
}

impl Part {
    fn play(&self, envelope: &Envelope, settled: Option<&Settled>) -> Played {
        let mut sent = None;
        let outcome = match rehearse(&self.plan, &*self.shape, envelope, settled) {
            Rehearsed::Skip(reason) => Outcome::Skip(reason.to_owned()),
            Rehearsed::Hold(hold) => Outcome::Hold(hold.what),
            Rehearsed::Reject(reason) => Outcome::Reject(reason),
            Rehearsed::Send(parcel) => {
                let request = match &self.target {
                    Receiver::Odata(write) => Ok(Some(written(write, &parcel))),
                    Receiver::Http(target) => {
                        target.preview(std::slice::from_ref(&*parcel)).map(|request| request.map(Request::from))
                    }
                };
                match request {
                    Ok(Some(request)) => {
                        sent = Some(*parcel);
                        Outcome::Request(request)
                    }
                    Ok(None) => Outcome::Skip("not-at-receiver".to_owned()),
                    Err(error) => Outcome::Reject(error.message),
                }
            }
        };
        Played { outcome, sent }
    }
}

/// What a base of 1C would be told: which of its requests that takes, only the base itself can say.
fn written(write: &OdataWrite, parcel: &Parcel) -> Request {
    let (method, body) = match (parcel.operation, write.gone) {
        (Operation::Upsert, _) => ("PATCH", serde_json::from_slice(&parcel.body).ok()),
        (Operation::Delete, Some(Gone::Delete)) => ("DELETE", None),
        (Operation::Delete, _) => ("PATCH", Some(serde_json::json!({ "DeletionMark": true }))),
    };
    Request { method: method.to_owned(), path: format!("/{}", write.set), headers: BTreeMap::new(), body }
}

/// What the route has settled of the record before.
fn before(test: &RouteTest) -> Option<Settled> {
    let seq = Seq { epoch: 0, number: 0 };
    let settled = Settled { seq, id: None, present: true, doubt: false, receiver_id: test.receiver_id.clone() };
    test.had.then_some(settled)
}

/// As capture seals it, the first or second version of its key.
fn sealed(body: &[u8], operation: Operation, had: bool, serves: &Serves) -> Result<Envelope, String> {
    let record = push::one(body, operation, serves)?;
    let mut published = LastPublished::new();
    if had {
        let hash = ContentHash::of(Operation::Upsert, b"");
        let before = Published { generation: 1, hash, deleted: false };
        published.insert((record.stream.clone(), record.key.clone()), before);
    }
    let sealed = seal(vec![record], &mut published, &mut Numbering::new(1), Moment::now());
    sealed.into_iter().next().ok_or_else(|| "it says nothing new".to_owned())
}
