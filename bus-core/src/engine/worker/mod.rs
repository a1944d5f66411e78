//! The worker of one route: takes messages from its queue, decides by fence and shape, waits for the gate, makes one
//! attempt at a time per key, and turns each verdict into a durable outcome before it acks.
//!
//! One task owns everything; only attempts and commits run beside it. A crash, or dropping the worker, at any await
//! leaves unsettled messages at the broker and rows in `waiting`: they come again, and the fence knows what was done.

mod attempt;
mod batch;
mod chronicle;
mod collect;
mod control;
mod echo;
mod edits;
mod empty;
mod fate;
mod fences;
mod flush;
mod gaps;
mod held;
mod index;
mod intake;
mod item;
mod lanes;
mod latest;
mod load;
mod passed;
mod pause;
mod pending;
mod plan;
mod rehearsal;
mod requires;
mod share;
mod told;
mod verdict;
mod waiting;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use batch::{Batch, shared};
pub use collect::Collect;
pub use control::{Command, Handle, ReplayOutcome};
pub use load::Load;
pub use plan::{Delivered, LeftPolicy, RoutePlan, RouteStatus};
pub use rehearsal::{Rehearsed, rehearse};
pub use requires::{Late, Requirement};

use self::attempt::Attempts;
use self::collect::Collecting;
use self::edits::Edits;
use self::empty::{For, Looked};
use self::fences::Fences;
use self::held::Held;
use self::index::Index;
use self::intake::Intake;
use self::item::Prepared;
use self::lanes::Lanes;
use self::pending::{Flushed, Pending};
use self::waiting::Line;
use super::arrivals::Arrivals;
use super::chronicle::Chronicle;
use super::echo::Echo;
use super::gate::{Gate, Ticket};
use super::incident::Incidents;
use super::metrics::Metrics;
use super::pauses::Pauses;
use crate::policy::RejectStreak;
use crate::ports::broker::Broker;
use crate::ports::permits::Closed;
use crate::ports::runs::Runs;
use crate::ports::shape::Shape;
use crate::ports::state::{StateError, StateStore};
use crate::ports::target::Target;
use crate::vocabulary::Seq;

/// How often ages are looked at; a tenth of the shortest `hold` that makes sense.
const TICK: Duration = Duration::from_millis(100);
/// A permit that does not come within this time is asked for again: nothing else depends on it.
const PERMIT_PATIENCE: Duration = Duration::from_secs(60);
/// Messages prepared and ready to send; more would only grow old in memory.
const SENDABLE: usize = 512;

/// What a worker works with.
#[derive(Clone)]
pub struct WorkerPorts {
    /// The receiver.
    pub target: Arc<dyn Target>,
    /// Filter and transformation.
    pub shape: Arc<dyn Shape>,
    /// Where messages come from.
    pub broker: Arc<dyn Broker>,
    /// Where outcomes are kept.
    pub store: Arc<dyn StateStore>,
    /// Where runs are kept.
    pub runs: Arc<dyn Runs>,
    /// The receiver's capacity.
    pub gate: Arc<Gate>,
    /// What people have paused.
    pub pauses: Pauses,
    /// Where trouble is told.
    pub incidents: Incidents,
    /// Counters.
    pub metrics: Metrics,
    /// Where is noted what happened to each message.
    pub chronicle: Chronicle,
    /// Recognises writes that come back, where the route is one of a pair.
    pub echo: Option<Echo>,
    /// What has to be at the receiver before a message is sent; nothing for most routes.
    pub requires: Arc<[Requirement]>,
    /// Who waits for which delivery, in this process.
    pub arrivals: Arrivals,
}

/// A route at work.
pub struct Worker {
    plan: RoutePlan,
    ports: WorkerPorts,
    commands: mpsc::Receiver<Command>,
    status: watch::Sender<RouteStatus>,
    intake: Intake,
    collecting: Collecting,
    lanes: Lanes,
    /// Past fence and shape, their keys locked, in the order they go.
    sendable: VecDeque<Prepared>,
    attempts: Attempts,
    pending: Pending,
    flushing: FuturesUnordered<BoxFuture<'static, Flushed>>,
    /// Questions to the broker how much is in the queue.
    looks: FuturesUnordered<BoxFuture<'static, Looked>>,
    permit: Option<AbortOnDropHandle<Result<Ticket, Closed>>>,
    fences: Fences,
    index: Index,
    line: Line,
    edits: Edits,
    held: Held,
    streak: RejectStreak<i64>,
    /// A person resumed the route: until the next success rejects are believed.
    forgiving: bool,
    paused: Option<Pause>,
    /// After a pause: one attempt at a time until the first success.
    probing: bool,
}

/// Why and until when a route makes no attempt, by its own decision.
struct Pause {
    reason: String,
    /// Everything was rejected: rejects that were under way come back too.
    returns_letters: bool,
    until: Option<Instant>,
}

