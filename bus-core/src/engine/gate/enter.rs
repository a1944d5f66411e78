//! Entering: who waits for breaker, pace and place, in which order, holding what.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::{Gate, Ticket, Verdict};
use crate::engine::incident::Kind;
use crate::policy::{Now, Pass};
use crate::ports::permits::Closed;
use crate::ports::state::Reserved;

/// The runtime's timer counts whole milliseconds; the rest is waited for by yielding, so that fast paces are reached.
const TIMER: Duration = Duration::from_millis(1);

/// The wall clock may jump while we wait for a window: look again at least this often.
const LOOK_AGAIN: Duration = Duration::from_secs(30);

pub(super) enum Granted {
    Pass(Option<Pass>),
    /// While the pace was waited for: begin again, holding nothing.
    BreakerOpened,
    /// The operation's own pace closed meanwhile: wait for it, without the turn.
    NotYet,
}

impl Gate {
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

    pub(super) async fn place(&self, give_up: Instant) -> Result<OwnedSemaphorePermit, Closed> {
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
    pub(super) async fn wait_for_operation(&self, operation: Option<&str>, give_up: Instant) -> Result<(), Closed> {
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
    pub(super) async fn permit(
        &self,
        operation: Option<&str>,
        give_up: Instant,
        ask_breaker: bool,
    ) -> Result<Granted, Closed> {
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
        match self.store.set_gate(&self.name, Reserved { horizon: horizon.0, deadline: self.deadline }).await {
            Ok(()) => {
                self.inner().reservation.reserved(horizon);
                self.incidents.close(Kind::StoreFailing, &self.label);
            }
            Err(error) => {
                let remedy = "nothing is sent until the state store takes writes again; look at the disk";
                self.incidents.open(Kind::StoreFailing, &self.label, &error.to_string(), remedy);
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
}
