//! The gate of one system: the one place where its pace, its concurrency, its circuit breaker and the reservation that
//! survives a restart meet. All routes to a system share its gate.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::incident::{Incidents, Kind};
use super::metrics::Metrics;
use super::pauses::Pauses;
use crate::policy::{
    Admission, Breaker, BreakerOptions, BreakerState, Change, Micros, Now, PacePlan, Pacer, Paces, Pass, Profile,
    Reservation, Strain, Tick, quiet_until,
};
use crate::ports::pauses::{Pause, Subject};
use crate::ports::permits::{Closed, Permit, PermitSource};
use crate::ports::state::{StateError, StateStore};
use crate::vocabulary::{Fault, Key, Moment, SystemName};

/// A further request of one attempt (find, then write) waits this long for its permit before the attempt gives up.
pub const FURTHER_PATIENCE: Duration = Duration::from_secs(60);
/// A read waits this long: a page that gives up may cost a whole scan, and a round can be cancelled at any await.
const READ_PATIENCE: Duration = Duration::from_secs(3600);
/// What lies between a grant and the first byte at our socket on a busy machine (measured: 2 to 7 ms on two full cores).
const JITTER: Duration = Duration::from_millis(5);
/// The runtime's timer counts whole milliseconds; the rest is waited for by yielding, so that fast paces are reached.
const TIMER: Duration = Duration::from_millis(1);
/// The wall clock may jump while we wait for a window: look again at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

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
    system: SystemName,
    store: Arc<dyn StateStore>,
    incidents: Incidents,
    metrics: Metrics,
    places: Arc<Semaphore>,
    concurrency: usize,
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

enum Granted {
    Pass(Option<Pass>),
    /// While the pace was waited for: begin again, holding nothing.
    BreakerOpened,
    /// The operation's own pace closed meanwhile: wait for it, without the turn.
    NotYet,
}

struct Inner {
    paces: Paces,
    breaker: Breaker,
    reservation: Reservation,
    /// Nothing is sent before: a predecessor's requests, or `Retry-After` where there is no pacer.
    not_before: Tick,
}

/// The right to make one attempt: a place among the concurrent ones, and the duty to tell the verdict.
pub struct Ticket {
    /// Held until the attempt has ended, however many requests it makes.
    pub place: OwnedSemaphorePermit,
    /// For the worker.
    pub verdict: Verdict,
}

/// Tells the gate how a request ended. Dropped without a word, the breaker learns nothing from it.
pub struct Verdict {
    gate: Arc<Gate>,
    pass: Option<Pass>,
    took: Option<Duration>,
}

