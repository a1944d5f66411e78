//! What needs a person, said once: opened with what, where and what to do; closed on recovery.
//!
//! The registry is memory, because it is asked in hot places; [`keep`] makes it durable, so that "since" holds over a
//! restart. What a restart brings back stays open until something here says that it is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::policy::Sign;
use crate::ports::state::StateError;
use crate::ports::watch::WatchStore;
use crate::vocabulary::Moment;

pub use crate::vocabulary::{Incident, IncidentKind as Kind};

/// Closed ones that wait to be stored; more than this only where nobody stores them at all.
const UNSTORED: usize = 1000;
/// Counts of open ones are stored at most so often.
const STORE_EVERY: Duration = Duration::from_secs(5);
/// What a restart brought back and nothing has confirmed for so long is over: whoever would close it has no traffic.
const UNCONFIRMED: Duration = Duration::from_secs(3600);

/// The open incidents of this process: one per kind and subject. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Incidents(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    inner: Mutex<Inner>,
    /// How many: closing is asked for after every delivery, and nearly always nothing is open.
    count: AtomicUsize,
    changed: Notify,
}

type Id = (Kind, String);

#[derive(Debug, Default)]
struct Inner {
    open: BTreeMap<Id, Incident>,
    /// To be stored.
    dirty: BTreeSet<Id>,
    closed: Vec<Incident>,
    /// From before the restart, and not seen since.
    carried: BTreeMap<Id, Moment>,
}

impl Incidents {
    /// Opens an incident, or counts it once more; logs only when it is new.
    pub fn open(&self, kind: Kind, subject: &str, message: &str, remedy: &str) {
        self.seen(kind, subject, message, remedy, 1);
    }

    /// What a condition says that is looked at again and again: opens it, closes it, or leaves it as it is.
    pub fn judge(&self, kind: Kind, subject: &str, sign: Sign, remedy: &str) {
        match sign {
            Sign::Bad(message) => self.seen(kind, subject, &message, remedy, 0),
            Sign::Good => self.close(kind, subject),
            Sign::Unknown => {}
        }
    }

    fn seen(&self, kind: Kind, subject: &str, message: &str, remedy: &str, again: u64) {
        let mut inner = self.inner();
        let id = (kind, subject.to_owned());
        let now = Moment::now();
        let confirmed = inner.carried.remove(&id).is_some();
        let mut new = false;
        let incident = inner.open.entry(id.clone()).or_insert_with(|| {
            tracing::error!(incident = kind.as_str(), subject, remedy, "{message}");
            new = true;
            let subject = subject.to_owned();
            let (message, remedy) = (String::new(), remedy.to_owned());
            Incident { kind, subject, message, remedy, since: now, last: now, count: 1 - again, closed: None }
        });
        let same = incident.message == message && again == 0;
        if !same {
            message.clone_into(&mut incident.message);
            remedy.clone_into(&mut incident.remedy);
            incident.count += again;
        }
        incident.last = now;
        self.0.count.store(inner.open.len(), Ordering::Release);
        if !same || confirmed {
            inner.dirty.insert(id);
        }
        drop(inner);
        if new {
            self.0.changed.notify_one();
        }
    }

    /// Closes an incident, if it is open.
    pub fn close(&self, kind: Kind, subject: &str) {
        if self.0.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut inner = self.inner();
        let id = (kind, subject.to_owned());
        let Some(mut incident) = inner.open.remove(&id) else { return };
        inner.carried.remove(&id);
        inner.dirty.remove(&id);
        self.0.count.store(inner.open.len(), Ordering::Release);
        let now = Moment::now();
        incident.closed = Some(now);
        let seconds = incident.since.until(now).as_secs();
        if inner.closed.len() < UNSTORED {
            inner.closed.push(incident);
        }
        drop(inner);
        tracing::info!(incident = kind.as_str(), subject, seconds, "resolved");
        self.0.changed.notify_one();
    }

    /// Whether one is open.
    pub fn is_open(&self, kind: Kind, subject: &str) -> bool {
        self.0.count.load(Ordering::Acquire) > 0 && self.inner().open.contains_key(&(kind, subject.to_owned()))
    }

    /// Everything open now, by kind and subject.
    pub fn list(&self) -> Vec<Incident> {
        self.inner().open.values().cloned().collect()
    }

    /// Takes over what was open before a restart. A job that had crashed runs again, and a pause that was not told
    /// again has ended: that is over.
    pub fn restore(&self, stored: Vec<Incident>) {
        let now = Moment::now();
        let mut inner = self.inner();
        for mut incident in stored {
            let id = (incident.kind, incident.subject.clone());
            let paused = incident.kind == Kind::PausedByPerson && !inner.open.contains_key(&id);
            if incident.kind == Kind::JobCrashed || paused {
                incident.closed = Some(now);
                inner.closed.push(incident);
                continue;
            }
            match inner.open.get_mut(&id) {
                // Seen again already: it goes on, and did not begin anew.
                Some(open) => {
                    open.count += incident.count;
                    open.since = incident.since;
                    inner.dirty.insert(id);
                }
                None => {
                    inner.carried.insert(id.clone(), now);
                    inner.open.insert(id, incident);
                }
            }
        }
        self.0.count.store(inner.open.len(), Ordering::Release);
    }

