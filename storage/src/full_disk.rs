//! Tests: a full disk refuses everything, changes nothing, and is forgotten when there is room again.
#![allow(clippy::unwrap_used)]

use bus_contract::sample;
use bus_core::ports::broker::{Broker, BrokerHealth, QueuePlan};
use bus_core::ports::journal::{Event, Journal, Run};
use bus_core::ports::state::{Reserved, SealedBatch, StateError, StateStore};
use bus_core::ports::story::{Search, Stories};
use bus_core::vocabulary::{Envelope, FeedName, GateName, Key, Moment, QueueName, SystemName};

use crate::{Database, EmbeddedBroker, JournalBounds, SqliteJournal, SqliteState};

/// SQLite answers with the same code as for a full disk when the file may not grow beyond so many pages.
async fn limit(database: &Database, pages: Option<i64>) {
    let work = move |connection: &rusqlite::Connection| {
        let used: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0))?;
        connection.query_row(
            &format!("PRAGMA max_page_count = {}", pages.map_or(1 << 30, |p| used + p)),
            [],
            |_| Ok(()),
        )?;
        Ok(())
    };
    database.write(0, work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_changes_nothing_and_passes() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("bus.db")).unwrap();
    let (broker, state) = (EmbeddedBroker::open(database.clone()).await.unwrap(), SqliteState::new(database.clone()));
    let (queue, stream) = (QueueName::new("q").unwrap(), sample::stream());
    let (feed, system) = (FeedName::new("f").unwrap(), GateName::Deliveries(SystemName::new("s").unwrap()));
    broker.declare(&[QueuePlan { queue: queue.clone(), stream: stream.clone(), keep: None }]).await.unwrap();
    let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    state.set_gate(&system, Reserved::at(1)).await.unwrap();
    let large = |n: u64| sample::with_body(&stream, "ключ", n, vec![b'x'; 200_000]);

    limit(&database, Some(10)).await;
    let batch = SealedBatch { expected: None, next: None, envelopes: vec![large(1)] };
    for _ in 0..3 {
        let batches = [vec![large(1), large(2)], vec![large(3)]];
        let (first, second, sealed) = tokio::join!(
            broker.publish(&stream, &batches[0]),
            broker.publish(&stream, &batches[1]),
            state.seal(&feed, epoch, &batch)
        );
        assert!(first.iter().chain(&second).all(Result::is_err), "confirmed on a full disk");
        assert!(matches!(sealed, Err(StateError::Failed(_))), "{sealed:?}");
    }
    assert!(matches!(&*broker.health().borrow(), BrokerHealth::Blocked(_)));
    assert_eq!(broker.depth(&queue).await.unwrap().messages, 0);
    assert_eq!(state.gate(&system).await, Ok(Some(Reserved::at(1))), "lookups go on");

    limit(&database, None).await;
    assert_eq!(state.seal(&feed, epoch, &batch).await, Ok(()));
    assert!(broker.publish(&stream, &[large(1), large(2)]).await.iter().all(Result::is_ok));
    assert_eq!(*broker.health().borrow(), BrokerHealth::Connected);
    assert_eq!(broker.depth(&queue).await.unwrap().messages, 2);
    assert_eq!(state.published(&stream, &[Key::from_stored("ключ")]).await, Ok(vec![None]));
    assert_eq!(state.open_feed(&feed, Moment(0)).await.unwrap().sealed, Some(batch));
}

/// Notes wait for room, in order, and nobody else is held up by them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_waits_for_room() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("bus.db")).unwrap();
    let bounds = JournalBounds { age: std::time::Duration::from_secs(86_400), bytes: 1 << 40 };
    let (journal, state) = (SqliteJournal::open(database.clone(), bounds), SqliteState::new(database.clone()));
    let (stream, system) = (sample::stream(), GateName::Deliveries(SystemName::new("s").unwrap()));
    state.set_gate(&system, Reserved::at(1)).await.unwrap();
    journal.flush().await.unwrap();
    limit(&database, Some(8)).await;
    let message = Envelope { time: Moment::now(), ..sample::with_body(&stream, "ключ", 1, noise(400_000)) };
    let archive = Some(std::time::Duration::from_secs(60));
    let feed = FeedName::new("f").unwrap();
    journal.note(Event::Sealed(Run { feed, number: 1, envelopes: vec![message.clone()], archive }));
    assert!(matches!(journal.flush().await, Err(StateError::Failed(_))));
    // Whatever the disk still takes is taken.
    let _ = state.set_gate(&system, Reserved::at(2)).await;
    limit(&database, None).await;
    assert_eq!(journal.flush().await, Ok(()));
    let search = Search { word: Some("ключ".into()), limit: 1, ..Search::default() };
    assert_eq!(journal.find(&search).await.unwrap().objects.len(), 1);
}

/// Nothing that could be compressed.
fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|_| fastrand::u8(b' '..b'~')).collect()
}

/// A refused request must not undo its neighbours in the same transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_spoils_no_other() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path().join("bus.db")).unwrap();
    let state = SqliteState::new(database.clone());
    let feed = FeedName::new("f").unwrap();
    let system = GateName::Deliveries(SystemName::new("s").unwrap());
    state.set_gate(&system, Reserved::at(0)).await.unwrap();
    let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    // Holds the writer, so that what follows is one group.
    let (hold, held) = std::sync::mpsc::channel::<()>();
    let blocker = database.clone();
    let blocked = tokio::spawn(async move {
        let work = move |_: &rusqlite::Connection| {
            let _ = held.recv();
            Ok(())
        };
        blocker.write(0, work).await
    });
    let stale = SealedBatch { expected: None, next: None, envelopes: Vec::new() };
    let release = async {
        // Yields until both requests below have been handed in.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        hold.send(()).unwrap();
    };
    let half = database.write(0, |connection| {
        connection.execute("UPDATE gates SET horizon = 99", [])?;
        Err::<(), _>(StateError::CursorMoved.into())
    });
    let (half, gate, fenced, ()) =
        tokio::join!(half, state.set_gate(&system, Reserved::at(7)), state.seal(&feed, epoch + 1, &stale), release);
    blocked.await.unwrap().unwrap();
    assert_eq!((half, gate, fenced), (Err(StateError::CursorMoved), Ok(()), Err(StateError::Fenced)));
    assert_eq!(state.gate(&system).await, Ok(Some(Reserved::at(7))));
}