impl Gate {
    /// Opens the gate of a system, going on from the predecessor's reservation.
    pub async fn open(
        system: SystemName,
        capacity: Capacity,
        store: Arc<dyn StateStore>,
        incidents: Incidents,
        metrics: Metrics,
    ) -> Result<Arc<Self>, StateError> {
        let stored = store.gate(&system).await?;
        let horizon = stored.map(|horizon| Micros(horizon.saturating_abs()));
        let crashed = stored.is_some_and(|horizon| horizon > 0);
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
        let quiet = horizon.filter(|_| crashed).map_or(Duration::ZERO, |horizon| {
            let until = quiet_until(horizon, now.wall, capacity.deadline);
            Duration::from_micros(u64::try_from(until.0 - now.wall.0).unwrap_or(0))
        });
        Ok(Arc::new(Self {
            system,
            store,
            incidents,
            metrics,
            places: Arc::new(Semaphore::new(capacity.concurrency.max(1))),
            concurrency: capacity.concurrency.max(1),
            turn: tokio::sync::Mutex::new(()),
            operations: turns,
            inner: Mutex::new(Inner {
                paces,
                breaker: Breaker::new(capacity.breaker),
                reservation: Reservation::none(),
                not_before: Tick(quiet),
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

    /// Waits, up to `patience`, for the breaker, the operation's own pace, a place and a permit, in this order: who waits
    /// for a breaker, or for a slow operation, keeps neither a place nor the turn from others. Cancel-safe: capacity is
    /// taken last.
    pub async fn enter(self: &Arc<Self>, operation: Option<&str>, patience: Duration) -> Result<Ticket, Closed> {
        let give_up = Instant::now() + patience;
        let _own_turn = self.own_turn(operation, give_up).await?;
        loop {
            self.unless_paused()?;
            self.wait_for_breaker(give_up).await?;
            self.wait_for_operation(operation, give_up).await?;
            let place = self.place(give_up).await?;
            match self.permit(operation, give_up, true).await? {
                Granted::Pass(pass) => {
                    return Ok(Ticket { place, verdict: Verdict { gate: Arc::clone(self), pass, took: None } });
                }
                Granted::BreakerOpened | Granted::NotYet => {}
            }
        }
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
        self.store.set_gate(&self.system, -Micros::now().0).await
    }

    fn unless_paused(&self) -> Result<(), Closed> {
        self.pause().map_or(Ok(()), |_| Err(Closed { until: None }))
    }

    async fn place(&self, give_up: Instant) -> Result<OwnedSemaphorePermit, Closed> {
        let place = tokio::time::timeout_at(give_up, Arc::clone(&self.places).acquire_owned()).await;
        Ok(place.map_err(|_| Closed { until: None })?.expect("the semaphore of a gate is never closed"))
    }

    async fn wait_for_breaker(&self, give_up: Instant) -> Result<(), Closed> {
        loop {
            let changed = self.changed.notified();
            let now = self.now();
            let wait = self.inner().breaker_wait(now);
            if wait.is_zero() {
                return Ok(());
            }
            if Instant::now() >= give_up {
                return Err(Closed { until: Some(now.wall.moment().after(wait)) });
            }
            let until = give_up.min(Instant::now() + wait);
            tokio::select! {
                () = tokio::time::sleep_until(until) => {}
                () = changed => {}
            }
        }
    }

    /// The turn among those of the same operation, where it has a pace of its own.
    async fn own_turn(
        &self,
        operation: Option<&str>,
        give_up: Instant,
    ) -> Result<Option<tokio::sync::MutexGuard<'_, ()>>, Closed> {
        let Some(turn) = operation.and_then(|name| self.operations.get(name)) else { return Ok(None) };
        let turn = tokio::time::timeout_at(give_up, turn.lock()).await;
        turn.map(Some).map_err(|_| Closed { until: None })
    }

    /// Waits until the operation's own pace allows a request; takes nothing.
    async fn wait_for_operation(&self, operation: Option<&str>, give_up: Instant) -> Result<(), Closed> {
        loop {
            let changed = self.changed.notified();
            let now = self.now();
            let wait = self.inner().paces.own_grant(operation, now).ok_or(Closed { until: None })?;
            if wait.is_zero() {
                return Ok(());
            }
            if Instant::now() + wait > give_up {
                return Err(Closed { until: Some(now.wall.moment().after(wait)) });
            }
            self.sleep(wait, changed).await;
        }
    }

    /// Waits for the pace, in turn.
    async fn permit(&self, operation: Option<&str>, give_up: Instant, ask_breaker: bool) -> Result<Granted, Closed> {
        let closed = Closed { until: None };
        let _turn = tokio::time::timeout_at(give_up, self.turn.lock()).await.map_err(|_| closed)?;
        loop {
            let changed = self.changed.notified();
            let now = self.now();
            if ask_breaker {
                self.unless_paused()?;
                if !self.inner().breaker_wait(now).is_zero() {
                    return Ok(Granted::BreakerOpened);
                }
            }
            if !self.inner().paces.own_grant(operation, now).is_some_and(|wait| wait.is_zero()) {
                return Ok(Granted::NotYet);
            }
            let wait = self.inner().pace_wait(operation, now).ok_or(closed)?;
            // Also ends a loop that only waits for the state store.
            if Instant::now() + wait > give_up {
                return Err(Closed { until: Some(now.wall.moment().after(wait)) });
            }
            if !wait.is_zero() {
                self.sleep(wait, changed).await;
                continue;
            }
            if !self.reserve(now).await {
                continue;
            }
            let granted = self.inner().grant(operation, self.now(), ask_breaker);
            if let Some(pass) = granted {
                return Ok(Granted::Pass(pass));
            }
        }
    }

    /// Makes a send that begins now covered by a durable horizon. `false`: look at the clock again.
    async fn reserve(&self, now: Now) -> bool {
        let needed = self.inner().reservation.needed(now.wall);
        let Some(horizon) = needed else { return true };
        match self.store.set_gate(&self.system, horizon.0).await {
            Ok(()) => {
                self.inner().reservation.reserved(horizon);
                self.incidents.close(Kind::StoreFailing, self.system.as_str());
            }
            Err(error) => {
                let remedy = "nothing is sent until the state store takes writes again; look at the disk";
                self.incidents.open(Kind::StoreFailing, self.system.as_str(), &error.to_string(), remedy);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
        false
    }

    async fn sleep(&self, wait: Duration, changed: tokio::sync::futures::Notified<'_>) {
        if wait <= TIMER {
            tokio::task::yield_now().await;
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(wait.min(LOOK_AGAIN) - TIMER) => {}
            () = changed => {}
        }
    }

    fn now(&self) -> Now {
        Now { wall: Micros::now(), mono: Tick(self.started.elapsed()) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn announce(&self, change: Option<Change>, error: &str) {
        let Some(change) = change else { return };
        let system = self.system.as_str();
        let open = matches!(change, Change::Opened { .. });
        self.metrics.breaker_open.with_label_values(&[system]).set(i64::from(open));
        if open {
            let remedy = "nothing is lost: its messages wait, and unless it is paused it is probed until it answers; look at the system";
            self.incidents.open(Kind::SystemDown, system, error, remedy);
        } else {
            self.incidents.close(Kind::SystemDown, system);
        }
        self.changed.notify_waiters();
    }
}

impl Inner {
    /// `None`: closed for days.
    fn pace_wait(&mut self, operation: Option<&str>, now: Now) -> Option<Duration> {
        Some(self.not_before.since(now.mono).max(self.paces.next_grant(operation, now)?))
    }

    fn breaker_wait(&self, now: Now) -> Duration {
        match self.breaker.state() {
            BreakerState::Closed { .. } => Duration::ZERO,
            BreakerState::Open { until, .. } | BreakerState::HalfOpen { lost_at: until, .. } => until.since(now.mono),
        }
    }

    /// Takes the permit if everything still allows it.
    fn grant(&mut self, operation: Option<&str>, now: Now, ask_breaker: bool) -> Option<Option<Pass>> {
        if now.mono < self.not_before {
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

impl Verdict {
    /// How long the request took, where that says something about the system.
    #[must_use]
    pub fn after(mut self, took: Duration) -> Self {
        self.took = Some(took);
        self
    }

    /// The request ended; `fault` is `None` for success.
    pub fn tell(mut self, key: &Key, fault: Option<Fault>, error: &str) {
        let gate = Arc::clone(&self.gate);
        let now = gate.now();
        let mut inner = gate.inner();
        match fault {
            Some(Fault::Throttled { retry_after }) => {
                let pause = retry_after.unwrap_or(Duration::from_secs(1)).min(Duration::from_secs(24 * 3600));
                if !inner.paces.throttled(now, pause) {
                    inner.not_before = inner.not_before.max(now.mono.after(pause));
                }
            }
            None => {
                if let Some(pacer) = inner.paces.system_mut() {
                    if let Some(took) = self.took {
                        pacer.took(now, took);
                    }
                    pacer.succeeded(now);
                }
            }
            Some(Fault::Busy | Fault::Unavailable | Fault::Ambiguous) => {
                if let Some(pacer) = inner.paces.system_mut() {
                    pacer.failed(now);
                }
            }
            Some(_) => {}
        }
        if let Some(pacer) = inner.paces.system() {
            gate.metrics.pace_share.with_label_values(&[gate.system.as_str()]).set(pacer.share());
        }
        let pass = self.pass.take();
        let answered = !matches!(fault, Some(Fault::Unavailable | Fault::Ambiguous));
        let change = pass.and_then(|pass| inner.breaker.settle(pass, key, fault, now.mono, fastrand::f64()));
        let flows = matches!(inner.breaker.state(), BreakerState::Closed { .. });
        drop(inner);
        if answered && flows && change.is_none() {
            // Open from before a restart: this process has never seen the breaker open.
            gate.incidents.close(Kind::SystemDown, gate.system.as_str());
        }
        gate.announce(change, error);
    }
}

impl Drop for Verdict {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.gate.inner().breaker.abandon(pass, self.gate.now().mono);
            self.gate.changed.notify_waiters();
        }
    }
}

/// Reads: each request takes a place and a permit.
#[async_trait]
impl PermitSource for Gate {
    async fn take(&self) -> Result<Permit, Closed> {
        if let Some((pauses, _)) = self.pauses.get() {
            pauses.until_none(|| self.pause()).await;
        }
        let give_up = Instant::now() + READ_PATIENCE;
        let place = self.place(give_up).await?;
        self.permit(None, give_up, false).await?;
        Ok(Permit::holding(place))
    }
}

/// Further requests of an attempt that holds its place and has passed the breaker: pace only.
pub struct Further {
    /// The gate of the attempt's system.
    pub gate: Arc<Gate>,
    /// What the attempt is, where that has a pace of its own.
    pub operation: Option<String>,
}

#[async_trait]
impl PermitSource for Further {
    async fn take(&self) -> Result<Permit, Closed> {
        let (give_up, operation) = (Instant::now() + FURTHER_PATIENCE, self.operation.as_deref());
        loop {
            self.gate.wait_for_operation(operation, give_up).await?;
            if let Granted::Pass(_) = self.gate.permit(operation, give_up, false).await? {
                return Ok(Permit::unbounded());
            }
        }
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
