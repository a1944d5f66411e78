//! Routes: a target, a shape, and the gate of the receiving system.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::shape::Shaper;
use bus_config::{Carried, Delivery, Landscape, Requires, Route, SystemKind, Takes, WhenLeft};
use bus_core::engine::echo::Echo;
use bus_core::engine::gate::Capacity;
use bus_core::engine::worker::{Batch, Collect, Delivered, Late, LeftPolicy, Requirement, RoutePlan};
use bus_core::policy::{BreakerOptions, Jitter, RetryPolicy};
use bus_core::ports::shape::Shape;
use bus_core::ports::target::Target;
use bus_core::vocabulary::{QueueName, RouteName, StreamName, SystemName};

use super::gates::unguarded;
use super::secrets::Secrets;
use super::target;

/// Unsettled messages per route; 256 reaches about 95 % of a broker's maximum (measured).
const PREFETCH: u16 = 256;
/// The same for a route whose records share requests: a thousand in a request, and four requests.
const MOST_PREFETCH: usize = 5_000;
/// Rejects of different keys in a row that pause a route: ten are no longer a coincidence of bad data.
const REJECT_LIMIT: u32 = 10;
/// A paused route tries one message again after this time.
const PAUSE: Duration = Duration::from_secs(300);
/// A system that is down is probed at least this often: one request costs it nothing.
const PROBE: Duration = Duration::from_secs(10);

/// Writes of one of the bus's own routes at the same time: they share disk flushes.
const WRITES: usize = 32;
/// Between attempts at a store or a database that failed.
pub const AGAIN: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_secs(1),
    max: Duration::from_secs(60),
    jitter: Jitter::Equal,
};

/// A route that may be started.
pub struct RoutePart {
    pub plan: RoutePlan,
    pub target: Arc<dyn Target>,
    pub shape: Arc<dyn Shape>,
    /// Of the receiving system.
    pub capacity: Capacity,
    /// Where it is one of a pair.
    pub echo: Option<Echo>,
    /// What its receiver must hold before.
    pub requires: Vec<Requirement>,
}

/// Builds routes; those to the same system share its client.
#[derive(Default)]
pub struct Builder {
    clients: HashMap<SystemName, target::Http>,
}

impl Builder {
    pub fn prepare(&mut self, landscape: &Landscape, route: &Route, queue: QueueName) -> anyhow::Result<RoutePart> {
        let system = landscape.system(&route.to).with_context(|| format!("system {} is missing", route.to))?;
        let (target, takes): (Arc<dyn Target>, &Takes) = match (&system.kind, &route.carried) {
            (SystemKind::Http(http), Carried::Http(requests)) => {
                if !self.clients.contains_key(&system.name) {
                    self.clients.insert(system.name.clone(), target::Http::new(system, http, Secrets::Read)?);
                }
                (Arc::new(self.clients[&system.name].route(route, requests)?), &http.takes)
            }
            (SystemKind::Odata(base), Carried::Odata(write)) => {
                (target::odata(landscape, system, base, route, write)?, &base.takes)
            }
            _ => anyhow::bail!("route {}: {} takes no such requests", route.name, route.to),
        };
        Ok(RoutePart {
            plan: route_plan(landscape, route, queue),
            capacity: capacity(takes, target.deadline()),
            target,
            shape: Arc::clone(&route.shape) as _,
            echo: None,
            requires: route.requires.iter().map(requirement).collect(),
        })
    }
}

/// One of the bus's own routes, whose receiver is the state store.
pub fn own(
    landscape: &Landscape,
    name: &str,
    stream: &StreamName,
    target: Arc<dyn Target>,
    shape: Shaper,
) -> anyhow::Result<RoutePart> {
    let plan = RoutePlan {
        name: RouteName::new(name)?,
        queue: QueueName::new(name)?,
        stream: stream.clone(),
        system: SystemName::new(name)?,
        operation: None,
        delivery: Delivered::Every,
        collect: None,
        batch: None,
        when_left: LeftPolicy::Ignore,
        sends_deletes: true,
        retry: AGAIN,
        reject_limit: REJECT_LIMIT,
        concurrency: WRITES,
        prefetch: PREFETCH,
        hold: landscape.bus.hold,
        pause: PAUSE,
    };
    let (shape, capacity) = (Arc::new(shape), unguarded(None, WRITES));
    Ok(RoutePart { plan, target, shape, capacity, echo: None, requires: Vec::new() })
}

fn capacity(takes: &Takes, deadline: Duration) -> Capacity {
    Capacity {
        profile: takes.capacity.pace.clone(),
        operations: takes.operations.clone(),
        margin: takes.margin,
        adaptive: takes.adaptive,
        concurrency: takes.capacity.concurrency,
        deadline,
        // A probe must be over before the next one, and recovery noticed within seconds.
        breaker: BreakerOptions { max: deadline.max(PROBE), ..BreakerOptions::default() },
    }
}

fn requirement(requires: &Requires) -> Requirement {
    Requirement {
        stream: requires.stream.clone(),
        from: requires.from.clone().into(),
        references: Arc::clone(&requires.keys) as _,
        within: requires.within,
        late: match requires.late {
            bus_config::Late::DeadLetter => Late::DeadLetter,
            bus_config::Late::Send => Late::Send,
        },
        preloaded: requires.preloaded,
    }
}

/// Enough for each request under way and one that gathers; never fewer than two requests.
fn prefetch(max: usize, concurrency: usize) -> u16 {
    let enough = (max * (concurrency + 1)).min(MOST_PREFETCH).max(max * 2).max(usize::from(PREFETCH));
    u16::try_from(enough).unwrap_or(u16::MAX)
}

/// What the engine is told of a route.
pub fn route_plan(landscape: &Landscape, route: &Route, queue: QueueName) -> RoutePlan {
    let batch = match &route.carried {
        Carried::Http(http) => http.batch.as_deref(),
        Carried::Odata(_) => None,
    };
    RoutePlan {
        name: route.name.clone(),
        queue,
        stream: route.stream.clone(),
        system: route.to.clone(),
        operation: route.operation.clone(),
        when_left: match route.when_left {
            WhenLeft::Delete => LeftPolicy::Delete,
            WhenLeft::Ignore => LeftPolicy::Ignore,
        },
        delivery: match route.delivery {
            Delivery::Every => Delivered::Every,
            Delivery::Latest => Delivered::Latest,
        },
        collect: route.schedule.clone().map(|schedule| Collect { schedule, timezone: landscape.bus.timezone }),
        batch: batch.map(|batch| Batch { max: batch.max, wait: batch.wait, bytes: batch.bytes }),
        sends_deletes: route.carried.deletes(),
        retry: route.retry,
        reject_limit: REJECT_LIMIT,
        concurrency: route.concurrency,
        prefetch: batch.map_or(PREFETCH, |batch| prefetch(batch.max, route.concurrency)),
        // A batch gathers first; that is no age.
        hold: landscape.bus.hold + batch.map_or(Duration::ZERO, |batch| batch.wait),
        pause: PAUSE,
    }
}
