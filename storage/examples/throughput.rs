//! What one file carries: messages through the embedded broker, settlements, and the memory of a scan.
//!
//! `cargo run --release -p bus-storage --example throughput [directory]` prints one line of JSON.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::path::Path;
use std::time::Instant;

use bus_contract::sample;
use bus_core::ports::broker::{Broker, QueuePlan};
use bus_core::ports::state::{Change, SealedBatch, Settlement, StateStore};
use bus_core::vocabulary::{Envelope, FeedName, Key, Moment, QueueName, RouteName};
use bus_storage::{Database, EmbeddedBroker, SqliteState};

/// Messages of 1 KiB, batches of 256: one publisher with four batches in flight, one consumer that acks each.
async fn broker(directory: &Path, batches: u64) -> f64 {
    let database = Database::open(directory.join("broker.db")).unwrap();
    let broker = EmbeddedBroker::open(database).await.unwrap();
    let (stream, queue) = (sample::stream(), QueueName::new("q").unwrap());
    broker.declare(&[QueuePlan { queue: queue.clone(), stream: stream.clone(), keep: None }]).await.unwrap();
    let batch: Vec<Envelope> =
        (1..=256).map(|n| sample::with_body(&stream, &format!("key-{}", n % 50), n, vec![b'x'; 1024])).collect();
    let started = Instant::now();
    let publishers: Vec<_> = (0..4)
        .map(|_| {
            let (broker, stream, batch) = (broker.clone(), stream.clone(), batch.clone());
            tokio::spawn(async move {
                for _ in 0..batches / 4 {
                    assert!(broker.publish(&stream, &batch).await.iter().all(Result::is_ok));
                }
            })
        })
        .collect();
    let mut deliveries = broker.consume(&queue, 256).await.unwrap();
    for _ in 0..batches / 4 * 4 * 256 {
        deliveries.next().await.unwrap().unwrap().ack().await.unwrap();
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    (batches / 4 * 4 * 256) as f64 / started.elapsed().as_secs_f64()
}

/// Settlements of 100 000 keys in groups of 64, sixteen callers at once.
async fn settle(directory: &Path, groups: u64) -> f64 {
    let state = SqliteState::new(Database::open(directory.join("state.db")).unwrap());
    let (route, stream) = (RouteName::new("r").unwrap(), sample::stream());
    let started = Instant::now();
    let callers: Vec<_> = (0..16u64)
        .map(|caller| {
            let (state, route, stream) = (state.clone(), route.clone(), stream.clone());
            tokio::spawn(async move {
                for group in 0..groups / 16 {
                    let changes = (0..64).map(|n| {
                        let number = (group * 16 + caller) * 64 + n + 1;
                        let envelope = sample::envelope(&stream, &format!("key-{}", number % 100_000), number);
                        Change::Settle {
                            key: envelope.key,
                            seq: envelope.seq,
                            id: envelope.id,
                            outcome: Settlement::Delivered { present: true, receiver_id: None },
                        }
                    });
                    state.commit(&route, changes.collect()).await.unwrap();
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    (groups / 16 * 16 * 64) as f64 / started.elapsed().as_secs_f64()
}

/// A scan of so many keys: seconds, and by how many MiB the process grew.
async fn scan(directory: &Path, keys: u64) -> (f64, f64) {
    let state = SqliteState::new(Database::open(directory.join("scan.db")).unwrap());
    let (feed, stream) = (FeedName::new("f").unwrap(), sample::stream());
    let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    let key = |n: u64| format!("склад-{n:07}");
    // Loaded in key order, scanned in another one, which is the hard case for the scan's file.
    let shuffled = |n: u64| n * 7_368_787 % keys;
    for first in (0..keys).step_by(1000) {
        let envelopes = (first..first + 1000).map(|n| sample::envelope(&stream, &key(n), n + 1)).collect();
        let batch = SealedBatch { expected: None, next: None, envelopes };
        state.advance(&feed, epoch, &batch).await.unwrap();
    }
    let (before, started) = (resident(), Instant::now());
    let mut most = before;
    state.scan_begin(&stream).await.unwrap();
    for first in (0..keys).step_by(1000) {
        let part: Vec<_> =
            (first..first + 1000).map(shuffled).filter(|n| n % 1000 != 7).map(|n| Key::from_stored(&key(n))).collect();
        state.scan_seen(&stream, &part).await.unwrap();
        most = most.max(resident());
    }
    let totals = state.scan_totals(&stream).await.unwrap();
    assert_eq!((totals.existing, totals.missing), (keys, keys / 1000));
    assert_eq!(state.scan_missing(&stream, None, 10_000).await.unwrap().len() as u64, keys / 1000);
    (started.elapsed().as_secs_f64(), (most.max(resident()) - before) / 1024.0)
}

/// Resident memory in KiB.
fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let place = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into())).unwrap();
    let scale = if cfg!(debug_assertions) { 10 } else { 1 };
    let messages = broker(place.path(), 1600 / scale).await;
    let changes = settle(place.path(), 8000 / scale).await;
    let (seconds, grown) = scan(place.path(), 1_000_000).await;
    println!(
        "{{\"broker_messages_per_s\":{messages:.0},\"settle_changes_per_s\":{changes:.0},\
         \"scan_s\":{seconds:.1},\"scan_grown_mib\":{grown:.0}}}"
    );
}
