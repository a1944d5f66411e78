//! Whose fault a failed attempt is, which alone decides what the worker does next.

use std::time::Duration;

/// The six faults. A connector classifies, the worker decides; see `policy::decide`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The system is down or slow: it waits as a whole, order holds, nothing is dead-lettered.
    Unavailable,
    /// It asked for less: wait (as long as it said, if it said), slow down; costs no attempt, never opens the breaker.
    Throttled {
        /// From `Retry-After`, where the system named a time.
        retry_after: Option<Duration>,
    },
    /// This message, for now (locked object, deadlock, a 500 for one item): its key retries on a budget, others flow.
    Busy,
    /// Sent, no answer: repeat only where the target is idempotent.
    Ambiguous,
    /// This message will never be accepted: dead letter, now.
    Rejected,
    /// No message will be accepted (credentials, address): pause the route, call a person.
    Misconfigured,
}

impl Fault {
    /// A stable word for metrics, stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Fault::Unavailable => "unavailable",
            Fault::Throttled { .. } => "throttled",
            Fault::Busy => "busy",
            Fault::Ambiguous => "ambiguous",
            Fault::Rejected => "rejected",
            Fault::Misconfigured => "misconfigured",
        }
    }
}

/// What went over the wire, kept for a dead letter. Bounded excerpts; secrets already masked by the connector.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exchange {
    /// For example `PUT https://shop.example/orders/42` and the body, at most 64 KiB.
    pub request: Option<String>,
    /// For example `422 Unprocessable Entity` and the body, at most 64 KiB.
    pub answer: Option<String>,
}

/// A failed attempt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DeliveryError {
    /// Whose fault it is.
    pub fault: Fault,
    /// What happened, in words for an operator; holds no payload and no secret.
    pub message: String,
    /// What was sent and answered.
    pub exchange: Exchange,
    /// It is the verdict of a whole request, whatever else was in that: which of the records it is about is not known.
    pub shared: bool,
}

impl DeliveryError {
    /// An error without an exchange.
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), exchange: Exchange::default(), shared: false }
    }

    /// Makes it the verdict of a whole request.
    #[must_use]
    pub fn shared(self) -> Self {
        Self { shared: true, ..self }
    }

    /// Adds what was sent and answered.
    pub fn with_exchange(mut self, exchange: Exchange) -> Self {
        self.exchange = exchange;
        self
    }
}

/// A successful attempt.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The receiver's own id of the record, when its answer held one; kept for later versions of the key.
    pub receiver_id: Option<String>,
    /// The receiver's status code, where it has such a thing.
    pub status: Option<u16>,
}
