//! Parts: what a landscape, or a selection of it, needs to run.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use bus_config::Landscape;
use bus_core::engine::base::Watched;
use bus_core::engine::capture::{CapturePorts, Changes, FeedPlan};
use bus_core::engine::outbox::Outbox;
use bus_core::engine::supervisor::{JobName, Jobs};
use bus_core::engine::worker::WorkerPorts;
use bus_core::policy::places::Arrangement;
use bus_core::ports::broker::QueuePlan;
use bus_core::ports::source::Source;
use bus_core::vocabulary::{FeedName, Moment, QueueName, RouteName, Secret, SubscriptionName};

use super::feeds::{self, Door, FeedPart};
use super::maps::{self, QueryPart};
use super::routes::{self, RoutePart};
use super::workshop::Workshop;
use super::{gates, joins, subscriptions};

/// Which queue a route takes from.
pub type QueueOf = HashMap<RouteName, QueueName>;

/// Built, and not running.
pub struct Parts {
    feeds: Vec<FeedPart>,
    routes: Vec<RoutePart>,
    outboxes: Vec<Outbox>,
    queries: Vec<QueryPart>,
    /// Where records are pushed, by feed: path and door.
    pub doors: HashMap<FeedName, (String, Door)>,
    /// Keys of HTTP subscriptions.
    pub outs: HashMap<SubscriptionName, Secret>,
}

/// Builds the parts that `wanted` names. Reads secrets and certificate files; connects to nothing.
pub fn prepare(
    landscape: &Landscape,
    workshop: &Workshop,
    queue_of: &QueueOf,
    wanted: impl Fn(&JobName) -> bool,
) -> anyhow::Result<Parts> {
    let (mut doors, mut outs) = (HashMap::new(), HashMap::new());
    let mut prepared = Vec::new();
    for feed in landscape.feeds.iter().filter(|feed| wanted(&JobName::Feed(feed.name.clone()))) {
        let mut part = feeds::prepare(landscape, workshop, feed)?;
        doors.extend(part.door.take().map(|door| (feed.name.clone(), door)));
        prepared.push(part);
    }
    let mut builder = routes::Builder::default();
    let mut routes = Vec::new();
    for route in landscape.routes.iter().filter(|route| wanted(&JobName::Route(route.name.clone()))) {
        let mut part = builder.prepare(landscape, route, queue_of_route(queue_of, &route.name)?)?;
        part.echo = workshop.echoes.of(landscape, route);
        routes.push(part);
    }
    let queries = maps::prepare(landscape, workshop)?;
    for map in &landscape.maps {
        routes.extend(
            maps::route(landscape, workshop, map)?.filter(|part| wanted(&JobName::Route(part.plan.name.clone()))),
        );
    }
    for join in landscape.joins() {
        let parts = joins::routes(landscape, workshop, join)?.into_iter();
        routes.extend(parts.filter(|part| wanted(&JobName::Route(part.plan.name.clone()))));
    }
    let mut outboxes = Vec::new();
    for subscription in landscape.subscriptions.iter().filter(|s| wanted(&JobName::Outbox(s.name.clone()))) {
        if let Some((outbox, key)) = subscriptions::prepare(workshop, subscription)? {
            outs.insert(subscription.name.clone(), key);
            outboxes.push(outbox);
        }
    }
    Ok(Parts { feeds: prepared, routes, outboxes, queries, doors, outs })
}

/// All queues of a landscape, and those of removed routes that are kept.
pub fn queues(landscape: &Landscape, arrangement: &Arrangement) -> anyhow::Result<Vec<QueuePlan>> {
    let kept = arrangement.kept.iter().filter_map(|place| Some((place.queue.clone()?, place.stream.clone())));
    let mut queues: Vec<QueuePlan> = kept.map(|(queue, stream)| QueuePlan { queue, stream, keep: None }).collect();
    for (name, stream) in landscape.own_routes() {
        queues.push(QueuePlan { queue: QueueName::new(&name)?, stream: stream.clone(), keep: None });
    }
    for route in &landscape.routes {
        let queue = queue_of_route(&arrangement.queues, &route.name)?;
        queues.push(QueuePlan { queue, stream: route.stream.clone(), keep: None });
    }
    for subscription in &landscape.subscriptions {
        queues.push(subscriptions::queue(subscription)?);
    }
    Ok(queues)
}

fn queue_of_route(queue_of: &QueueOf, route: &RouteName) -> anyhow::Result<QueueName> {
    queue_of.get(route).cloned().with_context(|| format!("route {route} has no place"))
}

/// What is pushed says by itself who it is.
fn watched(source: Box<dyn Source>, plan: &FeedPlan, workshop: &Workshop) -> Box<dyn Source> {
    if matches!(plan.changes, Changes::Push) {
        return source;
    }
    let (store, incidents) = (Arc::clone(&workshop.watch), workshop.incidents.clone());
    Box::new(Watched::new(source, plan.name.clone(), store, incidents))
}

impl Parts {
    /// Opens the gates that are not open yet, and makes jobs. After an error nothing of it runs but the upkeep of maps; what
    /// was prepared is gone, and can be prepared again.
    pub async fn open(self, workshop: &Workshop) -> anyhow::Result<Jobs> {
        let mut jobs = Jobs { outboxes: self.outboxes, ..Jobs::default() };
        // First, because what is not started now is not prepared again.
        for query in self.queries {
            query.start(workshop);
        }
        // Before anybody can ask: a position of another life of the store is known as such from here on.
        for outbox in &jobs.outboxes {
            workshop.store.outbox_begin(&outbox.plan.name, Moment::now()).await.context("the state store")?;
        }
        for FeedPart { plan, source, gate, .. } in self.feeds {
            let gate = match gate {
                Some((name, capacity)) => Some(workshop.gates.at(name, capacity).await?),
                None => None,
            };
            let ports = CapturePorts {
                source: watched(source, &plan, workshop),
                broker: Arc::clone(&workshop.broker),
                store: Arc::clone(&workshop.store),
                one_step: workshop.one_step.clone(),
                runs: Arc::clone(&workshop.runs),
                gate,
                pauses: workshop.operations.pauses.clone(),
                tasks: workshop.operations.tasks.clone(),
                rewinds: workshop.operations.rewinds.clone(),
                incidents: workshop.incidents.clone(),
                metrics: workshop.metrics.clone(),
                chronicle: workshop.chronicle.clone(),
            };
            jobs.feeds.push((plan, ports));
        }
        for RoutePart { plan, target, shape, capacity, echo, requires } in self.routes {
            let ports = WorkerPorts {
                target,
                shape,
                broker: Arc::clone(&workshop.broker),
                store: Arc::clone(&workshop.store),
                runs: Arc::clone(&workshop.runs),
                gate: workshop.gates.at(gates::of_route(&plan), capacity).await?,
                pauses: workshop.operations.pauses.clone(),
                incidents: workshop.incidents.clone(),
                metrics: workshop.metrics.clone(),
                chronicle: workshop.chronicle.clone(),
                echo,
                requires: requires.into(),
                arrivals: workshop.arrivals.clone(),
            };
            jobs.routes.push((plan, ports));
        }
        Ok(jobs)
    }
}
