//! A system the bus writes to.

use async_trait::async_trait;
use bytes::Bytes;

use super::permits::Permits;
use super::source::SystemReport;
use crate::policy::Idempotency;
use crate::vocabulary::{DeliveryError, Envelope, Operation, Receipt};

/// A system the bus writes to, for one route.
///
/// `deliver` makes exactly one attempt for the whole slice and returns one verdict per parcel, in order. Waiting,
/// retrying and breaking the circuit belong to the worker. Each request it makes takes a permit. The same
/// idempotency key may come again. No request may be under way longer than [`Target::deadline`]; dropping the future
/// cancels the attempt, whose outcome is then unknown.
#[async_trait]
pub trait Target: Send + Sync {
    /// Verifies connectivity and credentials without writing.
    async fn check(&self) -> Result<SystemReport, DeliveryError>;

    /// One attempt for all parcels; one verdict each, in order.
    async fn deliver(&self, parcels: &[Parcel], permits: &Permits) -> Vec<Result<Receipt, DeliveryError>>;

    /// Whether sending the same parcel twice does harm.
    fn idempotency(&self) -> Idempotency;

    /// The longest any of its requests lasts, from its start to its abort.
    fn deadline(&self) -> std::time::Duration;
}

/// What the worker hands to a target.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The sealed message; key, seq, label and id for templates and headers.
    pub envelope: Envelope,
    /// What to do at the receiver: a delete also when the record left the route's `when`.
    pub operation: Operation,
    /// The transformed body (the record itself where the route has no transform).
    pub body: Bytes,
    /// Message id + route (+ edit number): the same for every repeat of this parcel.
    pub idempotency_key: String,
    /// The receiver's own id of this key, if an earlier answer held one.
    pub receiver_id: Option<String>,
    /// The receiver holds an earlier version of this key: an update, not an insert.
    pub exists: bool,
}
