//! `kill -9` at any moment: everything that was answered is there, and nothing is out of order.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bus_contract::sample;
use bus_core::ports::broker::{Broker, Incoming, QueuePlan};
use bus_core::ports::state::{Applied, Change, Settlement, StateStore};
use bus_core::vocabulary::{Key, QueueName, RouteName, StreamName};
use bus_storage::{Database, EmbeddedBroker, SqliteState};

/// Set in a child process: the database it works on until it is killed.
const WORK: &str = "BUS_STORAGE_TEST_CRASH";
/// Number the child's first message carries.
const FROM: &str = "BUS_STORAGE_TEST_FROM";
const KILLS: u64 = 20;

fn names() -> (StreamName, QueueName, RouteName) {
    (StreamName::new("заказы").unwrap(), QueueName::new("очередь").unwrap(), RouteName::new("маршрут").unwrap())
}

async fn open(path: &Path) -> (EmbeddedBroker, SqliteState) {
    let database = Database::open_waiting(path, Duration::from_secs(30)).await.unwrap();
    let broker = EmbeddedBroker::open(database.clone()).await.unwrap();
    let (stream, queue, _) = names();
    broker.declare(&[QueuePlan { queue, stream, keep: None }]).await.unwrap();
    (broker, SqliteState::new(database))
}

/// Not a test by itself: publishes, consumes, settles and acks, and prints what was answered, until it is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_works_until_it_is_killed() {
    let Some(path) = std::env::var_os(WORK) else { return };
    let from: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let (broker, state) = open(&PathBuf::from(path)).await;
    let (stream, queue, route) = names();
    let mut deliveries = broker.consume(&queue, 64).await.unwrap();
    let say = |line: String| std::io::stdout().write_all(line.as_bytes()).unwrap();
    let publishing = async {
        let mut number = from;
        loop {
            let batch = sample::run(&stream, number, number + fastrand::u64(0..20));
            let results = broker.publish(&stream, &batch).await;
            assert!(results.iter().all(Result::is_ok));
            number += batch.len() as u64;
            say(format!("\npublished {}\n", number - 1));
        }
    };
    let working = async {
        loop {
            let delivery = deliveries.next().await.unwrap().unwrap();
            let Incoming::Sealed(envelope) = &delivery.message else { panic!("foreign") };
            let number = envelope.seq.number;
            let outcome = Settlement::Delivered { present: true, receiver_id: None };
            let change = Change::Settle { key: envelope.key.clone(), seq: envelope.seq, id: envelope.id, outcome };
            let applied = state.commit(&route, vec![change]).await.unwrap();
            if applied[0] == Applied::Yes {
                say(format!("\nsettled {number}\n"));
            }
            // Every third stays unsettled at first, so that the floor lags behind the acks.
            if number % 3 != 0 || fastrand::bool() {
                delivery.ack().await.unwrap();
            }
            deliveries = if fastrand::u8(..) < 8 {
                drop(deliveries);
                broker.consume(&queue, 64).await.unwrap()
            } else {
                deliveries
            };
        }
    };
    let refreshing = tokio::time::sleep(Duration::from_secs(60));
    tokio::select! { () = publishing => {}, () = working => {}, () = refreshing => {} }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_answered_survives_twenty_kills() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("шина.db");
    let (_, queue, route) = names();
    let (mut next, mut confirmed, mut settled) = (1, 0, vec![0u64; 7]);
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_works_until_it_is_killed", "--nocapture"])
            .envs([(WORK, path.as_os_str()), (FROM, next.to_string().as_ref())])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let until = fastrand::usize(3..120);
        let mut seen = 0;
        // The pipe is read to its end, so what the child said before it died counts too.
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("published", number)) => confirmed = number.parse().unwrap(),
                Some(("settled", number)) => {
                    let number: u64 = number.parse().unwrap();
                    let key = usize::try_from(number % 7).unwrap();
                    settled[key] = settled[key].max(number);
                }
                _ => continue,
            }
            seen += 1;
            if seen == until {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= until, "kill {kill}: the child ended by itself");

        let (broker, state) = open(&path).await;
        let keys: Vec<_> = (0..7).map(|key| Key::from_stored(&format!("ключ-{key}"))).collect();
        let fences = state.settled(&route, &keys).await.unwrap();
        for (key, fence) in fences.iter().enumerate() {
            let reached = fence.as_ref().map_or(0, |fence| fence.seq.number);
            assert!(reached >= settled[key], "kill {kill}: key {key} fell from {} to {reached}", settled[key]);
        }
        // Everything unacked comes, contiguous and in order, up to at least the last confirmed message.
        let depth = broker.depth(&queue).await.unwrap().messages;
        let mut deliveries = broker.consume(&queue, u16::MAX).await.unwrap();
        let (mut first, mut last) = (None, None);
        for _ in 0..depth.min(60_000) {
            let delivery = deliveries.next().await.unwrap().unwrap();
            let Incoming::Sealed(envelope) = &delivery.message else { panic!("foreign") };
            let number = envelope.seq.number;
            assert!(last.is_none_or(|last| number == last + 1), "kill {kill}: {number} came after {last:?}");
            first.get_or_insert(number);
            last = Some(number);
        }
        // What is gone from the queue was acked, hence settled before.
        for number in (1..first.unwrap_or(confirmed + 1)).rev().take(7) {
            let fence = fences[usize::try_from(number % 7).unwrap()].as_ref();
            assert!(fence.is_some_and(|fence| fence.seq.number >= number), "kill {kill}: {number} was lost");
        }
        let highest = fences.iter().flatten().map(|fence| fence.seq.number).max().unwrap_or(0);
        let end = last.unwrap_or(highest);
        assert!(end >= confirmed, "kill {kill}: {confirmed} was confirmed, the queue ends at {end}");
        next = end + 1;
    }
    assert!(settled.iter().all(|number| *number > 0), "the children did nothing");
}
