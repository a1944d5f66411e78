//! Wiring: from a checked landscape to running parts. The one place that knows every connector.

pub mod reach;
mod source;
mod target;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::{Broker as BrokerChoice, FeedSource, Landscape, Limits, Route, SystemKind, Via, WhenLeft};
use bus_core::engine::capture::{CapturePorts, Changes, DeletionGuard, FeedPlan, StreamPlan};
use bus_core::engine::chronicle::Chronicle;
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::Incidents;
use bus_core::engine::metrics::Metrics;
use bus_core::engine::outbox::{Outbox, OutboxPlan};
use bus_core::engine::supervisor::Jobs;
use bus_core::engine::worker::{LeftPolicy, RoutePlan, WorkerPorts};
use bus_core::policy::{BreakerOptions, DEFAULT_MARGIN, Schedule};
use bus_core::ports::broker::{Broker, Keep, QueuePlan};
use bus_core::ports::source::BatchLimit;
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::{QueueName, Secret, SubscriptionName, SystemName};
use bus_options::{SecretOr, SecretRef};
use bus_rabbitmq::RabbitMq;
use bus_storage::{Database, EmbeddedBroker, SqliteState};

use crate::server::Door;

/// One batch: enough for group commits, small enough to be read again after a crash.
const BATCH: BatchLimit = BatchLimit { records: 1000, bytes: 4 * 1024 * 1024 };
/// Unsettled messages per route; 256 reaches about 95 % of a broker's maximum (measured).
const PREFETCH: u16 = 256;
/// Rejects of different keys in a row that pause a route.
const REJECT_LIMIT: u32 = 10;
/// A paused route tries one message again after this time.
const PAUSE: Duration = Duration::from_secs(300);
/// A system that is down is probed at least this often: one request costs it nothing.
const PROBE: Duration = Duration::from_secs(10);
/// Pushed records are waited for, not polled.
const PUSH_SCHEDULE: Schedule = Schedule::Every(Duration::from_secs(1));

/// Everything that one landscape needs to run.
pub struct Wired {
    pub jobs: Jobs,
    pub store: Arc<dyn StateStore>,
    pub chronicle: Chronicle,
    pub gates: Vec<(SystemName, Arc<Gate>)>,
    pub key: Option<Secret>,
    pub doors: HashMap<String, Door>,
    pub outs: HashMap<SubscriptionName, Secret>,
}

/// Builds all parts. Reads secrets and certificate files; connects to nothing but the local state store.
pub async fn wire(landscape: &Landscape, database: Database) -> anyhow::Result<Wired> {
    let store: Arc<dyn StateStore> = Arc::new(SqliteState::new(database.clone()));
    let (metrics, incidents) = (Metrics::new(), Incidents::default());
    let broker = broker(landscape, &database).await?;
    let mut wired = Wired {
        jobs: Jobs {
            feeds: Vec::new(),
            routes: Vec::new(),
            outboxes: Vec::new(),
            queues: Vec::new(),
            gates: Vec::new(),
            broker,
            metrics,
            incidents,
        },
        store,
        chronicle: Chronicle::off(),
        gates: Vec::new(),
        key: landscape.bus.key.as_ref().map(|key| load(key, "the key of [bus]")).transpose()?,
        doors: HashMap::new(),
        outs: HashMap::new(),
    };
    wire_feeds(landscape, &mut wired).await?;
    wire_routes(landscape, &mut wired).await?;
    wire_subscriptions(landscape, &mut wired)?;
    Ok(wired)
}

async fn broker(landscape: &Landscape, database: &Database) -> anyhow::Result<Arc<dyn Broker>> {
    Ok(match &landscape.bus.broker {
        BrokerChoice::Embedded => Arc::new(EmbeddedBroker::open(database.clone()).await?),
        BrokerChoice::Amqp { .. } => {
            let options = rabbitmq_options(landscape)?.context("the broker is not RabbitMQ")?;
            Arc::new(RabbitMq::connect(options).await?)
        }
    })
}

/// The options of RabbitMQ, if the landscape uses it.
pub fn rabbitmq_options(landscape: &Landscape) -> anyhow::Result<Option<bus_rabbitmq::Options>> {
    let BrokerChoice::Amqp { url, ca } = &landscape.bus.broker else { return Ok(None) };
    let mut options = bus_rabbitmq::Options::new(secret_url(url, "the broker")?, landscape.bus.name.clone());
    options.ca_file.clone_from(ca);
    Ok(Some(options))
}

