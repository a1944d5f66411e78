//! A comparison over a million keys: bounded memory, exactly what is missing. A test program of its own, because the
//! highest memory is that of the process.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use bus_contract::sample;
use bus_core::ports::state::{ScanTotals, SealedBatch, StateStore};
use bus_core::vocabulary::{Cursor, FeedName, Key, Moment, StreamName};
use bus_storage::{Database, SqliteState};

const KEYS: u64 = 1_000_000;
/// Keys of one page, of a source and of the list of deletions.
const PAGE: u64 = 10_000;
/// Every so many a key is gone.
const GONE: u64 = 1_000;
/// Resident, at most: a bus with a diff stream of a million keys is to stay below it as a whole.
const MOST_KIB: u64 = 150 * 1024;

fn key(number: u64) -> Key {
    // In the form of 1C's references, in key order: what a source sorted by its key gives.
    Key::from_stored(&format!("{number:08x}-5a1c-11ee-9f4b-00155d0a1b2c"))
}

/// The first key as a feed publishes it, the others as copies of its row: a million publishes are not what is tested.
async fn publish(file: &Path, stream: &StreamName) {
    let store = SqliteState::new(Database::open(file).unwrap());
    let feed = FeedName::new("товары").unwrap();
    let epoch = store.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    let mut first = sample::with_body(stream, "k", 1, b"{}".to_vec());
    first.key = key(0);
    let batch = SealedBatch { expected: None, next: Some(Cursor::new("1")), envelopes: vec![first] };
    store.seal(&feed, epoch, &batch).await.unwrap();
    store.advance(&feed, epoch, &batch).await.unwrap();
    drop(store);
    let copies = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1 - 1)
        INSERT INTO published (stream, key, generation, hash, deleted, epoch, number)
        SELECT p.stream, printf('%08x', n.i) || substr(p.key, 9), p.generation, p.hash, p.deleted, p.epoch, n.i + 1
        FROM published p, n";
    let copied = rusqlite::Connection::open(file).unwrap().execute(copies, [i64::try_from(KEYS).unwrap()]).unwrap();
    assert_eq!(copied as u64, KEYS - 1);
}

/// Highest resident memory of this process, in KiB.
fn highest() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_million_keys_are_compared_in_bounded_memory() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bus.db");
    let stream = sample::stream();
    publish(&file, &stream).await;
    let store = SqliteState::new(Database::open(&file).unwrap());
    store.scan_begin(&stream).await.unwrap();
    for page in 0..KEYS / PAGE {
        let numbers = page * PAGE..(page + 1) * PAGE;
        let there: Vec<Key> = numbers.filter(|number| !number.is_multiple_of(GONE)).map(key).collect();
        store.scan_seen(&stream, &there).await.unwrap();
    }
    let totals = store.scan_totals(&stream).await.unwrap();
    assert_eq!(totals, ScanTotals { existing: KEYS, missing: KEYS / GONE });
    let (mut missing, mut after) = (Vec::new(), None);
    loop {
        let page = store.scan_missing(&stream, after.as_ref(), 300).await.unwrap();
        let Some(last) = page.last().cloned() else { break };
        missing.extend(page);
        after = Some(last);
    }
    let expected: Vec<Key> = (0..KEYS).step_by(usize::try_from(GONE).unwrap()).map(key).collect();
    assert!(missing == expected, "{} keys are missing, not {}", missing.len(), expected.len());
    let highest = highest();
    println!("highest resident memory: {highest} KiB");
    assert!(highest < MOST_KIB, "{highest} KiB");
}
