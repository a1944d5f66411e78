//! RabbitMQ as the broker of the bus: quorum queues, publisher confirms, our own reconnect.
//!
//! [`RabbitMq`] implements [`bus_core::ports::broker::Broker`] with two connections, one for publishing and one for
//! everything else, because a publisher that the broker has blocked must not stop acknowledgements. Inside:
//! [`Options`] (what an operator writes) ← `address`, `tls`, `dial` (one connection) ← `link` (a connection that
//! comes back) ← `topology`, `publisher`, `consumer` ← `broker` (the port). `message` is the wire format.

mod acks;
mod address;
mod broker;
mod check;
mod consumer;
mod dial;
mod explain;
mod greeting;
mod health;
mod link;
mod message;
mod options;
mod plan;
mod publisher;
mod session;
mod tls;
mod topology;

pub use broker::RabbitMq;
pub use check::CheckReport;
pub use options::{Options, OptionsError};
pub use topology::keep_policy;
