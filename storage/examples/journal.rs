//! What the journal costs and how fast it answers.
//!
//! `cargo run --release -p bus-storage --example journal [messages] [directory]` writes messages of about 700 bytes as the
//! engine would, with and without the journal, then searches. Prints one line of JSON.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, missing_docs)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_contract::sample;
use bus_core::engine::chronicle::{Chronicle, Keeping};
use bus_core::policy::Masks;
use bus_core::ports::broker::{Broker, QueuePlan};
use bus_core::ports::state::{Change, SealedBatch, Settlement, StateStore};
use bus_core::ports::story::{Search, Stories, StoryOf};
use bus_core::vocabulary::{Cursor, Envelope, FeedName, Moment, QueueName, Receipt, RouteName, StreamName};
use bus_storage::{Database, EmbeddedBroker, JournalBounds, SqliteJournal, SqliteState};

const BATCH: u64 = 1000;
const BOUNDS: JournalBounds = JournalBounds { age: Duration::from_secs(30 * 86_400), bytes: 1 << 40 };

/// User and system time of this process so far, in microseconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1;
    let ticks: u64 = fields.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    // 100 ticks a second on every Linux that matters.
    ticks as f64 * 10_000.0
}

/// An order as there are many; half Cyrillic, and its own numbers.
fn order(stream: &StreamName, number: u64) -> Envelope {
    let lines: Vec<String> = (0..3)
        .map(|line| {
            format!(
                r#"{{"Номенклатура":"Товар № {}","Количество":{line},"Цена":{}.50}}"#,
                number * 7 + line,
                number % 977
            )
        })
        .collect();
    let body = format!(
        r#"{{"Ссылка":"{number:032x}","Номер":"УТ-{number:07}","Контрагент":"ООО «Ромашка» {}","Склад":"Основной","Сумма":{}.25,"Строки":[{}]}}"#,
        number % 1000,
        number * 13,
        lines.join(",")
    );
    let label = Some(format!("УТ-{number:07}"));
    // Keys as 1C gives them: in no order.
    let key = format!("{:016x}-{number:x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    Envelope { label, time: Moment::now(), ..sample::with_body(stream, &key, number, body.into_bytes()) }
}

/// Seals, publishes, advances and settles; gives CPU microseconds per message of this process.
async fn carry(path: &Path, chronicle: impl Fn(&Database) -> Chronicle, messages: u64) -> (f64, f64) {
    let database = Database::open(path).unwrap();
    let chronicle = chronicle(&database);
    let (state, broker) = (SqliteState::new(database.clone()), EmbeddedBroker::open(database).await.unwrap());
    let (stream, feed) = (StreamName::new("заказы").unwrap(), FeedName::new("заказы").unwrap());
    let (route, queue) = (RouteName::new("в-магазин").unwrap(), QueueName::new("в-магазин").unwrap());
    broker.declare(&[QueuePlan { queue: queue.clone(), stream: stream.clone(), keep: None }]).await.unwrap();
    let mut deliveries = broker.consume(&queue, 1000).await.unwrap();
    let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    let (mut made, mut cursor) = (0.0, None);
    let (began, before) = (Instant::now(), cpu());
    for round in 0..messages / BATCH {
        let making = cpu();
        let envelopes: Vec<Envelope> = (1..=BATCH).map(|n| order(&stream, round * BATCH + n)).collect();
        made += cpu() - making;
        let next = Some(Cursor::new(round.to_string()));
        let batch = SealedBatch { expected: cursor, next: next.clone(), envelopes };
        state.seal(&feed, epoch, &batch).await.unwrap();
        chronicle.sealed(&feed, &batch.envelopes);
        assert!(broker.publish(&stream, &batch.envelopes).await.iter().all(Result::is_ok));
        chronicle.published(&batch.envelopes);
        state.advance(&feed, epoch, &batch).await.unwrap();
        cursor = next;
        for group in batch.envelopes.chunks(64) {
            let settle = |envelope: &Envelope| {
                let receipt = Ok(Receipt { status: Some(200), ..Receipt::default() });
                chronicle.attempt(&route, envelope, Duration::from_millis(3), &receipt);
                let outcome = Settlement::Delivered { present: true, receiver_id: None };
                Change::Settle { key: envelope.key.clone(), seq: envelope.seq, id: envelope.id, outcome }
            };
            state.commit(&route, group.iter().map(settle).collect()).await.unwrap();
            for _ in group {
                deliveries.next().await.unwrap().unwrap().ack().await.unwrap();
            }
        }
    }
    ((cpu() - before - made) / messages as f64, messages as f64 / began.elapsed().as_secs_f64())
}

fn noted(database: &Database) -> Chronicle {
    let stream = StreamName::new("заказы").unwrap();
    let keeping = Keeping { archive: Some(Duration::from_secs(30 * 86_400)), masks: Masks::default() };
    Chronicle::new(Arc::new(SqliteJournal::open(database.clone(), BOUNDS)), HashMap::from([(stream, keeping)]))
}

/// Milliseconds from a label to the object and its story: median and worst.
async fn search(path: &Path, messages: u64) -> (f64, f64) {
    let journal = SqliteJournal::readonly(Database::open_readonly(path).unwrap());
    let (stream, route) = (StreamName::new("заказы").unwrap(), RouteName::new("в-магазин").unwrap());
    let mut times = Vec::new();
    for _ in 0..300 {
        let word = Some(format!("УТ-{:07}", fastrand::u64(1..=messages)));
        let began = Instant::now();
        let routes = vec![(route.clone(), stream.clone())];
        let found = journal.find(&Search { word, routes, limit: 10, ..Search::default() }).await.unwrap();
        let key = found.objects[0].key.clone();
        let of = StoryOf {
            stream: stream.clone(),
            key,
            routes: vec![route.clone()],
            versions: 20,
            since: None,
            until: None,
        };
        let story = journal.story(&of).await.unwrap();
        assert!(story.versions[0].body.is_some());
        times.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    times.sort_by(f64::total_cmp);
    (times[150], times[299])
}

#[tokio::main]
async fn main() {
    let messages: u64 = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().unwrap());
    let directory = std::env::args().nth(2).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory).unwrap();
    let with = directory.path().join("with.db");
    // By turns, so that a machine that gets busier favours neither.
    let few = messages.min(20_000);
    let mut pairs = Vec::new();
    for turn in 0..3 {
        let path = |name: &str| directory.path().join(format!("{name}-{turn}.db"));
        pairs.push((carry(&path("without"), |_| Chronicle::off(), few).await, carry(&path("with"), noted, few).await));
    }
    let (cost, rate) = carry(&with, noted, messages).await;
    let (median, worst) = search(&with, messages).await;
    let middle = |costs: Vec<f64>| {
        let mut costs = costs;
        costs.sort_by(f64::total_cmp);
        costs[1]
    };
    println!(
        "{{\"messages\":{messages},\"store_cpu_us_per_message\":{:.1},\"with_journal\":{:.1},\"over_all_with_journal\":{cost:.1},\
         \"rate_with_journal\":{rate:.0},\"file_bytes_per_message\":{:.0},\"label_to_story_ms\":{median:.2},\"worst_ms\":{worst:.2}}}",
        middle(pairs.iter().map(|(without, _)| without.0).collect()),
        middle(pairs.iter().map(|(_, with)| with.0).collect()),
        std::fs::metadata(&with).unwrap().len() as f64 / messages as f64,
    );
}
