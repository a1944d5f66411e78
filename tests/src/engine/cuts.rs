//! Cuts: the n-th call of a named operation fails, waits, or is the last thing that the process does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// What happens at a planned call.
#[derive(Debug, Clone)]
pub enum Cut {
    /// The process ends: the call has no effect.
    CrashBefore,
    /// The process ends: the call has its effect, and nobody hears of it.
    CrashAfter,
    /// The process ends with half of what was to be published.
    CrashHalfway,
    /// An error, and no effect.
    Fail,
    /// An error, although it has had its effect.
    FailAfter,
    /// Waits before the call.
    HoldBefore(Latch),
    /// Waits between the effect and the answer.
    HoldAfter(Latch),
}

/// A place where a call waits until the test lets it go on.
#[derive(Debug, Clone)]
pub struct Latch(Arc<(watch::Sender<bool>, watch::Sender<bool>)>);

impl Default for Latch {
    fn default() -> Self {
        Self(Arc::new((watch::Sender::new(false), watch::Sender::new(false))))
    }
}

impl Latch {
    /// Returns when a call has arrived.
    pub async fn reached(&self) {
        let arrived = self.0.0.subscribe().wait_for(|arrived| *arrived).await.is_ok();
        assert!(arrived, "the latch's own sender lives as long as the latch");
    }

    /// Lets the call, and all later ones, go on.
    pub fn open(&self) {
        self.0.1.send_replace(true);
    }

    /// The call's side.
    pub async fn pass(&self) {
        self.0.0.send_replace(true);
        let opened = self.0.1.subscribe().wait_for(|open| *open).await.is_ok();
        assert!(opened, "the latch's own sender lives as long as the latch");
    }
}

/// The cuts of one life of the process. Cloning shares them; a restart begins with new ones.
#[derive(Debug, Clone, Default)]
pub struct Cuts(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    crashed: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    calls: HashMap<&'static str, usize>,
    planned: Vec<(&'static str, usize, Cut)>,
}

impl Cuts {
    /// Plans a cut at the `call`-th call of `operation` from now on (1 is the next one).
    pub fn plan(&self, operation: &'static str, call: usize, cut: Cut) {
        let mut state = self.lock();
        let so_far = state.calls.get(operation).copied().unwrap_or(0);
        state.planned.push((operation, so_far + call, cut));
    }

    /// How often the operation was called.
    pub fn calls(&self, operation: &'static str) -> usize {
        self.lock().calls.get(operation).copied().unwrap_or(0)
    }

    /// Whether this life has ended at a cut.
    pub fn has_crashed(&self) -> bool {
        *self.0.crashed.borrow()
    }

    /// Returns when this life has ended at a cut.
    pub async fn crashed(&self) {
        let ended = self.0.crashed.subscribe().wait_for(|crashed| *crashed).await.is_ok();
        assert!(ended, "the sender lives as long as the cuts");
    }

    /// From now on no call of this life has any effect.
    pub fn end(&self) {
        self.0.crashed.send_replace(true);
    }

    /// A call begins. Never returns once the process has ended.
    pub async fn enter(&self, operation: &'static str) -> Passage {
        if self.has_crashed() {
            return std::future::pending().await;
        }
        let cut = {
            let mut state = self.lock();
            let call = state.calls.entry(operation).or_insert(0);
            *call += 1;
            let call = *call;
            let found = state.planned.iter().position(|(name, at, _)| *name == operation && *at == call);
            found.map(|index| state.planned.remove(index).2)
        };
        match &cut {
            Some(Cut::CrashBefore) => self.crash().await,
            Some(Cut::HoldBefore(latch)) => latch.pass().await,
            _ => {}
        }
        Passage { cut, cuts: self.clone() }
    }

    async fn crash(&self) {
        self.end();
        std::future::pending().await
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call on its way.
#[must_use = "a call that is not left skips the cuts behind it"]
pub struct Passage {
    cut: Option<Cut>,
    cuts: Cuts,
}

impl Passage {
    /// The call must fail without any effect.
    pub fn fails(&self) -> bool {
        matches!(self.cut, Some(Cut::Fail))
    }

    /// Only half of the call may have its effect.
    pub fn is_halved(&self) -> bool {
        matches!(self.cut, Some(Cut::CrashHalfway))
    }

    /// After the effect. `true`: report an error all the same.
    pub async fn leave(self) -> bool {
        match &self.cut {
            Some(Cut::CrashAfter | Cut::CrashHalfway) => self.cuts.crash().await,
            Some(Cut::HoldAfter(latch)) => latch.pass().await,
            Some(Cut::FailAfter) => return true,
            // The process may have ended elsewhere meanwhile: then nobody is there to hear the answer.
            _ if self.cuts.has_crashed() => std::future::pending().await,
            _ => {}
        }
        false
    }
}
