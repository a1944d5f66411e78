//! The place of each route: the queue it takes from, and its memory (fences, waiting rows, dead letters, how far it has
//! come). A route that is renamed keeps both; one that is removed gives them up only when nothing is lost with them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::vocabulary::{QueueName, RouteName, StreamName};

/// What the store knows about a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Whose it is.
    pub route: RouteName,
    /// What it takes. Another stream has another order, so that no memory of the first one is of use to it.
    pub stream: StreamName,
    /// Its queue, which keeps its name for life; `None` once the route was removed and only its memory is left.
    pub queue: Option<QueueName>,
}

/// What the configuration says about a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub route: RouteName,
    /// What it takes.
    pub stream: StreamName,
    /// Its former name, whose place it keeps.
    pub was: Option<RouteName>,
}

/// What would be lost with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Messages in its queue; `None` when the broker cannot be asked.
    pub queued: Option<u64>,
    /// Rows in `waiting`.
    pub waiting: u64,
    /// Open dead letters.
    pub dead: u64,
}

/// One change of what the store knows. All of an arrangement are one transaction, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A queue is about to be made: unless somebody enters it, it is to be removed.
    Make(QueueName),
    /// The place and its memory are gone; its queue is to be removed.
    Forget(RouteName),
    /// The queue is to be removed; the memory stays for a route of this name that may come back.
    Retire(RouteName),
    /// The place goes to another name as it is.
    Rename {
        /// The former name.
        from: RouteName,
        /// The name from now on.
        to: RouteName,
    },
    /// A place with a queue of its own, new or come back.
    Enter(Place),
}

/// What to do so that every wanted route has its place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arrangement {
    /// For the store.
    pub steps: Vec<Step>,
    /// The queue of each wanted route.
    pub queues: HashMap<RouteName, QueueName>,
    /// Removed routes whose queues nobody could look into: they are kept, and filled, until somebody can.
    pub kept: Vec<Place>,
}

/// Why an arrangement is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is not configured any more and holds messages.
    #[error(
        "route {route} is not in the file any more, but still holds {held}: put it back; or write was = \"{route}\" in \
         the route that takes its place; or give these messages up with --drop-route {route}"
    )]
    Holds {
        /// The route.
        route: RouteName,
        /// What it holds.
        held: Held,
    },
    /// It takes another stream now and still holds messages of the former one.
    #[error(
        "route {route} takes another stream now, but still holds {held} of {from}: give the new route another name, or \
         give these messages up with --drop-route {route}"
    )]
    OtherStream {
        /// The route.
        route: RouteName,
        /// Its former stream.
        from: StreamName,
        /// What it holds of that.
        held: Held,
    },
    /// `was` names a route of another stream.
    #[error("route {route} cannot keep the place of {was}: that took stream {stream}, whose order is another")]
    WasOfOtherStream {
        /// The route.
        route: RouteName,
        /// Its `was`.
        was: RouteName,
        /// The stream of that.
        stream: StreamName,
    },
    /// Both names have a place.
    #[error("route {route} has a place of its own already: it cannot take that of {was} too; remove `was`")]
    Both {
        /// The route.
        route: RouteName,
        /// Its `was`.
        was: RouteName,
    },
    /// A route to drop that is configured.
    #[error("route {0} is still in the file: remove it there to drop it")]
    StillThere(RouteName),
    /// A route to drop that does not exist.
    #[error("there is no route {0} to drop")]
    Unknown(RouteName),
}

impl Held {
    /// Surely nothing.
    pub fn is_empty(&self) -> bool {
        self.queued == Some(0) && self.waiting == 0 && self.dead == 0
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queued = self.queued.map_or("an unknown number of".to_owned(), |queued| queued.to_string());
        write!(f, "{queued} messages in its queue, {} waiting, {} dead letters", self.waiting, self.dead)
    }
}

/// Gives every wanted route its place. `held` says what a known place holds, `taken` which further queue names are in
/// use. All refusals are found in one run.
pub fn arrange(
    known: &[Place],
    wanted: &[Wanted],
    dropped: &[RouteName],
    held: &HashMap<RouteName, Held>,
    taken: &HashSet<QueueName>,
) -> Result<Arrangement, Vec<Refusal>> {
    let known: BTreeMap<&RouteName, &Place> = known.iter().map(|place| (&place.route, place)).collect();
    let taken = taken.iter().chain(known.values().filter_map(|place| place.queue.as_ref())).cloned().collect();
    let mut desk = Desk { known, dropped, held, taken, done: Arrangement::default(), refused: Vec::new() };
    for route in wanted {
        desk.seat(route);
    }
    let stays =
        |route: &RouteName| wanted.iter().any(|wanted| wanted.route == *route || wanted.was.as_ref() == Some(route));
    for place in desk.known.values().copied().collect::<Vec<_>>() {
        if !stays(&place.route) {
            desk.leave(place);
        }
    }
    for route in dropped {
        match (desk.known.get(route), wanted.iter().find(|wanted| wanted.route == *route)) {
            (None, _) => desk.refused.push(Refusal::Unknown(route.clone())),
            (Some(place), Some(wanted)) if place.stream == wanted.stream => {
                desk.refused.push(Refusal::StillThere(route.clone()));
            }
            _ => {}
        }
    }
    if desk.refused.is_empty() { Ok(desk.done) } else { Err(desk.refused) }
}

