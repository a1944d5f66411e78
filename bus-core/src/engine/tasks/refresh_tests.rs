#![allow(clippy::unwrap_used)]
use async_trait::async_trait;
use tokio::sync::Notify;

use super::*;
use crate::policy::Slice;
use crate::ports::source::BatchLimit;
use crate::ports::tasks::{Line, Place};
use crate::vocabulary::{Envelope, Key, Moment, Seq, StreamName};

/// Its second look at the tasks gets its answer only when the test says so.
#[derive(Default)]
struct Slow {
    tasks: Mutex<Vec<Task>>,
    looks: Mutex<u32>,
    /// Of those, the one that fails; none is number 0.
    fails: u32,
    has_looked: Notify,
    answers: Notify,
}

fn unasked<T>() -> Result<T, StateError> {
    Err(StateError::Failed("nobody asks this".into()))
}

#[async_trait]
impl TaskStore for Slow {
    async fn order_task(&self, order: &Order) -> Result<i64, StateError> {
        self.tasks.lock().unwrap().push(Task {
            id: 1,
            order: order.clone(),
            at: Moment(0),
            stage: Stage::Reading,
            ended: None,
            read: 0,
            kept: 0,
            sent: 0,
            slice: Slice::ALL,
            error: None,
        });
        Ok(1)
    }

    async fn tasks(&self) -> Result<Vec<Task>, StateError> {
        let seen = self.tasks.lock().unwrap().clone();
        let look = {
            let mut looks = self.looks.lock().unwrap();
            *looks += 1;
            *looks
        };
        if look == self.fails {
            return unasked();
        }
        if look == 2 {
            self.has_looked.notify_one();
            self.answers.notified().await;
        }
        Ok(seen)
    }

    async fn places(&self, _: &StreamName, _: &[Key]) -> Result<Vec<Option<Place>>, StateError> {
        unasked()
    }
    async fn set_stage(&self, _: i64, _: Stage, _: Option<&str>) -> Result<bool, StateError> {
        unasked()
    }
    async fn begin_reading(&self, _: i64) -> Result<bool, StateError> {
        unasked()
    }
    async fn keep_rows(&self, _: i64, _: u64, _: &[Envelope]) -> Result<u64, StateError> {
        unasked()
    }
    async fn narrow(&self, _: i64, _: Slice) -> Result<u64, StateError> {
        unasked()
    }
    async fn read_on(&self, _: i64, _: Slice) -> Result<bool, StateError> {
        unasked()
    }
    async fn rows(&self, _: i64, _: usize, _: usize) -> Result<Vec<(i64, Envelope)>, StateError> {
        unasked()
    }
    async fn are_latest(&self, _: &FeedName, _: &[Envelope]) -> Result<Option<Vec<bool>>, StateError> {
        unasked()
    }
    async fn forget_rows(&self, _: i64, _: &[i64]) -> Result<(), StateError> {
        unasked()
    }
    async fn archived(
        &self,
        _: &StreamName,
        _: Option<Seq>,
        _: Option<(Moment, Moment)>,
        _: BatchLimit,
    ) -> Result<Vec<Envelope>, StateError> {
        unasked()
    }
    async fn delivered_between(&self, _: &RouteName, _: Moment, _: Moment, _: usize) -> Result<Vec<Key>, StateError> {
        unasked()
    }
    async fn line(&self, _: &RouteName) -> Result<Line, StateError> {
        unasked()
    }
}

fn order() -> Order {
    Order {
        kind: Kind::Load,
        feed: FeedName::new("f").unwrap(),
        stream: StreamName::new("s").unwrap(),
        route: RouteName::new("r").unwrap(),
        only: Vec::new(),
        part: None,
        backfill: None,
        share: 50,
        who: "anna@erp1".into(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_was_ordered_begins_though_the_store_cannot_be_read_just_then() {
    let store = Arc::new(Slow { fails: 2, ..Slow::default() });
    let tasks = Tasks::load(Arc::clone(&store) as _).await.unwrap();
    let mut changes = tasks.changes();
    assert_eq!(tasks.order(&order()).await, Ok(1), "it is on disk");
    assert!(!tasks.is_open(1));
    tokio::time::timeout(LATER * 10, changes.changed()).await.unwrap().unwrap();
    assert!(tasks.is_open(1));
}

#[tokio::test]
async fn a_task_that_was_ordered_is_not_forgotten_for_an_older_look_into_the_store() {
    let store = Arc::new(Slow::default());
    let tasks = Tasks::load(Arc::clone(&store) as _).await.unwrap();
    let order = order();
    let ordered = async {
        store.has_looked.notified().await;
        let ordering = tasks.order(&order);
        tokio::pin!(ordering);
        // As far as it gets before the older look has its answer; it runs in a task of its own.
        let mut early = false;
        for _ in 0..10 {
            early = early || futures::poll!(&mut ordering).is_ready();
            tokio::task::yield_now().await;
        }
        store.answers.notify_one();
        if !early {
            ordering.await.unwrap();
        }
    };
    let (older, ()) = tokio::join!(tasks.refresh(), ordered);
    older.unwrap();
    assert!(tasks.is_open(1));
}
