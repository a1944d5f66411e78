//! Tasks: what feeds read for them, and the one job that hands what was read to the routes, a few rows at a time.

mod fill;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::fill::Fill;
use super::whole::to_its_end;
use super::worker::{Command, Handle, Load};
use crate::ports::state::StateError;
use crate::ports::tasks::{Kind, Order, Stage, Task, TaskStore};
use crate::vocabulary::{FeedName, RouteName};

/// Between looks at the lines that tasks fill.
const LOOK: Duration = Duration::from_millis(200);
/// After the store has failed.
const LATER: Duration = Duration::from_secs(5);
/// A reading keeps no more than this (what one page brings beyond it is forgotten again): what is read and not sent lies in
/// the state store, beside everything else.
const KEPT: u64 = 256 * 1024 * 1024;
/// Of rows that are handed over at a time: of large records fewer.
const HANDED_BYTES: usize = 16 * 1024 * 1024;
/// While a route has more rows than this in its line, it is behind, and nothing is added.
const BEHIND: u64 = 5000;

/// Where the route is that a task hands rows to.
pub enum Whereabouts {
    /// At work.
    Here(Handle),
    /// It will be there again: a reload is starting it anew, or could not.
    Away,
    /// Nothing is called so any more.
    Gone,
}

/// All tasks of this process. Cloning shares them.
#[derive(Clone)]
pub struct Tasks(Arc<Shared>);

struct Shared {
    store: Arc<dyn TaskStore>,
    /// The bytes that a reading keeps at most.
    kept: u64,
    /// Held from the look into the store to its publication: an older look must not replace a newer one.
    refreshing: tokio::sync::Mutex<()>,
    /// Somebody looks again until it succeeds.
    catching_up: AtomicBool,
    /// The open ones, oldest first.
    open: Mutex<Vec<Task>>,
    changed: watch::Sender<u64>,
}

impl Tasks {
    /// What an earlier process had begun goes on.
    pub async fn load(store: Arc<dyn TaskStore>) -> Result<Self, StateError> {
        Self::keeping(KEPT, store).await
    }

