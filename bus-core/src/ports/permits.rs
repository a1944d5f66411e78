//! Permission to make one request, so that capacity counts what the receiver counts.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::{Mutex, OwnedSemaphorePermit};

use crate::vocabulary::Moment;

/// The right to make one request now. Held until the request has ended, because it may also count concurrency.
#[derive(Debug)]
#[must_use = "dropping a permit ends the request it stands for"]
pub struct Permit {
    _concurrency: Option<OwnedSemaphorePermit>,
}

impl Permit {
    /// A permit that holds a place among the system's concurrent requests until dropped.
    pub fn holding(place: OwnedSemaphorePermit) -> Self {
        Self { _concurrency: Some(place) }
    }

    /// A permit that holds no place: where nothing is bounded, or the place is held already.
    pub fn unbounded() -> Self {
        Self { _concurrency: None }
    }
}

/// No permit within the bound that the gate waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system takes no request now")]
pub struct Closed {
    /// When it may, if that is known.
    pub until: Option<Moment>,
}

/// Hands out permits at the system's pace.
#[async_trait]
pub trait PermitSource: Send + Sync {
    /// Waits for the next permit, for a bounded time. Cancel-safe: a dropped wait takes nothing from the capacity.
    async fn take(&self) -> Result<Permit, Closed>;
}

/// What a connector gets for one attempt: the worker already took the first permit, further ones are waited for.
pub struct Permits {
    first: Mutex<Option<Permit>>,
    more: Arc<dyn PermitSource>,
}

impl Permits {
    /// `first` is handed to the first request, `more` to those after it.
    pub fn new(first: Option<Permit>, more: Arc<dyn PermitSource>) -> Self {
        Self { first: Mutex::new(first), more }
    }

    /// One permit for one request.
    pub async fn take(&self) -> Result<Permit, Closed> {
        if let Some(first) = self.first.lock().await.take() {
            return Ok(first);
        }
        self.more.take().await
    }

    /// Permits without any bound, for `check` and tests.
    pub fn unbounded() -> Self {
        struct Open;
        #[async_trait]
        impl PermitSource for Open {
            async fn take(&self) -> Result<Permit, Closed> {
                Ok(Permit::unbounded())
            }
        }
        Self::new(None, Arc::new(Open))
    }
}
