//! Maps: what a lookup asks, and where a map that is kept from a stream lives.

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::Key;

/// A dictionary at work: from a source's value to a receiver's.
///
/// Asked while a record is shaped, on the worker's own task: an answer comes from memory, or costs at most the few page
/// reads of one indexed lookup in a local file. It never waits for a network, a lock held over I/O, or another task.
pub trait Map: Send + Sync {
    /// What the map has for a value.
    fn get(&self, key: &str) -> Answer;
}

/// What a map has for a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// This: a JSON text, number or boolean.
    Value(serde_json::Value),
    /// Nothing.
    Unknown,
    /// It cannot say: it was never read, or its store fails. No reason to take the value for unknown.
    NotReady,
}

/// Writes a map that is kept from a stream. One writer per map: the worker of its route, in order per key.
#[async_trait]
pub trait MapWriter: Send + Sync {
    /// Keeps or (with `None`) removes values, in one transaction. After an `Ok` they are on disk, and every lookup sees
    /// them. The same again changes nothing.
    async fn write(&self, entries: Vec<(Key, Option<serde_json::Value>)>) -> Result<(), StateError>;
}
