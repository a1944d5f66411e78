//! Where the places of routes are kept.

use async_trait::async_trait;

use super::state::StateError;
use crate::policy::places::{Place, Step};
use crate::vocabulary::QueueName;

/// Which route takes from which queue, beside the state that is kept under the route's name. Every method is one
/// transaction.
#[async_trait]
pub trait Places: Send + Sync {
    /// Everything known.
    async fn places(&self) -> Result<Known, StateError>;

    /// Applies the steps in order, all or none. The routes concerned must not be running. Queues given up are remembered
    /// until [`Places::queue_removed`].
    async fn arrange(&self, steps: &[Step]) -> Result<(), StateError>;

    /// The broker has removed a queue that was given up.
    async fn queue_removed(&self, queue: &QueueName) -> Result<(), StateError>;
}

/// What the store knows about places.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Of all routes, removed ones included.
    pub places: Vec<Place>,
    /// Queues given up that the broker may still have.
    pub given_up: Vec<QueueName>,
}
