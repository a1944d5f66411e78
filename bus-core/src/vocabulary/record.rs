//! A record as a source reports it, before the engine seals it.

use bytes::Bytes;

use super::{Key, Operation, StreamName};

/// One entity at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which of the feed's streams it belongs to.
    pub stream: StreamName,
    /// What order is kept by.
    pub key: Key,
    /// Whether the record exists (again) or is gone.
    pub operation: Operation,
    /// What people search for ("УТ-000123").
    pub label: Option<String>,
    /// A JSON object as UTF-8 text; numbers with the source's own digits. For a delete: the key columns, if known.
    pub body: Bytes,
}

/// What the source delivered but nobody can seal (no key, broken encoding). Stored as a dead letter of its stream,
/// so that one bad row stops nothing and is not lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRecord {
    /// The stream it would have belonged to; where none of the feed's streams takes its entity, the feed's name.
    pub stream: StreamName,
    /// The raw bytes, as much as there is.
    pub raw: Bytes,
    /// What is wrong and what to do, for an operator.
    pub reason: String,
}
