//! Joined streams: where the records they are put together from are kept.

use async_trait::async_trait;
use bytes::Bytes;

use super::state::StateError;
use crate::vocabulary::Key;

/// What became of one record of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// The record, by its key in its own stream.
    pub member: Key,
    /// What it is now; `None`: it is gone, or belongs to no joined record.
    pub now: Option<Membership>,
}

/// A record of a part, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// The joined record it belongs to.
    pub key: Key,
    /// A JSON object as UTF-8 text.
    pub body: Bytes,
}

/// Writes one part of a joined stream. One writer per part: the worker of its route, in order per record.
#[async_trait]
pub trait PartWriter: Send + Sync {
    /// Keeps all changes in one transaction, and notes which joined records are others than before: those that the
    /// records belong to, and those they belonged to until now. After an `Ok` that is on disk. The same again changes
    /// nothing.
    async fn write(&self, changes: Vec<PartChange>) -> Result<(), StateError>;
}
