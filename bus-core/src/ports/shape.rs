//! Filter and transformation of a route.

use bytes::Bytes;

use crate::vocabulary::Envelope;

/// Decides what a receiver gets of a record. Pure: the same envelope gives the same answer.
pub trait Shape: Send + Sync {
    /// Applies filter, then transformation. Deletes pass unchanged.
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError>;
}

/// What became of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shaped {
    /// Send this body.
    Send(Bytes),
    /// The route's filter does not want it.
    Filtered,
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
