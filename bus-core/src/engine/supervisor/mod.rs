//! The supervisor: every feed, worker and outbox is a job with a name, started and ended by it while the others go on.

mod queues;
mod watch;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::queues::Queues;
pub use self::watch::Watch;
use super::capture::{Capture, CapturePorts, FeedPlan};
use super::incident::{Incidents, Kind};
use super::metrics::Metrics;
use super::outbox::Outbox;
use super::worker::{RoutePlan, Worker, WorkerPorts};
use crate::ports::broker::{Broker, BrokerError, QueuePlan};
use crate::vocabulary::{FeedName, QueueName, RouteName, SubscriptionName};

/// What a job is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobName {
    /// Reads a feed.
    Feed(FeedName),
    /// Delivers a route.
    Route(RouteName),
    /// Moves a subscription's messages to where it fetches them.
    Outbox(SubscriptionName),
}

/// Jobs to be started, each with what it works with.
#[derive(Default)]
pub struct Jobs {
    /// Feeds.
    pub feeds: Vec<(FeedPlan, CapturePorts)>,
    /// Routes.
    pub routes: Vec<(RoutePlan, WorkerPorts)>,
    /// HTTP subscriptions.
    pub outboxes: Vec<Outbox>,
}

/// A running engine. Dropping it cuts everything off, which loses nothing but may repeat attempts.
pub struct Running {
    queues: Arc<Queues>,
    _keeper: AbortOnDropHandle<()>,
    jobs: Mutex<HashMap<JobName, Job>>,
    incidents: Incidents,
    watch: Watch,
    /// Parent of every job's own word: what is launched after the end has begun ends at once.
    closing: CancellationToken,
}

/// A task and the word that ends it.
struct Job {
    stop: CancellationToken,
    task: AbortOnDropHandle<()>,
}

impl Job {
    fn start(work: impl Future<Output = ()> + Send + 'static, stop: CancellationToken) -> Self {
        Self { stop, task: AbortOnDropHandle::new(tokio::spawn(work)) }
    }

    /// `true`: it ended by itself. Otherwise it is cut off, and has ended all the same when this returns.
    async fn ended(mut self, deadline: Instant) -> bool {
        match timeout_at(deadline, &mut self.task).await {
            Ok(joined) => joined.is_ok(),
            Err(_) => {
                self.task.abort();
                // Its consumer and its source are free only once it is gone.
                let _ = self.task.await;
                false
            }
        }
    }
}

/// Starts the upkeep of the queues. Jobs launched before the broker has accepted them wait: an absent broker delays, it
/// does not fail.
pub fn start(queues: Vec<QueuePlan>, broker: Arc<dyn Broker>, metrics: Metrics, incidents: Incidents) -> Running {
    let (queues, ready) = Queues::new(queues, broker, metrics);
    let closing = CancellationToken::new();
    let keep = watched(Arc::clone(&queues).keep(closing.clone()), "queues".to_owned(), incidents.clone());
    let keeper = tokio::spawn(keep);
    let (jobs, _keeper) = (Mutex::default(), AbortOnDropHandle::new(keeper));
    Running { queues, _keeper, jobs, incidents, watch: Watch::new(ready), closing }
}

impl Running {
    /// For looking at it while it runs.
    pub fn watch(&self) -> &Watch {
        &self.watch
    }

    /// Starts jobs. One of the same name must have ended: two would share a queue or a cursor.
    pub fn launch(&self, jobs: Jobs) {
        for (plan, ports) in jobs.feeds {
            let name = plan.name.clone();
            let (capture, status) = Capture::new(plan, ports);
            self.watch.feed(name.clone(), status);
            self.job(name.to_string(), JobName::Feed(name), |stop| capture.run(stop));
        }
        for (plan, ports) in jobs.routes {
            let (worker, handle) = Worker::new(plan, ports);
            let name = handle.route().clone();
            self.watch.route_started(handle);
            self.job(name.to_string(), JobName::Route(name), |stop| worker.run(stop));
        }
        for outbox in jobs.outboxes {
            let name = outbox.plan.name.clone();
            self.job(name.to_string(), JobName::Outbox(name), |stop| outbox.run(stop));
        }
    }

    fn job<F>(&self, subject: String, name: JobName, run: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let stop = self.closing.child_token();
        let ready = self.watch.clone();
        let (work, until) = (run(stop.clone()), stop.clone());
        let waiting = async move {
            if until.run_until_cancelled(ready.ready()).await == Some(true) {
                work.await;
            }
        };
        let work = watched(waiting, subject, self.incidents.clone());
        self.jobs().insert(name, Job::start(work, stop));
    }

    /// Makes queues exist before anything is published for them; asks the broker for so long at most. After an error, and
    /// also where nobody uses them after all, those that were made are to be removed: [`Running::remove_queue`]. Not to be
    /// dropped half-way: publishers would keep to a plan that does not hold.
    pub async fn declare(&self, queues: Vec<QueuePlan>, bound: Duration) -> Result<(), BrokerError> {
        self.queues.declare(queues, bound).await
    }

    /// From now on a queue is not kept up, and it is deleted with what it holds. Its job must have ended. After an error the
    /// broker may still have it: to be called again.
    pub async fn remove_queue(&self, queue: &QueueName) -> Result<(), BrokerError> {
        self.queues.remove(queue).await
    }

    /// Ends jobs: they take nothing more, attempts under way end and their outcomes become durable, at most for `bound`.
    /// The others go on. When this returns they have ended; `false` if one of them was cut off, which loses nothing but
    /// may repeat an attempt. A name without a job is left out.
    pub async fn end(&self, names: &[JobName], bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        let jobs: Vec<Job> = names.iter().filter_map(|name| self.jobs().remove(name)).collect();
        jobs.iter().for_each(|job| job.stop.cancel());
        let ended = futures::future::join_all(jobs.into_iter().map(|job| job.ended(deadline))).await;
        names.iter().for_each(|name| self.watch.ended(name));
        ended.into_iter().all(|clean| clean)
    }

    /// Ends everything within the bound; `true` if nothing had to be cut off. What is launched from now on ends at once.
    pub async fn stop(&self, bound: Duration) -> bool {
        self.closing.cancel();
        let names: Vec<JobName> = self.jobs().keys().cloned().collect();
        self.end(&names, bound).await
    }

    fn jobs(&self) -> MutexGuard<'_, HashMap<JobName, Job>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job that panics is a bug of ours: told at once, not found out weeks later. Its messages stay where they are.
pub async fn watched(job: impl Future<Output = ()>, name: String, incidents: Incidents) {
    if let Err(panic) = std::panic::AssertUnwindSafe(job).catch_unwind().await {
        let remedy = "nothing is lost; restart the bus, and report this with the log";
        incidents.open(Kind::JobCrashed, &name, "a job of the bus has crashed and does not go on", remedy);
        std::panic::resume_unwind(panic);
    }
}
