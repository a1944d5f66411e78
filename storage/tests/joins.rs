//! Joined streams in the state store: what a reading gives, where it goes on, and what cannot be put together.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bus_contract::sample;
use bus_core::engine::part::PartTarget;
use bus_core::ports::join::{Membership, PartChange, PartWriter};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, Source};
use bus_core::ports::target::{Parcel, Target};
use bus_core::vocabulary::{Cursor, Fault, Key, Operation, StreamName};
use bus_storage::{Database, JoinPlan, JoinSource, JoinedPart, StoredPart};

const ALL: BatchLimit = BatchLimit { records: 100, bytes: 1 << 20 };

fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

/// Products with one price and many attributes each.
struct Cards {
    database: Database,
    _directory: tempfile::TempDir,
}

impl Cards {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        Self { database: Database::open(directory.path().join("bus.db")).unwrap(), _directory: directory }
    }

    fn source(&self) -> JoinSource {
        let part = |stream, field: &str, many| JoinedPart { stream: name(stream), name: field.into(), many };
        let with = vec![part("цены", "цена", false), part("свойства", "свойства", true)];
        let (stream, main) = (name("карточки"), name("товары"));
        JoinSource::new(self.database.clone(), JoinPlan { stream, key: vec!["id".into()], label: None, main, with })
    }

    /// A record of a part that belongs to the card with this key; to none without.
    async fn put(&self, part: &str, member: &str, card: Option<&str>, body: &str) {
        let now = card.map(|key| Membership { key: Key::from_stored(key), body: body.to_owned().into() });
        let (joined, part, main) = (name("карточки"), name(part), name("товары"));
        let writer = StoredPart { database: self.database.clone(), joined, part, main };
        writer.write(vec![PartChange { member: Key::from_stored(member), now }]).await.unwrap();
    }

    async fn product(&self, key: &str) {
        self.put("товары", key, Some(key), &format!(r#"{{"id":"{key}"}}"#)).await;
    }
}

async fn fetch(source: &mut JoinSource, after: Option<&Cursor>, limit: BatchLimit) -> Batch {
    source.fetch(after, limit, &Permits::unbounded()).await.unwrap()
}

/// Everything from the beginning, in readings of this size: the keys of the records, and those that cannot be put together.
async fn read(cards: &Cards, limit: BatchLimit) -> (Vec<String>, usize, usize) {
    let (mut source, mut after) = (cards.source(), None);
    let (mut keys, mut unreadable, mut readings) = (Vec::new(), 0, 0);
    loop {
        let batch = fetch(&mut source, after.as_ref(), limit).await;
        keys.extend(batch.records.iter().map(|record| record.key.to_string()));
        unreadable += batch.unreadable.len();
        readings += 1;
        after = batch.next.or(after);
        if !batch.more {
            return (keys, unreadable, readings);
        }
    }
}

#[tokio::test]
async fn a_reading_is_bounded_and_the_next_one_leaves_nothing_out() {
    let cards = Cards::new();
    for key in ["a", "b", "c", "d", "e"] {
        cards.product(key).await;
    }
    let whole = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>();
    assert_eq!(read(&cards, ALL).await, (whole(&["a", "b", "c", "d", "e"]), 0, 1));
    assert_eq!(read(&cards, BatchLimit { records: 2, ..ALL }).await, (whole(&["a", "b", "c", "d", "e"]), 0, 3));
    // A record is longer than one byte: each reading has one, and its place is where the next one begins.
    let (keys, _, readings) = read(&cards, BatchLimit { bytes: 1, ..ALL }).await;
    assert_eq!((keys, readings), (whole(&["a", "b", "c", "d", "e"]), 5));
    // What changes again goes to the end of the line, and is read there once.
    cards.put("цены", "p", Some("b"), r#"{"сумма":1}"#).await;
    assert_eq!(read(&cards, ALL).await.0, ["a", "c", "d", "e", "b"]);
}

#[tokio::test]
async fn only_what_is_another_than_before_is_read_again() {
    let cards = Cards::new();
    let mut source = cards.source();
    cards.put("цены", "p", Some("a"), r#"{"сумма":1}"#).await;
    assert!(fetch(&mut source, None, ALL).await.records.is_empty(), "a price alone is no card");
    cards.product("a").await;
    cards.product("b").await;
    let mut after = fetch(&mut source, None, ALL).await.next;
    let mut changed = async || {
        let batch = fetch(&mut source, after.as_ref(), ALL).await;
        after = batch.next.or(after.take());
        let mut keys: Vec<_> = batch.records.iter().map(|r| (r.key.to_string(), r.operation)).collect();
        keys.sort_by(|one, other| one.0.cmp(&other.0));
        keys
    };
    let upsert = |key: &str| (key.to_owned(), Operation::Upsert);
    assert!(changed().await.is_empty());
    cards.put("цены", "p", Some("a"), r#"{"сумма":1}"#).await;
    cards.product("a").await;
    assert!(changed().await.is_empty(), "the same again");
    cards.put("цены", "p", Some("b"), r#"{"сумма":1}"#).await;
    assert_eq!(changed().await, [upsert("a"), upsert("b")], "it went from one to the other");
    cards.put("цены", "p", None, "").await;
    assert_eq!(changed().await, [upsert("b")]);
    cards.put("товары", "a", None, "").await;
    assert_eq!(changed().await, [("a".to_owned(), Operation::Delete)]);
}

#[tokio::test]
async fn what_cannot_be_put_together_is_kept_and_passed() {
    let cards = Cards::new();
    cards.product("a").await;
    cards.put("товары", "a2", Some("a"), "{}").await;
    cards.product("b").await;
    cards.put("цены", "p1", Some("b"), "{}").await;
    cards.put("цены", "p2", Some("b"), "{}").await;
    cards.put("товары", "c", Some("c"), "[]").await;
    assert_eq!(read(&cards, ALL).await, (vec![], 3, 1));
    let mut source = cards.source();
    let batch = fetch(&mut source, None, ALL).await;
    let said: Vec<&str> = batch.unreadable.iter().map(|row| row.reason.as_str()).collect();
    assert!(said[0].contains("товары have this key"), "{said:?}");
    assert!(said[1].contains("many = true"), "{said:?}");
    assert!(said[2].contains("no JSON object"), "{said:?}");
    // The position is behind them: they are not read for ever.
    assert!(fetch(&mut source, batch.next.as_ref(), ALL).await.unreadable.is_empty());
}

#[tokio::test]
async fn a_card_of_too_many_parts_is_no_record_and_no_memory() {
    let cards = Cards::new();
    cards.product("a").await;
    let (joined, part, main) = (name("карточки"), name("свойства"), name("товары"));
    let writer = StoredPart { database: cards.database.clone(), joined, part, main };
    let change = |number: usize| PartChange {
        member: Key::from_stored(&number.to_string()),
        now: Some(Membership { key: Key::from_stored("a"), body: "1".into() }),
    };
    writer.write((0..10_000).map(change).collect()).await.unwrap();
    assert_eq!(read(&cards, ALL).await.1, 0, "as many as it may have");
    writer.write(vec![change(10_000)]).await.unwrap();
    let (keys, unreadable, _) = read(&cards, ALL).await;
    assert_eq!((keys.len(), unreadable), (0, 1));
}

#[tokio::test]
async fn a_scan_reads_every_card_once_from_its_beginning() {
    let cards = Cards::new();
    for key in ["c", "a", "b"] {
        cards.product(key).await;
    }
    cards.put("цены", "p", Some("нет"), "{}").await;
    let permits = Permits::unbounded();
    let mut source = cards.source();
    let limit = BatchLimit { records: 2, ..ALL };
    // The second scan begins where everything begins.
    for _ in 0..2 {
        let (mut keys, mut restart) = (Vec::new(), true);
        loop {
            let page = source.scan(restart, limit, &permits).await.unwrap();
            keys.extend(page.records.iter().map(|record| record.key.to_string()));
            restart = false;
            if page.complete {
                break;
            }
        }
        assert_eq!(keys, ["a", "b", "c"]);
    }
    let keys = ["a", "нет", "b"].map(Key::from_stored);
    assert_eq!(source.present(&name("карточки"), &keys, &permits).await.unwrap(), [true, false, true]);
}

/// What a record of a part says of whom it belongs to.
#[tokio::test]
async fn a_record_belongs_to_whom_its_fields_name_and_to_nobody_where_they_are_empty() {
    let cards = Cards::new();
    for key in ["7", "8"] {
        cards.product(key).await;
    }
    let (joined, part, main) = (name("карточки"), name("цены"), name("товары"));
    let writer = Arc::new(StoredPart { database: cards.database.clone(), joined, part: part.clone(), main });
    let target = PartTarget { writer, on: vec!["товар".into()] };
    let parcel = |operation, body: &str| {
        let envelope = sample::with_body(&part, "p", 1, body.as_bytes().to_vec());
        let (body, idempotency_key) = (envelope.body.clone(), String::new());
        Parcel { envelope, operation, body, idempotency_key, receiver_id: None, exists: false }
    };
    let prices = async || {
        let records = fetch(&mut cards.source(), None, ALL).await.records;
        let with = records.iter().filter(|record| !String::from_utf8_lossy(&record.body).contains("\"цена\":null"));
        with.map(|record| record.key.to_string()).collect::<Vec<_>>().concat()
    };
    let upsert = Operation::Upsert;
    let steps = [
        (upsert, r#"{"товар":7}"#, true, "7"),
        (upsert, r#"{"товар":null}"#, true, ""),
        (upsert, r#"{"товар":"8"}"#, true, "8"),
        (upsert, r#"{"товар":""}"#, true, ""),
        (upsert, r#"{"товар":"7"}"#, true, "7"),
        (upsert, r#"{"товар":[1]}"#, false, "7"),
        (upsert, "[]", false, "7"),
        (upsert, r#"{"другое":1}"#, true, ""),
        (upsert, r#"{"товар":"7"}"#, true, "7"),
        (Operation::Delete, r#"{"товар":"7"}"#, true, ""),
    ];
    for (operation, body, accepted, belongs) in steps {
        let outcomes = target.deliver(&[parcel(operation, body)], &Permits::unbounded()).await;
        assert_eq!((outcomes[0].is_ok(), prices().await.as_str()), (accepted, belongs), "{operation:?} {body}");
        if let Err(error) = &outcomes[0] {
            assert_eq!(error.fault, Fault::Rejected, "{body}");
        }
    }
}
