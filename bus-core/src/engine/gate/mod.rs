//! The gate of one system: the one place where its pace, its concurrency, its circuit breaker and the reservation that
//! survives a restart meet. All routes to a system share its gate.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | [`Gate`]: how it is opened, closed and asked; what a permit takes |
//! | `enter.rs` | who waits for what, in which order |
//! | `verdict.rs` | what the gate learns of an attempt |
//! | `less.rs` | a system that asks for less |
//! | `further.rs` | permits of reads, and of further requests of an attempt |
//!
//! Tested on the real state store, through crashes, by `tests/tests/protocol_pace.rs`.

mod enter;
mod further;
mod less;
mod verdict;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::incident::Incidents;
use super::metrics::Metrics;
use super::pauses::Pauses;
use crate::policy::{
    Admission, Breaker, BreakerOptions, BreakerState, Micros, Now, PacePlan, Pacer, Paces, Pass, Profile, Reservation,
    Strain, Tick, quiet_until,
};
use crate::ports::pauses::{Pause, Subject};
use crate::ports::permits::Closed;
use crate::ports::state::{Reserved, StateError, StateStore};
use crate::vocabulary::{GateName, Moment, SystemName};
pub use further::{FURTHER_PATIENCE, Further};
pub use verdict::Verdict;

/// What lies between a grant and the first byte at our socket on a busy machine (measured: 2 to 7 ms on two full cores).
const JITTER: Duration = Duration::from_millis(5);

/// What the configuration says about a system's capacity.
#[derive(Debug, Clone)]
pub struct Capacity {
    /// Requests over the day; `None` is no bound.
    pub profile: Option<Profile>,
    /// Operations that the system takes less of: their requests count for both. Each name once.
    pub operations: Vec<(String, Profile)>,
    /// Share of the profile left unused, 0 to 0.5.
    pub margin: f64,
    /// Whether strain of the system lowers the pace below its profile.
    pub adaptive: bool,
    /// Requests at the same time.
    pub concurrency: usize,
    /// The longest a request lasts: after a crash nothing is sent until a predecessor's requests must have ended (R11).
    pub deadline: Duration,
    /// When the breaker opens, and for how long.
    pub breaker: BreakerOptions,
}

/// See the module's comment. Fair: permits are given in the order they were asked for, those of an operation with a pace of
/// its own among themselves: who waits for that pace keeps nobody else waiting.
pub struct Gate {
    name: GateName,
    /// The name in words: for metrics, incidents and logs.
    label: String,
    store: Arc<dyn StateStore>,
    incidents: Incidents,
    metrics: Metrics,
    places: Arc<Semaphore>,
    concurrency: usize,
    /// The longest a request lasts; kept with each reservation.
    deadline: Duration,
    /// Held by the one who waits for the pace, so that permits are given in turn.
    turn: tokio::sync::Mutex<()>,
    /// Held by the one who waits for the pace of an operation.
    operations: HashMap<String, tokio::sync::Mutex<()>>,
    inner: Mutex<Inner>,
    changed: Notify,
    started: Instant,
    /// Whose pauses count, and which system's.
    pauses: OnceLock<(Pauses, Subject)>,
}

struct Inner {
    paces: Paces,
    breaker: Breaker,
    reservation: Reservation,
    /// Nothing is sent before: a predecessor's requests may be under way (R11).
    not_before: Tick,
    /// Nothing is sent before: the system has asked for less.
    held: Tick,
}

/// The right to make one attempt: a place among the concurrent ones, and the duty to tell the verdict.
pub struct Ticket {
    /// Held until the attempt has ended, however many requests it makes.
    pub place: OwnedSemaphorePermit,
    /// For the worker.
    pub verdict: Verdict,
}

impl Gate {
    /// Opens a gate, going on from the predecessor's reservation.
    pub async fn open(
        name: GateName,
        capacity: Capacity,
        store: Arc<dyn StateStore>,
        incidents: Incidents,
        metrics: Metrics,
    ) -> Result<Arc<Self>, StateError> {
        let stored = store.gate(&name).await?;
        let horizon = stored.map(|stored| Micros(stored.horizon.saturating_abs()));
        let started = Instant::now();
        let now = Now { wall: Micros::now(), mono: Tick::default() };
        let pacer = |profile| {
            let pacer = match horizon {
                Some(horizon) => Pacer::resume(profile, capacity.margin, now, horizon),
                None => Pacer::new(profile, capacity.margin, now),
            };
            pacer.leave_for_jitter(JITTER).adapt(capacity.adaptive)
        };
        // The system's horizon is one for its operations too: nothing was sent to it after.
        let turns = capacity.operations.iter().map(|(name, _)| (name.clone(), tokio::sync::Mutex::default())).collect();
        let operations = capacity.operations.into_iter().map(|(name, profile)| (name, pacer(profile))).collect();
        let paces = Paces::new(capacity.profile.map(pacer), operations);
        let crashed = stored.filter(|stored| stored.horizon > 0);
        let quiet = crashed.map_or(Duration::ZERO, |Reserved { horizon, deadline }| {
            let until = quiet_until(Micros(horizon), now.wall, deadline, capacity.deadline);
            Duration::from_micros(u64::try_from(until.0 - now.wall.0).unwrap_or(0))
        });
        Ok(Arc::new(Self {
            label: name.to_string(),
            name,
            store,
            incidents,
            metrics,
            places: Arc::new(Semaphore::new(capacity.concurrency.max(1))),
            concurrency: capacity.concurrency.max(1),
            deadline: capacity.deadline,
            turn: tokio::sync::Mutex::new(()),
            operations: turns,
            inner: Mutex::new(Inner {
                paces,
                breaker: Breaker::new(capacity.breaker),
                reservation: Reservation::none(),
                not_before: Tick(quiet),
                held: Tick::default(),
            }),
            changed: Notify::new(),
            started,
            pauses: OnceLock::new(),
        }))
    }

