//! Filter and transformation of a route.

use std::time::Duration;

use bytes::Bytes;

use crate::vocabulary::Envelope;

/// Decides what a receiver gets of a record. Pure: the same envelope and the same maps give the same answer.
pub trait Shape: Send + Sync {
    /// Applies filter, then transformation. Deletes pass unchanged.
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError>;
}

/// Asks a shape. A program that panics on a record fails on that record; it is not the end of who asks.
pub fn shaped(shape: &dyn Shape, envelope: &Envelope) -> Result<Shaped, ShapeError> {
    let run = std::panic::AssertUnwindSafe(|| shape.shape(envelope));
    std::panic::catch_unwind(run).unwrap_or_else(|_| Err(ShapeError("the program crashed on this record".to_owned())))
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shaped {
    /// Send this body.
    Send(Bytes),
    /// The route's filter does not want it.
    Filtered,
    /// A map has no answer yet: the message waits, and is shaped again later.
    Hold(Hold),
}

/// What a message waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// In words for an operator, the value included: kept in the store, never logged.
    pub what: String,
    /// The same without the value: for logs and dead letters.
    pub subject: String,
    /// What a dead letter says instead, where it may name more; never logged.
    pub late: Option<Late>,
    /// Held longer than this it is a dead letter; `None`: it is not the message's fault, and waits without limit.
    pub within: Option<Duration>,
}

/// A wait that was over before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Late {
    /// What did not happen, as in `clients 56 was not delivered to shop`.
    pub what: String,
    /// Why, as far as it is known.
    pub why: Option<String>,
}

/// The program failed on this record: a dead letter, since the same record will fail again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ShapeError(pub String);

/// Sends every record as it is.
pub struct AsIs;

impl Shape for AsIs {
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError> {
        Ok(Shaped::Send(envelope.body.clone()))
    }
}
