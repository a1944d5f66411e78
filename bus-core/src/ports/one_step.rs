//! Broker and state store on one disk: sealing, publishing and advancing as one transaction.

use async_trait::async_trait;

use super::state::{SealedBatch, StateError};
use crate::vocabulary::FeedName;

/// What a broker can do that keeps its queues in the state store's own file (ADR 0010).
///
/// Capture's three durable steps exist because broker and store fail apart. Where they cannot, one transaction keeps every
/// rule of capture at once: nobody sees a message of a batch that is not durable (R1), no batch is ever sealed and not
/// advanced (R2), and who is fenced off writes nothing (R3, R4).
#[async_trait]
pub trait OneStep: Send + Sync {
    /// Publishes the batch to every queue of its messages' streams, in order, and advances the feed, all of it or
    /// nothing. Returns when it is durable; consumers see the messages then and not before.
    ///
    /// Refused as [`super::state::StateStore::seal`] is: to an older epoch, after another cursor, and while a batch is
    /// sealed. After an error nothing of it has happened. Dropping the future leaves doubt: open the feed again.
    async fn publish_and_advance(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError>;
}
