//! A round of capture in one transaction: all of it or nothing, and only by who may.
#![allow(clippy::unwrap_used)]

use std::ops::RangeInclusive;

use bus_contract::sample;
use bus_core::ports::broker::{Broker, Incoming, QueuePlan};
use bus_core::ports::one_step::OneStep;
use bus_core::ports::state::{SealedBatch, StateError, StateStore};
use bus_core::vocabulary::{Cursor, FeedName, Moment, QueueName, StreamName};
use bus_storage::{Database, EmbeddedBroker, SqliteState};
use tempfile::TempDir;

struct World {
    directory: TempDir,
    stream: StreamName,
    feed: FeedName,
    queue: QueueName,
}

impl World {
    fn new() -> Self {
        let (feed, queue) = (FeedName::new("f").unwrap(), QueueName::new("q").unwrap());
        Self { directory: tempfile::tempdir().unwrap(), stream: sample::stream(), feed, queue }
    }

    async fn open(&self) -> (SqliteState, EmbeddedBroker) {
        let database = Database::open(self.directory.path().join("bus.db")).unwrap();
        let (state, broker) = (SqliteState::new(database.clone()), EmbeddedBroker::open(database).await.unwrap());
        let plan = QueuePlan { queue: self.queue.clone(), stream: self.stream.clone(), keep: None };
        broker.declare(&[plan]).await.unwrap();
        (state, broker)
    }

    fn batch(&self, expected: Option<&str>, next: &str, numbers: RangeInclusive<u64>) -> SealedBatch {
        let envelopes = sample::run(&self.stream, *numbers.start(), *numbers.end());
        SealedBatch { expected: expected.map(Cursor::new), next: Some(Cursor::new(next)), envelopes }
    }

    /// Numbers of the messages that a consumer gets.
    async fn consumed(&self, broker: &EmbeddedBroker) -> Vec<u64> {
        let messages = broker.depth(&self.queue).await.unwrap().messages;
        let mut deliveries = broker.consume(&self.queue, 100).await.unwrap();
        let mut numbers = Vec::new();
        for _ in 0..messages {
            let Incoming::Sealed(envelope) = deliveries.next().await.unwrap().unwrap().message else { panic!() };
            numbers.push(envelope.seq.number);
        }
        numbers
    }
}

#[tokio::test]
async fn a_batch_is_published_and_the_cursor_moved_for_good() {
    let world = World::new();
    let (state, broker) = world.open().await;
    let epoch = state.open_feed(&world.feed, Moment(0)).await.unwrap().epoch;
    let (first, second) = (world.batch(None, "1", 1..=3), world.batch(Some("1"), "2", 4..=5));
    broker.publish_and_advance(&world.feed, epoch, &first).await.unwrap();
    broker.publish_and_advance(&world.feed, epoch, &second).await.unwrap();
    assert_eq!(world.consumed(&broker).await, [1, 2, 3, 4, 5]);
    let known = state.published(&world.stream, &[first.envelopes[2].key.clone()]).await.unwrap();
    assert_eq!(known[0].as_ref().map(|known| known.hash), Some(first.envelopes[2].hash));
    drop((state, broker));

    let (state, broker) = world.open().await;
    let found = state.open_feed(&world.feed, Moment(0)).await.unwrap();
    assert_eq!((found.cursor, found.sealed), (Some(Cursor::new("2")), None));
    assert_eq!(world.consumed(&broker).await, [1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn who_is_refused_has_published_nothing() {
    let world = World::new();
    let (state, broker) = world.open().await;
    let (feed, zombie) = (&world.feed, state.open_feed(&world.feed, Moment(0)).await.unwrap().epoch);
    let epoch = state.open_feed(feed, Moment(0)).await.unwrap().epoch;
    let refused = |epoch, batch| {
        let broker = broker.clone();
        async move { broker.publish_and_advance(feed, epoch, &batch).await.unwrap_err() }
    };
    // R4: an older epoch. R3: another cursor.
    assert_eq!(refused(zombie, world.batch(None, "1", 1..=2)).await, StateError::Fenced);
    assert_eq!(refused(epoch, world.batch(Some("0"), "1", 1..=2)).await, StateError::CursorMoved);
    // R2: what is sealed comes first.
    let sealed = world.batch(None, "1", 1..=2);
    state.seal(feed, epoch, &sealed).await.unwrap();
    assert_eq!(refused(epoch, world.batch(None, "1", 3..=4)).await, StateError::Fenced);
    assert_eq!(world.consumed(&broker).await, [0; 0]);
    assert_eq!(state.open_feed(feed, Moment(0)).await.unwrap().sealed, Some(sealed));
}
