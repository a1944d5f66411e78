//! The words of the bus as types: no I/O, no async, no clock.

mod base;
mod cursor;
mod envelope;
mod fault;
mod gate;
mod identity;
mod incident;
mod key;
mod moment;
mod name;
mod order;
mod period;
mod record;
mod secret;

pub use base::Identity;
pub use cursor::Cursor;
pub use envelope::{Envelope, FrameError, Operation};
pub use fault::{DeliveryError, Exchange, Fault, Receipt};
pub use gate::GateName;
pub use identity::{ContentHash, MessageId};
pub use incident::{Incident, IncidentKind, Severity};
pub use key::{Key, KeyError};
pub use moment::Moment;
pub use name::{FeedName, MapName, NameError, QueueName, RouteName, StreamName, SubscriptionName, SystemName};
pub use order::Seq;
pub use period::Period;
pub use record::{Fields, LARGEST_BODY, Record, UnreadableRecord};
pub use secret::Secret;