    /// Closes what nothing will close any more: subjects that are gone (`known` says no), and what a restart brought back,
    /// only traffic would close, and nobody has seen for an hour.
    pub fn forget(&self, known: impl Fn(&Incident) -> bool, now: Moment) {
        let over: Vec<Id> = {
            let inner = self.inner();
            let by_traffic =
                |kind| matches!(kind, Kind::SystemDown | Kind::RoutePaused | Kind::StoreFailing | Kind::BrokerDown);
            let unconfirmed = |id: &Id| {
                by_traffic(id.0) && inner.carried.get(id).is_some_and(|since| since.until(now) >= UNCONFIRMED)
            };
            let over = |(id, incident): &(&Id, &Incident)| !known(incident) || unconfirmed(id);
            inner.open.iter().filter(over).map(|(id, _)| id.clone()).collect()
        };
        for (kind, subject) in over {
            self.close(kind, &subject);
        }
    }

    /// Waits until one opens or closes. One waiter.
    pub async fn changed(&self) {
        self.0.changed.notified().await;
    }

    /// Stores what has changed; on failure it is kept for the next time.
    pub async fn store(&self, store: &dyn WatchStore) -> Result<(), StateError> {
        let (rows, ids, closed) = {
            let mut inner = self.inner();
            let ids = std::mem::take(&mut inner.dirty);
            let closed = std::mem::take(&mut inner.closed);
            let open = ids.iter().filter_map(|id| inner.open.get(id)).cloned();
            (open.chain(closed.iter().cloned()).collect::<Vec<_>>(), ids, closed)
        };
        if rows.is_empty() {
            return Ok(());
        }
        let kept = store.keep_incidents(&rows).await;
        if kept.is_err() {
            let mut inner = self.inner();
            inner.dirty.extend(ids);
            inner.closed.splice(0..0, closed);
        }
        kept
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Stores incidents as they open and close, until stopped, and once more then.
pub async fn keep(incidents: Incidents, store: Arc<dyn WatchStore>, stop: CancellationToken) {
    loop {
        let due = async {
            tokio::select! {
                () = incidents.changed() => {}
                () = tokio::time::sleep(STORE_EVERY) => {}
            }
        };
        let stopped = stop.run_until_cancelled(due).await.is_none();
        if let Err(error) = incidents.store(&*store).await {
            tracing::warn!("open incidents could not be stored, trying again: {error}");
            stop.run_until_cancelled(tokio::time::sleep(STORE_EVERY)).await;
        }
        if stopped {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subjects(incidents: &Incidents) -> Vec<(String, u64)> {
        incidents.list().into_iter().map(|incident| (incident.subject, incident.count)).collect()
    }

    #[test]
    fn one_incident_per_kind_and_subject() {
        let incidents = Incidents::default();
        for _ in 0..3 {
            incidents.open(Kind::SystemDown, "shop", "connection refused", "start it");
        }
        incidents.open(Kind::SystemDown, "erp", "connection refused", "start it");
        assert_eq!(subjects(&incidents), [("erp".into(), 1), ("shop".into(), 3)]);
        incidents.close(Kind::SystemDown, "shop");
        incidents.close(Kind::SystemDown, "shop");
        assert_eq!(incidents.list().len(), 1);
    }

    #[test]
    fn a_condition_is_one_occurrence_however_often_it_is_looked_at() {
        let incidents = Incidents::default();
        for words in ["7 letters", "7 letters", "8 letters"] {
            incidents.judge(Kind::DeadLetters, "заказы", Sign::Bad(words.into()), "bus dead list");
        }
        incidents.judge(Kind::DeadLetters, "заказы", Sign::Unknown, "");
        assert_eq!(
            (subjects(&incidents), incidents.list()[0].message.as_str()),
            (vec![("заказы".into(), 1)], "8 letters")
        );
        incidents.judge(Kind::DeadLetters, "заказы", Sign::Good, "");
        assert!(incidents.list().is_empty());
    }

    #[test]
    fn what_was_open_before_a_restart_goes_on_and_is_forgotten_only_when_nothing_confirms_it() {
        let before = Incidents::default();
        for kind in [Kind::SystemDown, Kind::Gap, Kind::JobCrashed, Kind::RoutePaused] {
            before.open(kind, "x", "words", "remedy");
        }
        let mut stored = before.list();
        stored.iter_mut().for_each(|incident| incident.since = Moment(1000));

        let after = Incidents::default();
        after.open(Kind::RoutePaused, "x", "again", "remedy");
        after.restore(stored);
        let kinds = |incidents: &Incidents| incidents.list().iter().map(|i| i.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&after), [Kind::SystemDown, Kind::RoutePaused, Kind::Gap]);
        assert!(after.list().iter().all(|incident| incident.since == Moment(1000)));

        let later = Moment::now().after(UNCONFIRMED);
        after.forget(|_| true, Moment::now());
        assert_eq!(after.list().len(), 3);
        after.forget(|_| true, later);
        assert_eq!(kinds(&after), [Kind::RoutePaused, Kind::Gap], "a gap is for a person, a pause was seen again");
        after.forget(|incident| incident.kind != Kind::Gap, later);
        assert_eq!(kinds(&after), [Kind::RoutePaused], "its subject is gone");
    }
}