async fn wire_feeds(landscape: &Landscape, wired: &mut Wired) -> anyhow::Result<()> {
    let mut gates: HashMap<SystemName, Arc<Gate>> = HashMap::new();
    for feed in &landscape.feeds {
        let streams: Vec<&bus_config::Stream> = feed.streams.iter().filter_map(|name| landscape.stream(name)).collect();
        let stream = *streams.first().with_context(|| format!("feed {} serves no stream", feed.name))?;
        let (source, gate, schedule, changes) = match &feed.source {
            FeedSource::Push { path, key } => {
                let (source, handle) = source::pushed(stream);
                let key = load(key, &format!("the key of {path}"))?;
                wired.doors.insert(path.clone(), Door { key, handle });
                let name = SystemName::new(feed.name.as_str())?;
                let gate = open_gate(wired, name, reading(None, usize::MAX >> 4)).await?;
                (source, gate, PUSH_SCHEDULE, Changes::Push)
            }
            FeedSource::Query { system, query, schedule, changes } => {
                let system = landscape.system(system).with_context(|| format!("system {system} is missing"))?;
                let source = source::sql(system, stream, query, changes)?;
                if !gates.contains_key(&system.name) {
                    let SystemKind::Sql { reads, .. } = &system.kind else {
                        anyhow::bail!("feed {}: {} cannot be read", feed.name, system.name)
                    };
                    let Limits { pace, concurrency } = reads.clone();
                    let name = SystemName::new(&format!("{}.reads", system.name))?;
                    let gate = open_gate(wired, name, reading(pace, concurrency)).await?;
                    gates.insert(system.name.clone(), gate);
                }
                (source, Arc::clone(&gates[&system.name]), schedule.clone(), engine_changes(changes))
            }
        };
        let plan = FeedPlan {
            name: feed.name.clone(),
            streams: streams.iter().map(|s| StreamPlan { name: s.name.clone(), key: s.key.clone() }).collect(),
            schedule,
            timezone: landscape.bus.timezone,
            changes,
            limit: BATCH,
        };
        let jobs = &mut wired.jobs;
        let ports = CapturePorts {
            source,
            broker: Arc::clone(&jobs.broker),
            store: Arc::clone(&wired.store),
            gate,
            incidents: jobs.incidents.clone(),
            metrics: jobs.metrics.clone(),
            chronicle: wired.chronicle.clone(),
        };
        jobs.feeds.push((plan, ports));
    }
    Ok(())
}

async fn wire_routes(landscape: &Landscape, wired: &mut Wired) -> anyhow::Result<()> {
    let mut targets: HashMap<SystemName, (target::Http, Arc<Gate>)> = HashMap::new();
    for route in &landscape.routes {
        let system = landscape.system(&route.to).with_context(|| format!("system {} is missing", route.to))?;
        let SystemKind::Http(http) = &system.kind else {
            anyhow::bail!("route {}: {} takes no requests", route.name, route.to)
        };
        if !targets.contains_key(&system.name) {
            let target = target::Http::new(system, http)?;
            let capacity = Capacity {
                profile: http.capacity.pace.clone(),
                margin: http.margin,
                concurrency: http.capacity.concurrency,
                deadline: target.deadline(),
                // A probe must be over before the next one, and recovery noticed within seconds.
                breaker: BreakerOptions { max: target.deadline().max(PROBE), ..BreakerOptions::default() },
            };
            let gate = open_gate(wired, system.name.clone(), capacity).await?;
            wired.gates.push((system.name.clone(), Arc::clone(&gate)));
            targets.insert(system.name.clone(), (target, gate));
        }
        let (target, gate) = &targets[&system.name];
        let ports = WorkerPorts {
            target: target.route(route)?,
            shape: Arc::clone(&route.shape) as _,
            broker: Arc::clone(&wired.jobs.broker),
            store: Arc::clone(&wired.store),
            gate: Arc::clone(gate),
            incidents: wired.jobs.incidents.clone(),
            metrics: wired.jobs.metrics.clone(),
            chronicle: wired.chronicle.clone(),
        };
        let queue = QueueName::new(route.name.as_str())?;
        wired.jobs.queues.push(QueuePlan { queue: queue.clone(), stream: route.stream.clone(), keep: None });
        wired.jobs.routes.push((route_plan(landscape, route, queue), ports));
    }
    Ok(())
}

