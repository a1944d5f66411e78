//! What recognises our own write when it comes back.

use super::state::StateError;
use crate::policy::echo::Write;
use crate::vocabulary::{ContentHash, Operation, RouteName};

/// Makes comparable what is sent to a system and what is read from it: equal prints mean that the compared fields are
/// equal. Pure. A body that cannot be read has a print of its own, so that it is never taken for an echo.
pub trait Compare: Send + Sync {
    /// Of a request's body.
    fn sent(&self, operation: Operation, body: &[u8]) -> ContentHash;
    /// Of a record.
    fn read(&self, operation: Operation, body: &[u8]) -> ContentHash;
}

/// The durable part of what one route has to know about the writes of the other. It is asked as a message is about to be
/// sent, on the worker's own task: at most the few page reads of one indexed lookup in a local file.
pub trait WriteLog: Send + Sync {
    /// Writes of this key that may come back to the route `reader`, oldest first: taken or in doubt.
    fn writes(&self, reader: &RouteName, key: &str) -> Result<Vec<Write>, StateError>;
}
