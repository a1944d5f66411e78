//! Subscriptions: a queue of the subscriber's own, or an outbox that is asked over HTTP.

use std::sync::Arc;

use bus_config::{Subscription, Via};
use bus_core::engine::outbox::{Outbox, OutboxPlan};
use bus_core::ports::broker::{Keep, QueuePlan};
use bus_core::vocabulary::{QueueName, Secret};

use super::secrets::load;
use super::workshop::Workshop;

/// The queue of a subscription.
pub fn queue(subscription: &Subscription) -> anyhow::Result<QueuePlan> {
    // The bounds of an HTTP subscription are the outbox's: its queue is emptied at once.
    let keep = match subscription.via {
        Via::Amqp => Some(keep(subscription)),
        Via::Http { .. } => None,
    };
    let queue = QueueName::new(subscription.name.as_str())?;
    Ok(QueuePlan { queue, stream: subscription.stream.clone(), keep })
}

/// The outbox of an HTTP subscription and what its subscriber must present.
pub fn prepare(workshop: &Workshop, subscription: &Subscription) -> anyhow::Result<Option<(Outbox, Secret)>> {
    let Via::Http { key } = &subscription.via else { return Ok(None) };
    let key = load(key, &format!("the key of subscription {}", subscription.name))?;
    let outbox = Outbox {
        plan: OutboxPlan {
            name: subscription.name.clone(),
            queue: QueueName::new(subscription.name.as_str())?,
            stream: subscription.stream.clone(),
            keep: keep(subscription),
        },
        shape: Arc::clone(&subscription.shape) as _,
        broker: Arc::clone(&workshop.broker),
        store: Arc::clone(&workshop.store),
        incidents: workshop.incidents.clone(),
        metrics: workshop.metrics.clone(),
    };
    Ok(Some((outbox, key)))
}

fn keep(subscription: &Subscription) -> Keep {
    Keep { age: subscription.keep_for, bytes: subscription.keep_bytes }
}