impl Worker {
    /// A worker that has not started yet, and its handle.
    pub fn new(plan: RoutePlan, ports: WorkerPorts) -> (Self, Handle) {
        let (commands, received) = mpsc::channel(16);
        let (status, watched) = watch::channel(RouteStatus::default());
        if let Some(echo) = &ports.echo {
            echo.started(&plan.name);
        }
        ports.arrivals.started(&plan.name);
        let handle = Handle::new(plan.name.clone(), plan.queue.clone(), plan.operation.clone(), commands, watched);
        let worker = Self {
            commands: received,
            status,
            intake: Intake::default(),
            collecting: Collecting::default(),
            lanes: Lanes::default(),
            sendable: VecDeque::new(),
            attempts: Attempts::default(),
            pending: Pending::default(),
            flushing: FuturesUnordered::new(),
            looks: FuturesUnordered::new(),
            permit: None,
            fences: Fences::new(plan.name.clone(), Arc::clone(&ports.store)),
            index: Index::default(),
            line: Line::default(),
            edits: Edits::default(),
            held: Held::default(),
            streak: RejectStreak::new(plan.reject_limit),
            forgiving: false,
            paused: None,
            probing: false,
            plan,
            ports,
        };
        (worker, handle)
    }

    /// Delivers until stopped; then takes nothing more, finishes the attempts under way and acks what is durable. The
    /// caller bounds that drain by dropping the future, which loses nothing.
    pub async fn run(mut self, stop: CancellationToken) {
        if stop.run_until_cancelled(self.open()).await.is_none() {
            return;
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let draining = stop.is_cancelled();
            if draining && self.attempts.is_empty() && self.pending.is_empty() && self.flushing.is_empty() {
                return;
            }
            if draining {
                self.permit = None;
            } else {
                self.prepare().await;
                self.dispatch();
            }
            self.start_flush();
            let ripens = if draining || self.permit.is_some() { None } else { self.load_ripens() };
            tokio::select! {
                () = stop.cancelled(), if !draining => {}
                Some(command) = self.commands.recv(), if !draining => self.obey(command).await,
                Some(ended) = self.attempts.next(), if !self.attempts.is_empty() => self.judge_all(ended),
                Some(flushed) = self.flushing.next(), if !self.flushing.is_empty() => self.flushed(flushed).await,
                // These three only wake the loop, which looks what is left to prepare, and whether a flush or a batch is due.
                () = std::future::ready(()), if !draining && self.has_more_to_prepare() => {}
                () = at(self.pending.ripens(self.lanes.any_behind())), if self.flushing.is_empty() => {}
                () = at(ripens), if ripens.is_some() => {}
                // Cancel-safe: an unfinished permit is kept in its field and polled again.
                ticket = next_permit(&mut self.permit), if self.permit.is_some() => self.permitted(ticket),
                taken = self.intake.next(), if !draining && self.takes() => self.took(taken).await,
                Some(looked) = self.looks.next(), if !draining && !self.looks.is_empty() => self.looked(looked),
                _ = tick.tick() => self.tick(draining).await,
            }
        }
    }

    /// Loads what must be known before the first take (D8), with patience.
    async fn open(&mut self) {
        loop {
            match self.ports.store.open_route(&self.plan.name).await {
                Ok(state) => {
                    self.index = Index::load(&state);
                    self.intake.gaps.set_reached(state.reached);
                    return;
                }
                Err(error) => {
                    self.store_failed(&error);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// Room for another message in hand?
    fn takes(&self) -> bool {
        let from_queue = self.in_hand().saturating_sub(self.line.in_hand());
        self.intake.is_open() && !self.takes_nothing() && from_queue < usize::from(self.plan.prefetch)
    }

    fn in_hand(&self) -> usize {
        self.lanes.len() + self.sendable.len() + self.attempts.messages()
    }

    async fn tick(&mut self, draining: bool) {
        self.resume_when_due();
        if !draining {
            self.spill_what_is_old();
            self.report_gaps();
            self.look_into_the_queue(For::Load);
            self.tend_run().await;
            self.tend_consumer().await;
            self.wake_held();
            self.recount_if_unsure().await;
            self.load_waiting().await;
        }
        self.report();
    }

    fn report(&self) {
        let route = self.plan.name.as_str();
        let metrics = &self.ports.metrics;
        metrics.in_flight.with_label_values(&[route]).set(self.in_hand() as i64);
        metrics.waiting.with_label_values(&[route]).set(self.index.rows() as i64);
        let (next_run, running_since) = self.collecting.times();
        self.status.send_if_modified(|status| {
            let now = RouteStatus {
                in_flight: self.in_hand(),
                waiting: self.index.rows(),
                dead_keys: self.index.dead(),
                paused: self.pause_in_words(),
                next_run,
                running_since,
                ..status.clone()
            };
            let changed = *status != now;
            *status = now;
            changed
        });
    }

    fn store_failed(&self, error: &StateError) {
        let remedy = "nothing is lost: the route waits until the state store works again; look at the disk";
        let kind = super::incident::Kind::StoreFailing;
        self.ports.incidents.open(kind, self.plan.name.as_str(), &error.to_string(), remedy);
    }

    fn reached(&self) -> Option<Seq> {
        self.intake.gaps.reached()
    }

    /// A message taken out of its lane that can not be decided on now goes back to the front, its key still locked.
    fn put_back(&mut self, prepared: Prepared) {
        self.lanes.compare(&prepared.item.envelope.key);
        self.sendable.push_front(Prepared { since: None, ..prepared });
    }
}

/// Returns at that moment; never without one. Cancel-safe.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn next_permit(permit: &mut Option<AbortOnDropHandle<Result<Ticket, Closed>>>) -> Result<Ticket, Closed> {
    match permit {
        Some(waiting) => {
            let result = waiting.await;
            *permit = None;
            result.unwrap_or(Err(Closed { until: None }))
        }
        None => std::future::pending().await,
    }
}