struct Desk<'a> {
    known: BTreeMap<&'a RouteName, &'a Place>,
    dropped: &'a [RouteName],
    held: &'a HashMap<RouteName, Held>,
    taken: HashSet<QueueName>,
    done: Arrangement,
    refused: Vec<Refusal>,
}

impl Desk<'_> {
    fn seat(&mut self, wanted: &Wanted) {
        let own = self.known.get(&wanted.route).copied();
        let former = wanted.was.as_ref().and_then(|was| self.known.get(was).copied());
        match (own, former) {
            (Some(Place { queue: Some(_), .. }), Some(former)) if former.queue.is_some() => {
                self.refused.push(Refusal::Both { route: wanted.route.clone(), was: former.route.clone() });
            }
            (Some(own), _) if own.queue.is_some() => self.keep(wanted, own),
            (own, Some(former)) if former.stream == wanted.stream => {
                // What was left of an earlier route of the new name makes room.
                self.done.steps.extend(own.map(|own| Step::Forget(own.route.clone())));
                let (from, to) = (former.route.clone(), wanted.route.clone());
                self.done.steps.push(Step::Rename { from, to });
                match &former.queue {
                    Some(queue) => drop(self.done.queues.insert(wanted.route.clone(), queue.clone())),
                    None => self.enter(wanted),
                }
            }
            (_, Some(former)) => self.refused.push(Refusal::WasOfOtherStream {
                route: wanted.route.clone(),
                was: former.route.clone(),
                stream: former.stream.clone(),
            }),
            (Some(retired), None) => {
                if retired.stream != wanted.stream {
                    self.done.steps.push(Step::Forget(retired.route.clone()));
                }
                self.enter(wanted);
            }
            (None, None) => self.enter(wanted),
        }
    }

    fn keep(&mut self, wanted: &Wanted, own: &Place) {
        if own.stream == wanted.stream {
            self.done.queues.extend(own.queue.clone().map(|queue| (wanted.route.clone(), queue)));
            return;
        }
        let held = self.held(&own.route);
        if held.is_empty() || self.dropped.contains(&own.route) {
            self.done.steps.push(Step::Forget(own.route.clone()));
            self.enter(wanted);
        } else {
            let (route, from) = (own.route.clone(), own.stream.clone());
            self.refused.push(Refusal::OtherStream { route, from, held });
        }
    }

    /// A queue that nobody uses: of the route's name, or with a number after it.
    fn enter(&mut self, wanted: &Wanted) {
        let name = |number: usize| match number {
            1 => QueueName::new(wanted.route.as_str()).ok(),
            _ => QueueName::new(&format!("{}.{number}", wanted.route)).ok(),
        };
        // A name so long that no number fits behind it is refused by the broker, in words.
        let free = (1..1000).map_while(name).find(|queue| !self.taken.contains(queue)).or_else(|| name(1));
        let Some(queue) = free else { return };
        self.taken.insert(queue.clone());
        self.done.queues.insert(wanted.route.clone(), queue.clone());
        let (route, stream) = (wanted.route.clone(), wanted.stream.clone());
        self.done.steps.push(Step::Enter(Place { route, stream, queue: Some(queue) }));
    }

    /// A known place that no wanted route has.
    fn leave(&mut self, place: &Place) {
        let held = self.held(&place.route);
        if self.dropped.contains(&place.route) {
            self.done.steps.push(Step::Forget(place.route.clone()));
        } else if place.queue.is_none() {
            // Removed before.
        } else if held.is_empty() {
            self.done.steps.push(Step::Retire(place.route.clone()));
        } else if held == Held::default() {
            self.done.kept.push(place.clone());
        } else {
            self.refused.push(Refusal::Holds { route: place.route.clone(), held });
        }
    }

    fn held(&self, route: &RouteName) -> Held {
        self.held.get(route).copied().unwrap_or_default()
    }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