fn route_plan(landscape: &Landscape, route: &Route, queue: QueueName) -> RoutePlan {
    RoutePlan {
        name: route.name.clone(),
        queue,
        stream: route.stream.clone(),
        system: route.to.clone(),
        when_left: match route.when_left {
            WhenLeft::Delete => LeftPolicy::Delete,
            WhenLeft::Ignore => LeftPolicy::Ignore,
        },
        sends_deletes: route.on_delete.is_some(),
        retry: route.retry,
        reject_limit: REJECT_LIMIT,
        concurrency: route.concurrency,
        prefetch: PREFETCH,
        hold: landscape.bus.hold,
        pause: PAUSE,
    }
}

fn wire_subscriptions(landscape: &Landscape, wired: &mut Wired) -> anyhow::Result<()> {
    for subscription in &landscape.subscriptions {
        let queue = QueueName::new(subscription.name.as_str())?;
        let keep = Keep { age: subscription.keep_for, bytes: subscription.keep_bytes };
        let jobs = &mut wired.jobs;
        match &subscription.via {
            Via::Amqp => {
                jobs.queues.push(QueuePlan { queue, stream: subscription.stream.clone(), keep: Some(keep) });
            }
            Via::Http { key } => {
                let key = load(key, &format!("the key of subscription {}", subscription.name))?;
                wired.outs.insert(subscription.name.clone(), key);
                jobs.queues.push(QueuePlan { queue: queue.clone(), stream: subscription.stream.clone(), keep: None });
                jobs.outboxes.push(Outbox {
                    plan: OutboxPlan {
                        name: subscription.name.clone(),
                        queue,
                        stream: subscription.stream.clone(),
                        keep,
                    },
                    shape: Arc::clone(&subscription.shape) as _,
                    broker: Arc::clone(&jobs.broker),
                    store: Arc::clone(&wired.store),
                    incidents: jobs.incidents.clone(),
                    metrics: jobs.metrics.clone(),
                });
            }
        }
    }
    Ok(())
}

async fn open_gate(wired: &mut Wired, name: SystemName, capacity: Capacity) -> anyhow::Result<Arc<Gate>> {
    let jobs = &mut wired.jobs;
    let opened =
        Gate::open(name, capacity, Arc::clone(&wired.store), jobs.incidents.clone(), jobs.metrics.clone()).await;
    let gate = opened.context("the state store")?;
    jobs.gates.push(Arc::clone(&gate));
    Ok(gate)
}

/// Reads have no breaker of their own and no request that could still be under way after a crash and do harm.
fn reading(profile: Option<bus_core::policy::Profile>, concurrency: usize) -> Capacity {
    Capacity {
        profile,
        margin: DEFAULT_MARGIN,
        concurrency,
        deadline: Duration::ZERO,
        breaker: BreakerOptions::default(),
    }
}

fn engine_changes(changes: &bus_config::Changes) -> Changes {
    let guard = |share: f64| DeletionGuard { percent: share * 100.0 };
    match changes {
        bus_config::Changes::Cursor { recheck, .. } => Changes::Cursor {
            recheck: recheck.as_ref().map(|recheck| (recheck.schedule.clone(), guard(recheck.guard))),
        },
        bus_config::Changes::Diff { guard: share } => Changes::Diff(guard(*share)),
    }
}

fn load(secret: &SecretRef, what: &str) -> anyhow::Result<Secret> {
    secret.load().with_context(|| what.to_owned())
}

/// An address that may hold a password, so it is handled as a secret from here on.
fn secret_url(url: &SecretOr<url::Url>, what: &str) -> anyhow::Result<Secret> {
    match url {
        SecretOr::Literal(url) => Ok(Secret::new(url.as_str())),
        SecretOr::Secret(secret) => load(secret, &format!("the address of {what}")),
    }
}

fn pem(ca: Option<&Path>, what: &str) -> anyhow::Result<Option<Vec<u8>>> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("the certificate authority of {what}: {}", path.display()))
    };
    ca.map(read).transpose()
}
