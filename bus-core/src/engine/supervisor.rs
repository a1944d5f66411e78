//! The supervisor: starts every feed, worker and outbox as a named task, and stops them all within a bound.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::capture::{Capture, CapturePorts, FeedPlan, FeedStatus};
use super::gate::Gate;
use super::incident::{Incidents, Kind};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::worker::{Handle, RoutePlan, Worker, WorkerPorts};
use crate::ports::broker::{Broker, QueuePlan};
use crate::vocabulary::{FeedName, RouteName};

/// Between looks at the depth of the queues.
const DEPTH: Duration = Duration::from_secs(5);
/// Between declarations of the queues, so that one deleted by hand comes back.
const REDECLARE: Duration = Duration::from_secs(60);

/// Everything that is to run.
pub struct Jobs {
    /// Feeds and what they work with.
    pub feeds: Vec<(FeedPlan, CapturePorts)>,
    /// Routes and what they work with.
    pub routes: Vec<(RoutePlan, WorkerPorts)>,
    /// HTTP subscriptions.
    pub outboxes: Vec<Outbox>,
    /// All queues.
    pub queues: Vec<QueuePlan>,
    /// All gates, to be closed after a clean stop.
    pub gates: Vec<Arc<Gate>>,
    /// The broker.
    pub broker: Arc<dyn Broker>,
    /// Counters.
    pub metrics: Metrics,
    /// Where trouble is told.
    pub incidents: Incidents,
}

/// A running engine. Dropping it cuts everything off, which loses nothing but may repeat attempts.
pub struct Running {
    watch: Watch,
    gates: Vec<Arc<Gate>>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// Looks at a running engine, and reaches its workers. Cloning is cheap.
#[derive(Clone)]
pub struct Watch {
    feeds: Vec<(FeedName, watch::Receiver<FeedStatus>)>,
    routes: Vec<Handle>,
    ready: watch::Receiver<bool>,
}

/// Starts everything. Feeds and workers wait until the broker has accepted the queues; an absent broker delays, it does
/// not fail.
pub fn start(jobs: Jobs) -> Running {
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    let (declared, ready) = watch::channel(false);
    tasks.spawn(keep_queues(Arc::clone(&jobs.broker), jobs.queues, jobs.metrics.clone(), declared, stop.clone()));
    let (mut feeds, mut routes) = (Vec::new(), Vec::new());
    for (plan, ports) in jobs.feeds {
        let name = plan.name.clone();
        let (capture, status) = Capture::new(plan, ports);
        let name_of_feed = name.to_string();
        feeds.push((name, status));
        let job = after(ready.clone(), stop.clone(), capture.run(stop.clone()));
        tasks.spawn(watched(job, name_of_feed, jobs.incidents.clone()));
    }
    for (plan, ports) in jobs.routes {
        let (worker, handle) = Worker::new(plan, ports);
        let name = handle.route().to_string();
        routes.push(handle);
        let job = after(ready.clone(), stop.clone(), worker.run(stop.clone()));
        tasks.spawn(watched(job, name, jobs.incidents.clone()));
    }
    for outbox in jobs.outboxes {
        let name = outbox.plan.name.to_string();
        let job = after(ready.clone(), stop.clone(), outbox.run(stop.clone()));
        tasks.spawn(watched(job, name, jobs.incidents.clone()));
    }
    Running { watch: Watch { feeds, routes, ready }, gates: jobs.gates, stop, tasks }
}

/// A job that panics is a bug of ours: told at once, not found out weeks later. Its messages stay where they are.
async fn watched(job: impl Future<Output = ()>, name: String, incidents: Incidents) {
    if let Err(panic) = std::panic::AssertUnwindSafe(job).catch_unwind().await {
        let remedy = "nothing is lost; restart the bus, and report this with the log";
        incidents.open(Kind::JobCrashed, &name, "a job of the bus has crashed and does not go on", remedy);
        std::panic::resume_unwind(panic);
    }
}

async fn after(mut ready: watch::Receiver<bool>, stop: CancellationToken, job: impl Future<Output = ()>) {
    let wait = async { ready.wait_for(|ready| *ready).await.is_ok() };
    if stop.run_until_cancelled(wait).await == Some(true) {
        job.await;
    }
}

async fn keep_queues(
    broker: Arc<dyn Broker>,
    queues: Vec<QueuePlan>,
    metrics: Metrics,
    declared: watch::Sender<bool>,
    stop: CancellationToken,
) {
    let work = async {
        let mut failures = 0u32;
        let mut next_declare = tokio::time::Instant::now();
        loop {
            if tokio::time::Instant::now() >= next_declare {
                match broker.declare(&queues).await {
                    Ok(()) => {
                        failures = 0;
                        next_declare = tokio::time::Instant::now() + REDECLARE;
                        declared.send_replace(true);
                    }
                    Err(error) => {
                        failures += 1;
                        if failures.is_power_of_two() {
                            tracing::warn!("the queues could not be declared, trying again: {error}");
                        }
                        tokio::time::sleep(Duration::from_millis(500)).await;
                        continue;
                    }
                }
            }
            for plan in &queues {
                if let Ok(depth) = broker.depth(&plan.queue).await {
                    metrics.queue_depth.with_label_values(&[plan.queue.as_str()]).set(depth.messages as i64);
                }
            }
            tokio::time::sleep(DEPTH).await;
        }
    };
    let _: Option<()> = stop.run_until_cancelled(work).await;
}

impl Watch {
    /// The queues exist and everything has started.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Every feed's status.
    pub fn feeds(&self) -> Vec<(FeedName, FeedStatus)> {
        self.feeds.iter().map(|(name, status)| (name.clone(), status.borrow().clone())).collect()
    }

    /// Every route's handle.
    pub fn routes(&self) -> &[Handle] {
        &self.routes
    }

    /// One route's handle.
    pub fn route(&self, name: &RouteName) -> Option<&Handle> {
        self.routes.iter().find(|handle| handle.route() == name)
    }
}

impl Running {
    /// For looking at it while it runs.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Takes nothing more, lets attempts under way end and their outcomes become durable, at most for `bound`. `true` if
    /// everything ended by itself; otherwise the rest was cut off, which loses nothing but may repeat an attempt.
    pub async fn stop(mut self, bound: Duration) -> bool {
        self.stop.cancel();
        let all = async {
            let mut clean = true;
            while let Some(ended) = self.tasks.join_next().await {
                clean &= ended.is_ok();
            }
            clean
        };
        let clean = tokio::time::timeout(bound, all).await.unwrap_or(false);
        self.tasks.shutdown().await;
        if clean {
            for gate in &self.gates {
                if let Err(error) = gate.close().await {
                    tracing::warn!("the next start will wait for a request time-out: {error}");
                }
            }
        }
        clean
    }
}
