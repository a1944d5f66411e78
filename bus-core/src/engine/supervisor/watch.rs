//! Looks at a running engine, and reaches its workers.

use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::watch;

use super::JobName;
use crate::engine::capture::FeedStatus;
use crate::engine::worker::Handle;
use crate::vocabulary::{FeedName, RouteName};

/// See the module's comment. Cloning shares it: what is started later is seen too.
#[derive(Clone)]
pub struct Watch {
    seen: Arc<RwLock<Seen>>,
    ready: watch::Receiver<bool>,
}

#[derive(Default)]
struct Seen {
    feeds: Vec<(FeedName, watch::Receiver<FeedStatus>)>,
    routes: Vec<Handle>,
}

impl Watch {
    pub(super) fn new(ready: watch::Receiver<bool>) -> Self {
        Self { seen: Arc::default(), ready }
    }

    /// The queues exist, and whoever was launched works.
    pub fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits for that; `false` when it cannot come any more. Cancel-safe.
    pub(super) async fn ready(mut self) -> bool {
        self.ready.wait_for(|ready| *ready).await.is_ok()
    }

    /// Every feed's status.
    pub fn feeds(&self) -> Vec<(FeedName, FeedStatus)> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.feeds.iter().map(|(name, status)| (name.clone(), status.borrow().clone())).collect()
    }

    /// Every route's handle.
    pub fn routes(&self) -> Vec<Handle> {
        self.seen.read().unwrap_or_else(PoisonError::into_inner).routes.clone()
    }

    /// One route's handle.
    pub fn route(&self, name: &RouteName) -> Option<Handle> {
        let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        seen.routes.iter().find(|handle| handle.route() == name).cloned()
    }

    pub(super) fn feed(&self, name: FeedName, status: watch::Receiver<FeedStatus>) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        seen.feeds.push((name, status));
    }

    pub(super) fn route_started(&self, handle: Handle) {
        self.seen.write().unwrap_or_else(PoisonError::into_inner).routes.push(handle);
    }

    pub(super) fn ended(&self, job: &JobName) {
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        match job {
            JobName::Feed(name) => seen.feeds.retain(|(feed, _)| feed != name),
            JobName::Route(name) => seen.routes.retain(|handle| handle.route() != name),
            JobName::Outbox(_) => {}
        }
    }
}
