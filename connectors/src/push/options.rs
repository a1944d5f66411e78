//! What an operator may say about a stream that is pushed to us.

use std::time::Duration;

use bus_core::vocabulary::StreamName;

/// Resolved values.
#[derive(Debug, Clone)]
pub struct Options {
    /// The stream the records belong to.
    pub stream: StreamName,
    /// The top-level fields that identify a record, in this order.
    pub key: Vec<String>,
    /// The top-level field that people search for.
    pub label: Option<String>,
    /// Requests that may wait at once; one more is refused as busy.
    pub queue_requests: usize,
    /// Bytes of all requests that wait; one more is refused as busy.
    pub queue_bytes: usize,
    /// How long a caller waits for the confirm.
    pub confirm_within: Duration,
}

impl Options {
    /// The defaults: 1024 requests, 64 MiB, 15 s.
    pub fn new(stream: StreamName, key: Vec<String>) -> Self {
        let (queue_requests, queue_bytes) = (1024, 64 * 1024 * 1024);
        Self { stream, key, label: None, queue_requests, queue_bytes, confirm_within: Duration::from_secs(15) }
    }
}