    /// The same with another bound of what a reading keeps, in bytes.
    pub async fn keeping(kept: u64, store: Arc<dyn TaskStore>) -> Result<Self, StateError> {
        let (refreshing, open, changed) = (tokio::sync::Mutex::default(), Mutex::default(), watch::Sender::new(0));
        let catching_up = AtomicBool::new(false);
        let tasks = Self(Arc::new(Shared { store, kept, refreshing, catching_up, open, changed }));
        tasks.refresh().await?;
        Ok(tasks)
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<dyn TaskStore> {
        &self.0.store
    }

    /// Takes an order; it is done from now on, also by the next process.
    pub async fn order(&self, order: &Order) -> Result<i64, StateError> {
        let (tasks, order) = (self.clone(), order.clone());
        to_its_end(async move {
            let id = tasks.0.store.order_task(&order).await?;
            let (kind, route) = (order.kind.as_str(), order.route.as_str());
            tracing::info!(task = id, kind, route, who = order.who, "ordered by a person");
            tasks.catch_up().await;
            Ok(id)
        })
        .await
    }

    /// Ends a task; what is in a route's line already is sent. `false`: it is not open.
    pub async fn cancel(&self, id: i64) -> Result<bool, StateError> {
        self.set_stage(id, Stage::Cancelled, None).await
    }

    /// The oldest task that waits for this feed to read.
    pub fn to_read(&self, feed: &FeedName) -> Option<Task> {
        self.open().iter().find(|task| task.stage == Stage::Reading && task.order.feed == *feed).cloned()
    }

    /// The tasks that one scan serves: those that wait for the same dates of the same stream.
    pub fn read_together(&self, task: &Task) -> Vec<Task> {
        let order = &task.order;
        let same = |other: &&Task| {
            other.stage == Stage::Reading
                && (&other.order.feed, &other.order.stream, other.order.part)
                    == (&order.feed, &order.stream, order.part)
        };
        self.open().iter().filter(same).cloned().collect()
    }

    /// Told of every change of a task.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// Whether a task is still to be done.
    pub fn is_open(&self, id: i64) -> bool {
        self.open().iter().any(|task| task.id == id)
    }

    /// Returns when there is something to read for this feed. Cancel-safe.
    pub async fn until_to_read(&self, feed: &FeedName) {
        let mut changed = self.0.changed.subscribe();
        while self.to_read(feed).is_none() {
            // The sender lives as long as we do.
            let _ = changed.changed().await;
        }
    }

    /// Moves a task on. `false`: it is not open, because a person has cancelled it.
    pub async fn set_stage(&self, id: i64, stage: Stage, error: Option<&str>) -> Result<bool, StateError> {
        let changed = self.0.store.set_stage(id, stage, error).await?;
        if changed && !stage.is_open() {
            tracing::info!(task = id, stage = stage.as_str(), error, "a task has ended");
        }
        self.refresh().await?;
        Ok(changed)
    }

    /// What was read for a task is sent: it is done, or the source is read again for the keys that follow.
    pub(super) async fn read_on_or_end(&self, task: &Task) -> Result<(), StateError> {
        match task.slice.next() {
            None => self.set_stage(task.id, Stage::Done, None).await.map(drop),
            Some(slice) => {
                self.0.store.read_on(task.id, slice).await?;
                self.refresh().await
            }
        }
    }

    /// Fewer keys, while a reading has kept more than it may.
    pub(super) async fn narrow(&self, task: &mut Task, mut bytes: u64) -> Result<(), StateError> {
        while bytes > self.0.kept
            && let Some(half) = task.slice.lower_half()
        {
            bytes = self.0.store.narrow(task.id, half).await?;
            task.slice = half;
        }
        Ok(())
    }

    /// Hands what was read to the routes until stopped. Dropped at any await, it loses nothing: a row is forgotten only
    /// when it is durable in its route's line (L5), and offered again it is known there (L3).
    pub async fn run(self, find: impl Fn(&RouteName) -> Whereabouts + Send + Sync, stop: CancellationToken) {
        let work = async {
            let mut fills: HashMap<RouteName, Fill> = HashMap::new();
            let mut changed = self.0.changed.subscribe();
            loop {
                let mut pause = LOOK;
                let sending = self.sending();
                fills.retain(|route, _| sending.iter().any(|task| task.order.route == *route));
                for task in &sending {
                    let fill = fills.entry(task.order.route.clone()).or_default();
                    if let Err(error) = self.hand_over(task, fill, &find).await {
                        tracing::warn!(task = task.id, "the task waits for the state store: {error}");
                        pause = LATER;
                    }
                }
                if sending.is_empty() {
                    // The sender lives as long as we do.
                    let _ = changed.changed().await;
                } else {
                    tokio::time::sleep(pause).await;
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// The oldest of each route.
    fn sending(&self) -> Vec<Task> {
        let mut first: Vec<Task> = Vec::new();
        for task in self.open().iter().filter(|task| task.stage == Stage::Sending) {
            if !first.iter().any(|other| other.order.route == task.order.route) {
                first.push(task.clone());
            }
        }
        first
    }

    async fn hand_over(
        &self,
        task: &Task,
        fill: &mut Fill,
        find: impl Fn(&RouteName) -> Whereabouts,
    ) -> Result<(), StateError> {
        let (store, route) = (&self.0.store, &task.order.route);
        let handle = match find(route) {
            Whereabouts::Here(handle) => handle,
            Whereabouts::Away => return Ok(()),
            Whereabouts::Gone => {
                self.set_stage(task.id, Stage::Failed, Some("there is no such route any more")).await?;
                return Ok(());
            }
        };
        let line = store.line(route).await?;
        let room = fill.room(line.loaded, Instant::now());
        let rows = store.rows(task.id, room.max(1), HANDED_BYTES).await?;
        if rows.is_empty() && line.loaded == 0 {
            self.read_on_or_end(task).await?;
        }
        if rows.is_empty() || room == 0 || line.waiting >= BEHIND {
            return Ok(());
        }
        // L9: what came after it is on its way, and may have been sent before a crash.
        let (places, envelopes): (Vec<i64>, Vec<_>) = rows.into_iter().unzip();
        let Some(latest) = store.are_latest(&task.order.feed, &envelopes).await? else { return Ok(()) };
        let outdated: Vec<i64> =
            places.iter().zip(&latest).filter_map(|(place, latest)| (!latest).then_some(*place)).collect();
        if !outdated.is_empty() {
            return store.forget_rows(task.id, &outdated).await;
        }
        let (reply, answer) = oneshot::channel();
        let again = task.order.kind == Kind::Resend;
        let who = task.order.who.clone();
        let load = Load { envelopes, again, share: task.order.share, who, reply };
        if !handle.send(Command::Load(load)).await {
            return Ok(());
        }
        // No answer: the worker has ended, and whatever it did is found out by offering the rows again.
        let Ok(taken) = answer.await else { return Ok(()) };
        let taken: Vec<i64> =
            places.into_iter().zip(taken).filter_map(|(place, taken)| taken.then_some(place)).collect();
        super::crash::point("task.handed");
        store.forget_rows(task.id, &taken).await
    }

    /// Looks into the store again, and tells everybody.
    pub(super) async fn refresh(&self) -> Result<(), StateError> {
        let _turn = self.0.refreshing.lock().await;
        let tasks = self.0.store.tasks().await?;
        *self.open() = tasks.into_iter().filter(|task| task.stage.is_open()).collect();
        self.0.changed.send_modify(|version| *version += 1);
        Ok(())
    }

    /// What was ordered is durable: if the store cannot be read now, it is looked at again until it can.
    pub(super) async fn catch_up(&self) {
        let Err(error) = self.refresh().await else { return };
        tracing::warn!("what was ordered begins when the state store can be read: {error}");
        if self.0.catching_up.swap(true, Ordering::AcqRel) {
            return;
        }
        let shared = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(LATER).await;
                let Some(tasks) = shared.upgrade().map(Self) else { return };
                // Before the look, so that whoever orders during it and cannot look either begins anew.
                tasks.0.catching_up.store(false, Ordering::Release);
                if tasks.refresh().await.is_ok() || tasks.0.catching_up.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
        });
    }

    fn open(&self) -> MutexGuard<'_, Vec<Task>> {
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "tasks/refresh_tests.rs"]
mod tests;
