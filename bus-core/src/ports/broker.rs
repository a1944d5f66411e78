//! The durable queues between capture and workers.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::watch;

use crate::vocabulary::{Envelope, QueueName, StreamName};

/// Durable first-in-first-out queues, one per route or subscription.
///
/// The same contract suite runs on the embedded broker and on RabbitMQ.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Makes the queues of the plan exist. Repeatable; deletes none (it may hold messages).
    async fn declare(&self, plan: &[QueuePlan]) -> Result<(), BrokerError>;

    /// From now on nothing is published to the queue, and it is deleted with what it holds. One that does not exist is
    /// fine. Its consumer must have ended. Dropping the future leaves it in the plan or out of it; call again.
    async fn remove(&self, queue: &QueueName) -> Result<(), BrokerError>;

    /// Publishes to every queue that the plan gives the stream and waits (bounded) until each message is durable in
    /// all of them. One result per message, in order. After an error the message may or may not be in some queues:
    /// publish it again, from the first unconfirmed one, in order. Dropping the future leaves the same doubt.
    async fn publish(&self, stream: &StreamName, messages: &[Envelope]) -> Vec<Result<(), PublishError>>;

    /// Takes messages in order; at most `prefetch` are unsettled. Dropping the [`Deliveries`] gives all unsettled ones
    /// back, in order. One active consumer per queue: a second one waits or is refused.
    async fn consume(&self, queue: &QueueName, prefetch: u16) -> Result<Box<dyn Deliveries>, BrokerError>;

    /// Messages in the queue, unsettled ones included. Bounded, as everything that is asked of a broker.
    async fn depth(&self, queue: &QueueName) -> Result<Depth, NoDepth>;

    /// The connection's state, for readiness, metrics and back-pressure.
    fn health(&self) -> watch::Receiver<BrokerHealth>;
}

/// One queue and the stream it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuePlan {
    /// The queue.
    pub queue: QueueName,
    /// What is published to it.
    pub stream: StreamName,
    /// Bounds for a subscriber's own queue, which must not fill the broker's disk; `None` for a route's queue, which has
    /// none: what it would drop is owed to the receiver.
    pub keep: Option<Keep>,
}

/// How long and how much a subscription keeps for its subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Older messages are dropped, and counted.
    pub age: Duration,
    /// Beyond this many bytes the oldest are dropped, and counted.
    pub bytes: u64,
}

/// The consuming end of one queue.
#[async_trait]
pub trait Deliveries: Send {
    /// The next message. `None` or an error: the consumer has ended, all unsettled deliveries went back. Cancel-safe.
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>>;
}

/// Settled once: [`Delivery::ack`] takes it by value, so settling twice does not compile. There is no nack, because
/// giving one message back breaks the order of its key.
#[must_use = "an unsettled delivery comes back only when its consumer is dropped"]
pub struct Delivery {
    /// What was taken.
    pub message: Incoming,
    /// The broker handed it out before (not an attempt at the receiver).
    pub redelivered: bool,
    settle: Box<dyn Settle>,
}

impl Delivery {
    /// Wraps a message and the way to settle it.
    pub fn new(message: Incoming, redelivered: bool, settle: Box<dyn Settle>) -> Self {
        Self { message, redelivered, settle }
    }

    /// The broker may forget the message. An error means that it will come again, which the fence absorbs.
    pub async fn ack(self) -> Result<(), BrokerError> {
        self.settle.ack().await
    }

    /// For the planted bug `nack-on-failure`, and in no release: requeues this one message.
    #[cfg(feature = "failpoints")]
    pub fn nack(self) {
        self.settle.nack();
    }
}

/// The broker's side of [`Delivery::ack`].
#[async_trait]
pub trait Settle: Send {
    /// Acknowledges exactly this message.
    async fn ack(self: Box<Self>) -> Result<(), BrokerError>;

    /// See [`Delivery::nack`]. A broker that cannot leaves the message unsettled.
    #[cfg(feature = "failpoints")]
    fn nack(self: Box<Self>) {}
}

/// What a queue may hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// One of ours.
    Sealed(Envelope),
    /// Something that somebody else put there: a dead letter, with this reason.
    Foreign {
        /// The raw body.
        raw: Bytes,
        /// What is missing or broken.
        reason: String,
    },
}

/// How full a queue is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Messages, unsettled ones included.
    pub messages: u64,
}

/// State of the connection to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BrokerHealth {
    /// Publishing and consuming.
    Connected,
    /// The broker takes no publishes for now (memory or disk alarm), with its own reason. Not an error: wait.
    Blocked(String),
    /// Reconnecting; the last error.
    Disconnected(String),
}

/// A message was not confirmed in every queue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not confirmed by the broker: {0}")]
pub struct PublishError(pub String);

/// Why nobody can say how full a queue is. A queue that is not there holds nothing; of one that could not be asked about,
/// nobody knows whether it is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoDepth {
    /// The broker says that there is no such queue.
    #[error("there is no queue {0}")]
    Absent(QueueName),
    /// It said nothing in time, or that it cannot say.
    #[error(transparent)]
    Unknown(#[from] BrokerError),
}

/// The broker cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BrokerError(pub String);
