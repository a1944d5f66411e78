//! Gives every route of a landscape its place: asks what removed ones still hold, and lets the rules decide.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bus_config::{Landscape, Subscription};
use bus_core::policy::places::{Arrangement, Held, Wanted, arrange};
use bus_core::ports::places::Known;
use bus_core::vocabulary::{QueueName, RouteName, SubscriptionName};
use tokio::time::Instant;

use super::Refused;
use crate::wire::Workshop;

/// A queue that its route empties as fast as it fills is empty now and then: so long it is looked for.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a person gives up by name.
#[derive(Debug, Clone, Default)]
pub struct Dropped {
    pub routes: Vec<RouteName>,
    pub subscriptions: Vec<SubscriptionName>,
}

/// Decides; changes nothing. `subscribed_before`: queues that are removed only when everything else is done. `running`: the routes are at work, and what is in a queue now may soon be delivered.
pub async fn arranged(
    workshop: &Workshop,
    landscape: &Landscape,
    dropped: &Dropped,
    subscribed_before: &[SubscriptionName],
    running: bool,
) -> Result<Arrangement, Refused> {
    let known = workshop.places.places().await?;
    let wanted: Vec<Wanted> = landscape
        .routes
        .iter()
        .map(|route| Wanted { route: route.name.clone(), stream: route.stream.clone(), was: route.was.clone() })
        .collect();
    let subscribed = landscape.subscriptions.iter().map(|one| &one.name).chain(subscribed_before);
    let subscribed = subscribed.filter_map(|name| QueueName::new(name.as_str()).ok());
    let taken: HashSet<QueueName> = subscribed.chain(known.given_up.iter().cloned()).collect();
    let give_up = Instant::now() + if running { PATIENCE } else { Duration::ZERO };
    loop {
        let held = held(workshop, &known, &wanted).await?;
        let busy = held.values().any(|held| held.queued.is_some_and(|queued| queued > 0));
        match arrange(&known.places, &wanted, &dropped.routes, &held, &taken) {
            Err(_) if busy && Instant::now() < give_up => tokio::time::sleep(LOOK_AGAIN).await,
            outcome => return outcome.map_err(Refused::Places),
        }
    }
}

/// What the places hold that are not simply kept.
async fn held(workshop: &Workshop, known: &Known, wanted: &[Wanted]) -> Result<HashMap<RouteName, Held>, Refused> {
    let mut all = HashMap::new();
    for place in &known.places {
        let kept = wanted.iter().any(|wanted| wanted.route == place.route && wanted.stream == place.stream);
        let Some(queue) = place.queue.as_ref().filter(|_| !kept) else { continue };
        let counts = workshop.store.route_counts(&place.route).await?;
        let queued = workshop.broker.depth(queue).await.ok().map(|depth| depth.messages);
        all.insert(place.route.clone(), Held { queued, waiting: counts.waiting, dead: counts.dead });
    }
    Ok(all)
}

/// Subscriptions that are gone, and may go.
pub async fn ended_subscriptions<'a>(
    workshop: &Workshop,
    old: &'a Landscape,
    new: &Landscape,
    dropped: &Dropped,
) -> Result<Vec<&'a Subscription>, Refused> {
    let gone = |one: &&Subscription| new.subscriptions.iter().all(|other| other.name != one.name);
    let (mut ended, mut refused) = (Vec::new(), Vec::new());
    for one in old.subscriptions.iter().filter(gone) {
        let queue = QueueName::new(one.name.as_str()).map_err(|error| Refused::Parts(error.into()))?;
        let queued = workshop.broker.depth(&queue).await.map_err(|error| Refused::Broker(error.to_string()))?.messages;
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
            ended.push(one);
        }
    }
    if refused.is_empty() { Ok(ended) } else { Err(Refused::Subscriptions(refused)) }
}
