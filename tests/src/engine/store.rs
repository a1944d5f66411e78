//! The real state store with cuts before and after every call.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::runs::{Run, Runs};
use bus_core::ports::state::{
    Applied, Backlog, Change, DeadFilter, DeadRow, FeedState, Page, Published, Replay, ReplayMode, Reserved,
    RouteCounts, RouteState, ScanTotals, SealedBatch, Settled, StateError, StateStore, Taken, WaitingRow,
};
use bus_core::vocabulary::{
    Envelope, FeedName, GateName, Key, MessageId, Moment, RouteName, StreamName, SubscriptionName, UnreadableRecord,
};

use super::cuts::Cuts;

/// The real runs with cuts around them.
pub struct CutRuns {
    /// The real ones.
    pub inner: bus_storage::SqliteRuns,
    /// This life's cuts.
    pub cuts: Cuts,
}

#[async_trait]
impl Runs for CutRuns {
    async fn last_run(&self, route: &RouteName) -> Result<Option<Run>, StateError> {
        self.inner.last_run(route).await
    }

    async fn keep_run(&self, route: &RouteName, run: Run) -> Result<(), StateError> {
        let passage = self.cuts.enter("runs.keep").await;
        if passage.fails() {
            return Err(StateError::Failed("a planned failure".into()));
        }
        let kept = self.inner.keep_run(route, run).await;
        if passage.leave().await { Err(StateError::Failed("a planned failure".into())) } else { kept }
    }

    async fn last_recheck(&self, feed: &FeedName) -> Result<Option<Moment>, StateError> {
        self.inner.last_recheck(feed).await
    }

    async fn keep_recheck(&self, feed: &FeedName, began: Moment) -> Result<(), StateError> {
        let passage = self.cuts.enter("runs.keep_recheck").await;
        if passage.fails() {
            return Err(StateError::Failed("a planned failure".into()));
        }
        let kept = self.inner.keep_recheck(feed, began).await;
        if passage.leave().await { Err(StateError::Failed("a planned failure".into())) } else { kept }
    }
}

/// A rule that the store breaks on purpose, to prove that the properties notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sabotage {
    /// R1: a batch is published without having been sealed.
    ForgetSeal,
    /// R5, R13: nobody remembers what was settled.
    ForgetFence,
    /// D7: a blind receiver's attempts leave no trace.
    ForgetMarks,
    /// What is moved to `waiting` is not there.
    LoseHold,
    /// The broker confirms half of what it was given.
    ConfirmTooMuch,
    /// Messages are acked as they are taken.
    AckFirst,
}

/// Passes every call on, unless a cut is planned for it.
pub struct CutStore {
    /// The real one.
    pub inner: Arc<dyn StateStore>,
    /// This life's cuts.
    pub cuts: Cuts,
    /// What is broken.
    pub sabotage: Option<Sabotage>,
    /// What a feed that opens takes for the time.
    pub clock: Moment,
}

impl CutStore {
    async fn through<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, StateError>>,
    ) -> Result<T, StateError> {
        let planned = || StateError::Failed("a planned failure".into());
        let passage = self.cuts.enter(operation).await;
        if passage.fails() {
            return Err(planned());
        }
        let outcome = call.await;
        if passage.leave().await { Err(planned()) } else { outcome }
    }

    async fn commit_unless_broken(&self, route: &RouteName, changes: Vec<Change>) -> Result<Vec<Applied>, StateError> {
        let lost = |change: &Change| match self.sabotage {
            Some(Sabotage::ForgetMarks) => matches!(change, Change::Mark { .. }),
            Some(Sabotage::LoseHold) => matches!(change, Change::Hold { .. }),
            _ => false,
        };
        let kept: Vec<Change> = changes.iter().filter(|change| !lost(change)).cloned().collect();
        let mut applied = self.inner.commit(route, kept).await?.into_iter();
        Ok(changes.iter().map(|change| if lost(change) { Applied::Yes } else { applied.next().unwrap() }).collect())
    }
}

