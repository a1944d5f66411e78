//! Subscriptions that are gone: whether they may go, and what is left of them.

use bus_config::{Landscape, Subscription, Via};
use bus_core::engine::supervisor::Running;
use bus_core::ports::state::{StateError, StateStore};
use bus_core::vocabulary::{QueueName, SubscriptionName};

use super::{Dropped, Refused, depth};
use crate::wire::Workshop;

/// Subscriptions that are gone, and may go.
pub async fn ended(
    workshop: &Workshop,
    old: &Landscape,
    new: &Landscape,
    dropped: &Dropped,
) -> Result<Vec<Subscription>, Refused> {
    let gone = |one: &&Subscription| new.subscriptions.iter().all(|other| other.name != one.name);
    let (mut ended, mut refused) = (Vec::new(), Vec::new());
    for one in old.subscriptions.iter().filter(gone) {
        let queue = QueueName::new(one.name.as_str()).map_err(|error| Refused::Parts(error.into()))?;
        let queued = depth::queued(&*workshop.broker, &queue).await;
        let queued = queued.map_err(|error| Refused::Broker(error.to_string()))?.unwrap_or_default();
        let kept = workshop.store.outbox_backlog(&one.name).await?.messages;
        if queued + kept > 0 && !dropped.subscriptions.contains(&one.name) {
            refused.push(format!(
                "subscription {} is not in the file any more, but its subscriber has not taken {} messages: put it \
                 back, or give them up with --drop-subscription {}",
                one.name,
                queued + kept,
                one.name
            ));
        } else {
            ended.push(one.clone());
        }
    }
    if refused.is_empty() { Ok(ended) } else { Err(Refused::Subscriptions(refused)) }
}

/// Queues and kept messages of subscriptions that are gone.
pub async fn let_go(workshop: &Workshop, running: &Running, subscriptions: &[Subscription]) {
    for one in subscriptions {
        let Ok(queue) = QueueName::new(one.name.as_str()) else { continue };
        if let Err(error) = running.remove_queue(&queue).await {
            tracing::warn!(queue = queue.as_str(), "not removed, delete it at the broker: {error}");
        }
        if matches!(one.via, Via::Http { .. })
            && let Err(error) = give_up(workshop.store.as_ref(), &one.name).await
        {
            tracing::warn!(subscription = one.name.as_str(), "what was kept for it stays: {error}");
        }
    }
}

/// As if its subscriber had taken everything: one of the same name that comes later has missed nothing of it.
async fn give_up(store: &dyn StateStore, subscription: &SubscriptionName) -> Result<(), StateError> {
    let last = store.outbox_backlog(subscription).await?.last;
    store.outbox_take(subscription, last).await.map(drop)
}
