//! One message in a worker's hands.

use bytes::Bytes;
use tokio::time::Instant;

use crate::ports::broker::Delivery;
use crate::ports::state::{Replayed, Settled};
use crate::ports::target::Parcel;
use crate::vocabulary::{Envelope, Operation, Seq};

/// A message between its take and its durable outcome.
pub(super) struct Item {
    pub envelope: Envelope,
    pub origin: Origin,
    /// Attempts that cost some of the budget.
    pub attempts: u32,
    /// It stands in the place of an upsert that may have been tried (D10).
    pub doubt: bool,
}

/// Where it came from, and so what its outcome has to release.
#[expect(clippy::large_enum_variant, reason = "nearly all come from the queue, and a box would cost each of them")]
pub(super) enum Origin {
    /// Unsettled at the broker since `taken`.
    Queue { delivery: Delivery, taken: Instant },
    /// A row of `waiting`.
    Waiting { replayed: Replayed },
}

impl Item {
    pub fn seq(&self) -> Seq {
        self.envelope.seq
    }

    /// `latest`: a newer version takes the place of an older one, unless a person asked for that one.
    pub fn replaces(&self, other: &Item) -> bool {
        self.seq() > other.seq() && self.replayed() == Replayed::Never && other.replayed() == Replayed::Never
    }

    /// What is not known of the older one is not known of its successor.
    pub fn inherit_doubt(&mut self, older: &Item) {
        self.doubt |= older.doubt || older.envelope.operation == Operation::Upsert;
    }

    pub fn is_waiting(&self) -> bool {
        matches!(self.origin, Origin::Waiting { .. })
    }

    pub fn replayed(&self) -> Replayed {
        match self.origin {
            Origin::Waiting { replayed } => replayed,
            Origin::Queue { .. } => Replayed::Never,
        }
    }

    pub fn taken(&self) -> Option<Instant> {
        match &self.origin {
            Origin::Queue { taken, .. } => Some(*taken),
            Origin::Waiting { .. } => None,
        }
    }

    /// The delivery to ack once the outcome is durable.
    pub fn into_delivery(self) -> Option<Delivery> {
        match self.origin {
            Origin::Queue { delivery, .. } => Some(delivery),
            Origin::Waiting { .. } => None,
        }
    }
}

/// What the target is handed of a message whose fate is to be sent.
pub(super) fn parcel(
    envelope: Envelope,
    operation: Operation,
    body: Bytes,
    idempotency_key: String,
    fence: Option<&Settled>,
) -> Parcel {
    Parcel {
        envelope,
        operation,
        body,
        idempotency_key,
        receiver_id: fence.and_then(|fence| fence.receiver_id.clone()),
        exists: fence.is_some_and(|fence| fence.present),
    }
}

/// A message that passed fence and shape and waits for a permit, or is being sent.
pub(super) struct Prepared {
    pub item: Item,
    pub parcel: Parcel,
    /// A durable mark of an earlier attempt was found: its outcome is unknown.
    pub marked: bool,
    /// Since when it, or what stood in its place, waits for company; `None`: it has waited, or was in a request already.
    pub since: Option<Instant>,
    /// It shares a request with others up to so many in all.
    pub most: usize,
}

impl Prepared {
    /// What the receiver holds after a success.
    pub fn leaves_present(&self) -> bool {
        self.parcel.operation == Operation::Upsert
    }
}
