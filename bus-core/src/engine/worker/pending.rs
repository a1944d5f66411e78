//! Outcomes on their way to disk: committed in groups, and only then acked, unlocked and counted (R5, R6).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::item::{Item, Prepared};
use super::told::Told;
use crate::engine::incident::{Incidents, Kind};
use crate::policy::{Jitter, RetryPolicy};
use crate::ports::broker::Delivery;
use crate::ports::state::{Applied, Change, Settled, StateError, StateStore};
use crate::vocabulary::{Key, RouteName, Seq};

/// A commit is repeated until it succeeds: the outcome exists at the receiver, and forgetting it would repeat it.
const BACKOFF: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_millis(200),
    max: Duration::from_secs(10),
    jitter: Jitter::Equal,
};

/// A commit of so many outcomes is worth its flush: what one more would save is below a microsecond.
const GROUP: usize = 64;
/// How long an outcome waits for others while attempts are under way.
const COMPANY: Duration = Duration::from_millis(8);
/// The same while a key's next message waits with it: no longer than a request to a near receiver takes.
const COMPANY_OF_WAITED: Duration = Duration::from_millis(2);

/// Outcomes that wait for the next commit.
#[derive(Default)]
pub(super) struct Pending {
    changes: Vec<Change>,
    afters: Vec<After>,
    /// When the oldest of them came.
    since: Option<Instant>,
}

/// What a committed change permits.
#[derive(Default)]
pub(super) struct After {
    pub key: Option<Key>,
    pub seq: Option<Seq>,
    /// To ack.
    pub delivery: Option<Delivery>,
    /// The key was locked by this message.
    pub unlock: bool,
    /// What the fence now is.
    pub fence: Option<Settled>,
    pub effect: Effect,
    /// To be sent again; its key stays locked.
    pub put_back: Option<Prepared>,
    /// A task waits for this.
    pub told: Option<Arc<Told>>,
}

/// What a committed change means for the index and the counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Effect {
    /// Delivered; `true` if it came from `waiting`.
    Delivered(bool),
    /// Skipped, with its reason; `true` if it came from `waiting`.
    Skipped(&'static str, bool),
    /// Dead-lettered; whether it came from `waiting`, and whether the receiver rejected it.
    Dead { waited: bool, rejected: bool },
    /// A newer version stands in its place; `true` if it came from `waiting`.
    Superseded(bool),
    /// Into `waiting`: the index has counted it already.
    Held,
    /// Nothing to count.
    #[default]
    None,
}

/// A group that is on disk.
pub(super) struct Flushed {
    pub changes: Vec<Change>,
    pub afters: Vec<After>,
    pub applied: Vec<Applied>,
    /// A commit failed before one succeeded: it may have happened all the same, so what was applied says too little.
    pub in_doubt: bool,
}

impl Pending {
    pub fn push(&mut self, change: Change, after: After) {
        self.since.get_or_insert_with(Instant::now);
        self.changes.push(change);
        self.afters.push(after);
    }

    /// A change that nothing waits for.
    pub fn push_plain(&mut self, change: Change) {
        self.push(change, After::default());
    }

    /// Keys of messages on their way to `waiting`.
    pub fn held(&self) -> impl Iterator<Item = &Key> {
        self.changes.iter().filter_map(|change| match change {
            Change::Hold { envelope, .. } | Change::Again { envelope } => Some(&envelope.key),
            _ => None,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Worth a commit although attempts are under way. `waited`: a key's next message waits, maybe for one of these.
    pub fn is_ripe(&self, waited: bool) -> bool {
        self.changes.len() >= GROUP || self.ripens(waited).is_some_and(|at| at <= Instant::now())
    }

    /// When what there is becomes ripe by its age; `None`: there is nothing.
    pub fn ripens(&self, waited: bool) -> Option<Instant> {
        self.since.map(|since| since + if waited { COMPANY_OF_WAITED } else { COMPANY })
    }

    /// Commits everything collected so far, with patience: a full disk delays, and loses nothing.
    pub fn flush(
        &mut self,
        route: RouteName,
        store: Arc<dyn StateStore>,
        incidents: Incidents,
    ) -> impl Future<Output = Flushed> + Send + use<> {
        let changes = std::mem::take(&mut self.changes);
        let afters = std::mem::take(&mut self.afters);
        self.since = None;
        async move {
            let mut failures = 0;
            loop {
                match store.commit(&route, changes.clone()).await {
                    Ok(applied) => {
                        return Flushed { changes, afters, applied, in_doubt: failures > 0 };
                    }
                    Err(error) => {
                        failures += 1;
                        report(&incidents, &route, &error);
                        tokio::time::sleep(BACKOFF.backoff(failures, fastrand::f64())).await;
                    }
                }
            }
        }
    }
}

fn report(incidents: &Incidents, route: &RouteName, error: &StateError) {
    let remedy = match error {
        StateError::Corrupt(_) => "stop the bus and restore the state store from its backup",
        _ => "nothing is lost: the route waits until the state store takes writes again; look at the disk",
    };
    incidents.open(Kind::StoreFailing, route.as_str(), &error.to_string(), remedy);
}

impl After {
    /// For a message that leaves our hands for good or for `waiting`; unlocks its key if it had been taken out.
    pub fn of(item: Item, unlock: bool, fence: Option<Settled>, effect: Effect) -> Self {
        let (key, seq) = (Some(item.envelope.key.clone()), Some(item.seq()));
        Self { key, seq, delivery: item.into_delivery(), unlock, fence, effect, put_back: None, told: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::Seq;

    #[test]
    fn an_outcome_that_a_message_waits_for_ripens_sooner() {
        let mut pending = Pending::default();
        assert!(pending.ripens(false).is_none() && !pending.is_ripe(true));
        let before = Instant::now();
        pending.push_plain(Change::Reached { seq: Seq::ZERO });
        assert!(pending.ripens(false).is_some_and(|at| at >= before + COMPANY));
        assert_eq!(pending.ripens(true).map(|at| at + (COMPANY - COMPANY_OF_WAITED)), pending.ripens(false));
        for _ in 1..GROUP {
            pending.push_plain(Change::Reached { seq: Seq::ZERO });
        }
        assert!(pending.is_ripe(false), "a full group waits for nothing");
    }
}
