//! The pauses that people ordered, as feeds, workers and gates look at them.
//!
//! A pause is durable before it takes effect, and ended durably before work goes on: whoever got an answer finds the
//! same after a crash. It outlives restarts and reloads, and no success ends it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::incident::{Incidents, Kind};
use super::whole::to_its_end;
use crate::ports::pauses::{Pause, PauseStore, Subject};
use crate::ports::state::StateError;

/// All pauses of this process. Cloning shares them.
#[derive(Clone)]
pub struct Pauses(Arc<Shared>);

struct Shared {
    store: Arc<dyn PauseStore>,
    incidents: Incidents,
    /// Held from the store's write to the table's change: two orders that cross end here as they end on disk.
    order: tokio::sync::Mutex<()>,
    table: Mutex<BTreeMap<Subject, Pause>>,
    /// How many: looked at before every send, and nearly always nothing is paused.
    count: AtomicUsize,
    changed: watch::Sender<u64>,
}

impl Pauses {
    /// What an earlier process was told counts on.
    pub async fn load(store: Arc<dyn PauseStore>, incidents: Incidents) -> Result<Self, StateError> {
        let pauses = Self(Arc::new(Shared {
            incidents,
            order: tokio::sync::Mutex::default(),
            table: Mutex::default(),
            count: AtomicUsize::new(0),
            changed: watch::Sender::new(0),
            store,
        }));
        for pause in pauses.0.store.pauses().await? {
            pauses.tell(&pause);
            pauses.change(|table| table.insert(pause.subject.clone(), pause));
        }
        Ok(pauses)
    }

    /// Pauses a subject from now on; what is under way ends as usual.
    pub async fn pause(&self, pause: Pause) -> Result<(), StateError> {
        let pauses = self.clone();
        to_its_end(async move {
            let _order = pauses.0.order.lock().await;
            pauses.0.store.keep_pause(&pause).await?;
            let (kind, name) = (pause.subject.kind(), pause.subject.name());
            tracing::warn!(kind, name, who = pause.who, "paused by a person");
            pauses.tell(&pause);
            pauses.change(|table| table.insert(pause.subject.clone(), pause));
            Ok(())
        })
        .await
    }

    /// Ends a pause; `false` if there was none.
    pub async fn resume(&self, subject: &Subject, who: &str) -> Result<bool, StateError> {
        let (pauses, subject, who) = (self.clone(), subject.clone(), who.to_owned());
        to_its_end(async move {
            let _order = pauses.0.order.lock().await;
            let ended = pauses.0.store.end_pause(&subject).await?;
            let known = pauses.change(|table| table.remove(&subject)).is_some();
            pauses.0.incidents.close(Kind::PausedByPerson, &subject.to_string());
            if ended || known {
                tracing::info!(kind = subject.kind(), name = subject.name(), who, "resumed by a person");
            }
            Ok(ended || known)
        })
        .await
    }

    /// The pause of a subject, if it is paused.
    pub fn of(&self, subject: &Subject) -> Option<Pause> {
        if !self.any() {
            return None;
        }
        self.table().get(subject).cloned()
    }

    /// Whether anything is paused; costs nothing.
    pub fn any(&self) -> bool {
        self.0.count.load(Ordering::Acquire) > 0
    }

    /// All of them, by subject.
    pub fn list(&self) -> Vec<Pause> {
        self.table().values().cloned().collect()
    }

    /// Returns when `pause` gives nothing any more. Cancel-safe.
    pub async fn until_none(&self, pause: impl Fn() -> Option<Pause>) {
        let mut changed = self.0.changed.subscribe();
        while pause().is_some() {
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }

    fn tell(&self, pause: &Pause) {
        let subject = pause.subject.to_string();
        let remedy = format!("what it holds back is kept; when the reason is gone: bus resume {subject}");
        self.0.incidents.open(Kind::PausedByPerson, &subject, &format!("paused {pause}"), &remedy);
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<Subject, Pause>) -> T) -> T {
        let mut table = self.table();
        let outcome = change(&mut table);
        self.0.count.store(table.len(), Ordering::Release);
        drop(table);
        self.0.changed.send_modify(|version| *version += 1);
        outcome
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<Subject, Pause>> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use async_trait::async_trait;
    use tokio::sync::Notify;

    use super::*;
    use crate::vocabulary::{Moment, RouteName};

    /// The answer to a pause that is on disk comes only when the test says so.
    #[derive(Default)]
    struct Slow {
        kept: Mutex<BTreeMap<Subject, Pause>>,
        is_kept: Notify,
        answers: Notify,
    }

    #[async_trait]
    impl PauseStore for Slow {
        async fn pauses(&self) -> Result<Vec<Pause>, StateError> {
            Ok(self.kept.lock().unwrap().values().cloned().collect())
        }

        async fn keep_pause(&self, pause: &Pause) -> Result<(), StateError> {
            self.kept.lock().unwrap().insert(pause.subject.clone(), pause.clone());
            self.is_kept.notify_one();
            self.answers.notified().await;
            Ok(())
        }

        async fn end_pause(&self, subject: &Subject) -> Result<bool, StateError> {
            Ok(self.kept.lock().unwrap().remove(subject).is_some())
        }
    }

    #[tokio::test]
    async fn what_is_paused_here_is_what_is_paused_on_disk_also_when_two_people_order_at_once() {
        let store = Arc::new(Slow::default());
        let pauses = Pauses::load(Arc::clone(&store) as _, Incidents::default()).await.unwrap();
        let subject = Subject::Route(RouteName::new("a").unwrap());
        let (who, since) = ("anna@erp1".to_owned(), Moment::now());
        let pause = Pause { subject: subject.clone(), who, why: String::new(), since };
        let resumed = async {
            store.is_kept.notified().await;
            let resume = pauses.resume(&subject, "boris@erp1");
            tokio::pin!(resume);
            // As far as it gets before the first order has its answer; it runs in a task of its own.
            let mut early = false;
            for _ in 0..10 {
                early = early || futures::poll!(&mut resume).is_ready();
                tokio::task::yield_now().await;
            }
            store.answers.notify_one();
            if !early {
                resume.await.unwrap();
            }
        };
        let (paused, ()) = tokio::join!(pauses.pause(pause), resumed);
        paused.unwrap();
        assert_eq!(pauses.list(), store.pauses().await.unwrap());
    }

    #[tokio::test]
    async fn an_order_takes_effect_though_whoever_gave_it_has_gone() {
        let store = Arc::new(Slow::default());
        let pauses = Pauses::load(Arc::clone(&store) as _, Incidents::default()).await.unwrap();
        let subject = Subject::Route(RouteName::new("a").unwrap());
        let (who, since) = ("anna@erp1".to_owned(), Moment::now());
        let pause = Pause { subject: subject.clone(), who, why: String::new(), since };
        tokio::select! {
            _ = pauses.pause(pause) => panic!("it has no answer yet"),
            () = store.is_kept.notified() => {}
        }
        store.answers.notify_one();
        let seen = async {
            while pauses.of(&subject).is_none() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), seen).await.expect("it is paused on disk, and here");
    }
}
