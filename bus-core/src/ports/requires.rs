//! What a message refers to: records that its receiver has to hold before it.

use super::shape::ShapeError;
use crate::vocabulary::Key;

/// Finds the keys that a record refers to. Pure.
pub trait References: Send + Sync {
    /// The keys, each once, in the order of the record; none where the record refers to nothing. An error is a dead
    /// letter, since the same record will fail again.
    fn of(&self, body: &[u8]) -> Result<Vec<Key>, ShapeError>;
}
