//! Gives every route of a landscape its place: asks what removed ones still hold, lets the rules decide, and gives them away.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bus_config::Landscape;
use bus_core::policy::places::{Arrangement, Held, Step, Wanted, arrange};
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::places::Known;
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{QueueName, RouteName, SubscriptionName};
use tokio::time::Instant;

use super::{Refused, depth};
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
        let queued = depth::queued(&*workshop.broker, queue).await.ok().map(Option::unwrap_or_default);
        all.insert(place.route.clone(), Held { queued, waiting: counts.waiting, dead: counts.dead });
    }
    Ok(all)
}

/// Gives the places away. A route that a person paused stays paused under its new name.
pub async fn give_places(workshop: &Workshop, steps: &[Step]) -> Result<(), StateError> {
    let pauses = &workshop.operations.pauses;
    let mut moved = Vec::new();
    for step in steps {
        if let Step::Rename { from, to } = step
            && let Some(pause) = pauses.of(&Subject::Route(from.clone()))
        {
            // Before the place: in between, a crash leaves a pause too many rather than one too few.
            pauses.pause(Pause { subject: Subject::Route(to.clone()), ..pause.clone() }).await?;
            moved.push(pause);
        }
    }
    // Also without steps: the store writes in the order in which it is asked, so behind this nothing of a worker that was cut
    // off is committed late, between what its successor loads and what it does.
    workshop.places.arrange(steps).await?;
    for pause in moved {
        pauses.resume(&pause.subject, &pause.who).await?;
    }
    Ok(())
}
