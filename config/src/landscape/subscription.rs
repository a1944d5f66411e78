//! Subscriptions: outside systems that take a stream by themselves.

use std::sync::Arc;
use std::time::Duration;

use bus_core::vocabulary::{StreamName, SubscriptionName};
use bus_options::SecretRef;

use crate::shape::Shaper;

/// An outside system that takes a stream by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Subscription {
    /// Its name.
    pub name: SubscriptionName,
    /// What it takes.
    pub stream: StreamName,
    /// How.
    pub via: Via,
    /// Kept for it at most so long.
    pub keep_for: Duration,
    /// Kept for it at most so many bytes.
    pub keep_bytes: u64,
    /// Filter and transformation.
    pub shape: Arc<Shaper>,
}

/// How a subscriber takes a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Via {
    /// From its own queue at RabbitMQ.
    Amqp,
    /// By asking over HTTP.
    Http {
        /// What it must present.
        key: SecretRef,
    },
}
