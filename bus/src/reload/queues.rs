//! Queues that a reload makes, takes back and removes.

use std::collections::BTreeSet;
use std::sync::Arc;

use bus_config::Landscape;
use bus_core::engine::supervisor::Running;
use bus_core::policy::places::Step;
use bus_core::ports::broker::{BrokerError, QueuePlan};
use bus_core::vocabulary::QueueName;

use super::{Refused, depth};
use crate::wire::Workshop;
use crate::wire::parts::QueueOf;

/// A subscription that is new would share the queue of a route that has its name, or lose it with what the route leaves.
pub async fn refuse_those_of_routes(
    workshop: &Workshop,
    old: &Landscape,
    queue_of: &QueueOf,
    new: &Landscape,
) -> Result<(), Refused> {
    let known = workshop.places.places().await?;
    let of_routes: Vec<&QueueName> = queue_of.values().chain(&known.given_up).collect();
    let taken = new.subscriptions.iter().find(|one| {
        !has_subscription(old, one.name.as_str()) && of_routes.iter().any(|queue| queue.as_str() == one.name.as_str())
    });
    taken.map_or(Ok(()), |one| {
        let message = "the queue of this name still belongs to a route: give the subscription another name";
        Err(Refused::Parts(anyhow::anyhow!("subscription {}: {message}", one.name)))
    })
}

/// Of the queues that this reload makes, those that do not exist yet. Those of routes are given up, durably, until their
/// routes enter them: whatever ends this reload, no queue is left that fills for nobody. A queue that exists may hold
/// what somebody still wants, and so may one that the broker says nothing of: then nothing is begun.
pub async fn note_new(
    workshop: &Workshop,
    old: &Landscape,
    new: &Landscape,
    queues: &[QueuePlan],
    steps: &[Step],
) -> Result<Vec<QueueName>, Refused> {
    let entered: BTreeSet<&QueueName> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Enter(place) => place.queue.as_ref(),
            _ => None,
        })
        .collect();
    let made_now = |queue: &&QueueName| {
        let subscribed = has_subscription(new, queue.as_str()) && !has_subscription(old, queue.as_str());
        entered.contains(queue) || subscribed
    };
    let planned = queues.iter().map(|plan| &plan.queue).filter(made_now);
    let fresh = depth::absent(&*workshop.broker, planned).await;
    let fresh = fresh.map_err(|error| Refused::Broker(error.to_string()))?;
    let made: Vec<Step> = fresh.iter().filter(|queue| entered.contains(queue)).cloned().map(Step::Make).collect();
    if !made.is_empty() {
        workshop.places.arrange(&made).await?;
    }
    Ok(fresh)
}

/// Queues that were made in vain. What fails here is tried again by the next reload or start.
pub async fn take_back(workshop: &Workshop, running: &Arc<Running>, made: &[QueueName]) {
    for queue in made {
        if let Err(error) = running.remove_queue(queue).await {
            tracing::warn!(queue = queue.as_str(), "made in vain, and not removed yet: {error}");
        }
    }
    remove_all_given_up(workshop, running).await;
}

/// Those of a bus that runs.
pub async fn remove_all_given_up(workshop: &Workshop, running: &Arc<Running>) {
    remove_given_up(workshop, |queue| {
        let running = Arc::clone(running);
        async move { running.remove_queue(&queue).await }
    })
    .await;
}

/// Removes queues that were given up, and forgets those that are gone. What fails is tried again next time.
pub async fn remove_given_up<F, Fut>(workshop: &Workshop, remove: F)
where
    F: Fn(QueueName) -> Fut,
    Fut: Future<Output = Result<(), BrokerError>>,
{
    let known = match workshop.places.places().await {
        Ok(known) => known,
        Err(error) => return tracing::warn!("queues given up are not removed yet: {error}"),
    };
    for queue in known.given_up {
        if let Err(error) = remove(queue.clone()).await {
            tracing::warn!(queue = queue.as_str(), "not removed yet, the next reload or start tries again: {error}");
        } else if let Err(error) = workshop.places.queue_removed(&queue).await {
            tracing::warn!(queue = queue.as_str(), "removed, but not noted: {error}");
        }
    }
}

fn has_subscription(landscape: &Landscape, name: &str) -> bool {
    landscape.subscriptions.iter().any(|one| one.name.as_str() == name)
}