macro_rules! pass_on {
    ($($operation:literal $method:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)*) => {
        #[async_trait]
        impl StateStore for CutStore {
            $(async fn $method(&self, $($argument: $kind),*) -> Result<$answer, StateError> {
                self.through($operation, self.inner.$method($($argument),*)).await
            })*

            /// An attempt mark alone has a name of its own: it stands before the send, all others behind it.
            async fn commit(&self, route: &RouteName, changes: Vec<Change>) -> Result<Vec<Applied>, StateError> {
                let marks = changes.iter().all(|change| matches!(change, Change::Mark { .. }));
                let operation = if marks { "store.mark" } else { "store.commit" };
                self.through(operation, self.commit_unless_broken(route, changes)).await
            }

            /// Epochs count from 1, so that a story can tell them, unless the clock is part of it.
            async fn open_feed(&self, feed: &FeedName, _: Moment) -> Result<FeedState, StateError> {
                self.through("store.open_feed", self.inner.open_feed(feed, self.clock)).await
            }

            async fn seal(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError> {
                if self.sabotage == Some(Sabotage::ForgetSeal) {
                    return self.through("store.seal", std::future::ready(Ok(()))).await;
                }
                self.through("store.seal", self.inner.seal(feed, epoch, batch)).await
            }

            async fn settled(&self, route: &RouteName, keys: &[Key]) -> Result<Vec<Option<Settled>>, StateError> {
                if self.sabotage == Some(Sabotage::ForgetFence) {
                    return Ok(vec![None; keys.len()]);
                }
                self.through("store.settled", self.inner.settled(route, keys)).await
            }
        }
    };
}

pass_on! {
    "store.published" published(stream: &StreamName, keys: &[Key]) -> Vec<Option<Published>>;
    "store.advance" advance(feed: &FeedName, epoch: u64, batch: &SealedBatch) -> ();
    "store.keep_unreadable" keep_unreadable(rows: &[UnreadableRecord]) -> ();
    "store.scan_begin" scan_begin(stream: &StreamName) -> ();
    "store.scan_seen" scan_seen(stream: &StreamName, keys: &[Key]) -> ();
    "store.scan_missing" scan_missing(stream: &StreamName, after: Option<&Key>, limit: usize) -> Vec<Key>;
    "store.scan_totals" scan_totals(stream: &StreamName) -> ScanTotals;
    "store.open_route" open_route(route: &RouteName) -> RouteState;
    "store.waiting" waiting(route: &RouteName, now: Moment, longest: Duration, limit: usize, bytes: usize) -> Vec<WaitingRow>;
    "store.marked" marked(route: &RouteName, ids: &[MessageId]) -> Vec<bool>;
    "store.dead_letters" dead_letters(filter: &DeadFilter) -> Vec<DeadRow>;
    "store.replay" replay(id: i64, mode: ReplayMode) -> Replay;
    "store.drop_dead" drop_dead(id: i64) -> bool;
    "store.gate" gate(name: &GateName) -> Option<Reserved>;
    "store.set_gate" set_gate(name: &GateName, reserved: Reserved) -> ();
    "store.outbox_append" outbox_append(name: &SubscriptionName, envelopes: &[Envelope]) -> ();
    "store.outbox_begin" outbox_begin(name: &SubscriptionName, now: Moment) -> ();
    "store.outbox_take" outbox_take(name: &SubscriptionName, position: u64) -> Taken;
    "store.outbox_read" outbox_read(name: &SubscriptionName, after: u64, limit: usize, bytes: usize) -> Page;
    "store.outbox_trim" outbox_trim(name: &SubscriptionName, oldest: Moment, bytes: u64) -> u64;
    "store.outbox_backlog" outbox_backlog(name: &SubscriptionName) -> Backlog;
    "store.route_counts" route_counts(route: &RouteName) -> RouteCounts;
}
