//! What the configuration says about a route, and what it tells of itself.

use std::time::Duration;

use super::{Batch, Collect};
use crate::policy::RetryPolicy;
use crate::vocabulary::{Moment, QueueName, RouteName, StreamName, SystemName};

/// What the configuration says about a route.
#[derive(Debug, Clone)]
pub struct RoutePlan {
    /// Its name.
    pub name: RouteName,
    /// Its queue.
    pub queue: QueueName,
    /// What it takes.
    pub stream: StreamName,
    /// Where it delivers.
    pub system: SystemName,
    /// Which versions of a key are sent.
    pub delivery: Delivered,
    /// Delivered in runs; `None`: as it comes.
    pub collect: Option<Collect>,
    /// Messages of several keys share a request; `None`: each has its own.
    pub batch: Option<Batch>,
    /// Which of the system's operations its requests are, where that has a pace of its own.
    pub operation: Option<String>,
    /// What happens at the receiver when a record stops matching the filter.
    pub when_left: LeftPolicy,
    /// Deletions go to the receiver; otherwise they are skipped.
    pub sends_deletes: bool,
    /// Budget and backoff of a key that fails for now.
    pub retry: RetryPolicy,
    /// So many rejects in a row, of different keys, mean that the route is wrong and not the messages.
    pub reject_limit: u32,
    /// Requests at the same time, of different keys.
    pub concurrency: usize,
    /// Unsettled messages at the broker; at least twice a batch, so that one gathers while another is under way.
    pub prefetch: u16,
    /// How long a message may stay unsettled in memory; then it goes to `waiting`. Far below the broker's own limit.
    pub hold: Duration,
    /// How long a paused route waits until it tries one message again.
    pub pause: Duration,
}

/// Which versions of a key a route sends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Delivered {
    /// Every one, in order.
    #[default]
    Every,
    /// The newest of those that wait, in the place of the oldest.
    Latest,
}

/// What happens when a record stops matching the filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftPolicy {
    /// The receiver keeps what it has.
    Ignore,
    /// It is deleted at the receiver.
    Delete,
}

/// What `status` tells about a route.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteStatus {
    /// Messages in hand.
    pub in_flight: usize,
    /// Rows in `waiting`.
    pub waiting: usize,
    /// Keys with an open dead letter.
    pub dead_keys: usize,
    /// The route is paused, for this reason.
    pub paused: Option<String>,
    /// The last failed attempt, while it lasts.
    pub last_error: Option<String>,
    /// The last delivery.
    pub last_delivered: Option<Moment>,
    /// When what is collected is delivered, by a route that collects.
    pub next_run: Option<Moment>,
    /// The begin of the run under way.
    pub running_since: Option<Moment>,
}
