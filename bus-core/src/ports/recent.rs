//! The newest messages of a stream, to try new routes on.

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::{Envelope, Moment, StreamName};

/// Looks at what the journal has archived. For people; never in the hot path.
#[async_trait]
pub trait Recent: Send + Sync {
    /// The newest messages of a stream whose bodies are archived, at most `limit`, the oldest of them first. Masked fields
    /// hold signs instead of values, so a content hash is that of the masked body.
    async fn newest(&self, stream: &StreamName, limit: usize) -> Result<Vec<Envelope>, StateError>;

    /// How many messages of a stream were read since then, archived or not.
    async fn read_since(&self, stream: &StreamName, since: Moment) -> Result<u64, StateError>;
}