    /// From now on closed while a person has paused `system`: it gives no further attempt its permit, and no read. The
    /// first call counts.
    pub fn follow(&self, pauses: Pauses, system: SystemName) {
        // A second call would be the same answer given twice.
        let _ = self.pauses.set((pauses, Subject::System(system)));
    }

    /// The pause that a person ordered of this system.
    pub fn pause(&self) -> Option<Pause> {
        let (pauses, system) = self.pauses.get()?;
        pauses.of(system)
    }

    /// How long until a permit could be given: zero when now, `None` when the profile is closed for days or a person
    /// has paused the system.
    pub fn wait(&self, operation: Option<&str>) -> Option<Duration> {
        self.unless_paused().ok()?;
        let now = self.now();
        let mut inner = self.inner();
        Some(inner.pace_wait(operation, now)?.max(inner.breaker_wait(now)))
    }

    /// What the breaker is doing, for status.
    pub fn breaker(&self) -> BreakerState {
        self.inner().breaker.state()
    }

    /// The share of the profile in use after slow-downs, 0.01 to 1.0; `None` without a profile.
    pub fn share(&self) -> Option<f64> {
        self.inner().paces.share()
    }

    /// Why that is not all, while it is not.
    pub fn strain(&self) -> Option<Strain> {
        self.inner().paces.system().and_then(Pacer::strain)
    }

    /// The speed over the week as it is now; `None` without a profile.
    pub fn plan(&self) -> Option<PacePlan> {
        let now = self.now();
        self.inner().paces.system().map(|pacer| pacer.plan(now))
    }

    /// Requests at the same time.
    pub fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// On a clean stop, when every request has ended: gives the unused reservation back. Stored as a negative number,
    /// so that the next start goes on with the pace, but need not wait for requests of a predecessor that crashed.
    pub async fn close(&self) -> Result<(), StateError> {
        let now = self.now();
        if now.mono < self.inner().not_before {
            // Nothing was sent, and a crashed predecessor's requests may still be under way: what it left stays.
            return Ok(());
        }
        self.store.set_gate(&self.name, Reserved::at(-now.wall.0)).await
    }

    /// An attempt behind it was cut off, and its request may still be under way: nothing is sent until it must be over (R11).
    pub fn cut_off(&self) {
        let over = self.now().mono.after(self.deadline);
        let mut inner = self.inner();
        inner.not_before = inner.not_before.max(over);
    }

    fn unless_paused(&self) -> Result<(), Closed> {
        self.pause().map_or(Ok(()), |_| Err(Closed { until: None }))
    }

    fn now(&self) -> Now {
        Now { wall: Micros::now(), mono: Tick(self.started.elapsed()) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// `None`: closed for days.
    fn pace_wait(&mut self, operation: Option<&str>, now: Now) -> Option<Duration> {
        let opens = self.not_before.max(self.held);
        Some(opens.since(now.mono).max(self.paces.next_grant(operation, now)?))
    }

    fn breaker_wait(&self, now: Now) -> Duration {
        match self.breaker.state() {
            BreakerState::Closed { .. } => Duration::ZERO,
            BreakerState::Open { until, .. } | BreakerState::HalfOpen { lost_at: until, .. } => until.since(now.mono),
        }
    }

    /// Takes the permit if everything still allows it.
    fn grant(&mut self, operation: Option<&str>, now: Now, ask_breaker: bool) -> Option<Option<Pass>> {
        if now.mono < self.not_before.max(self.held) {
            return None;
        }
        let pass = match ask_breaker.then(|| self.breaker.admit(now.mono)) {
            None => None,
            Some(Admission::Flow(pass) | Admission::Probe(pass)) => Some(pass),
            Some(Admission::Wait { .. }) => return None,
        };
        let covered = self.reservation.covers(now.wall);
        if covered && self.paces.grant(operation, now) {
            return Some(pass);
        }
        if let Some(pass) = pass {
            self.breaker.abandon(pass, now.mono);
        }
        None
    }
}

/// When a closed gate opens, in words for status.
impl std::fmt::Display for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(pause) = self.pause() {
            return write!(f, "paused {pause}");
        }
        match self.wait(None) {
            Some(Duration::ZERO) => f.write_str("open"),
            Some(wait) => write!(f, "closed until {}", Moment::now().after(wait)),
            None => f.write_str("closed by its profile for more than a week"),
        }
    }
}
