//! What an operator may say about streams that are pushed to us.

use std::time::Duration;

use crate::Serves;

/// Resolved values.
#[derive(Debug, Clone)]
pub struct Options {
    /// The streams the records belong to, with their key fields.
    pub serves: Serves,
    /// Requests that may wait at once; one more is refused as busy.
    pub queue_requests: usize,
    /// Bytes of all requests that wait; one more is refused as busy.
    pub queue_bytes: usize,
    /// How long a caller waits for the confirm.
    pub confirm_within: Duration,
}

impl Options {
    /// The defaults: 1024 requests, 64 MiB, 15 s.
    pub fn new(serves: Serves) -> Self {
        let (queue_requests, queue_bytes) = (1024, 64 * 1024 * 1024);
        Self { serves, queue_requests, queue_bytes, confirm_within: Duration::from_secs(15) }
    }
}
