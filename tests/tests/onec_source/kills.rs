//! `kill -9` between select, spool, publish, confirm and notify, while people work in the base.
//!
//! Several bases and buses work beside each other, so that one is killed while another starts: a hundred kills take half a minute
//! on two busy cores. `ONEC_KILLS` is how many there are over each broker, `ORACLE_SEED` repeats a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_tests::oracle::{Figures, Seed, turn};
use bus_tests::receiver::{Receiver, Script};
use bus_tests::servers::RabbitMq;
use futures::future::join_all;

use super::lane::Lane;

/// Between which steps the program is killed, over either broker.
const PLACES: [&str; 7] = [
    "plan.asked",       // the number is noted, 1C was not asked
    "plan.answered",    // 1C has stamped what it gave, nothing of it is here
    "plan.spooled",     // the answer is on our disk
    "capture.fetched",  // a part of it was handed out, or a page of the first load
    "capture.advanced", // the cursor knows, 1C was not told
    "plan.notified",    // 1C was told, the spool does not know
    "capture.opened",   // the start after a kill
];
/// And over RabbitMQ, where publishing is three steps.
const IN_STEPS: [&str; 3] = [
    "capture.sealed",    // its messages are durable, none was published
    "capture.window",    // published in part
    "capture.confirmed", // the broker has them, the cursor does not know
];
/// And over the embedded broker, where it is one transaction.
const IN_ONE_STEP: [&str; 3] = [
    "step.begun",     // nothing of it is written
    "step.written",   // all of it is, and not committed
    "step.committed", // all of it is durable, and nobody has heard of it
];

const LANES: usize = 4;
/// Over each broker; two hundred over both.
const KILLS: usize = 100;
/// Of those that are not at random times; so many are at a named place of four.
const AT_PLACES: f64 = 0.75;

async fn kills(name: &str, brokers: Vec<Option<String>>) {
    let _turn = turn().await;
    let begun = Instant::now();
    let seed = Seed::choose(&format!("1C as the source, {name}"));
    let kills = std::env::var("ONEC_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(KILLS);
    let receiver = Arc::new(Receiver::start(&Script::default()).await.unwrap());
    let own = if brokers.iter().any(Option::is_some) { IN_STEPS } else { IN_ONE_STEP };
    let all: Vec<&str> = PLACES.into_iter().chain(own).collect();
    let places = &all[..];
    let lanes = brokers.into_iter().enumerate().map(|(number, broker)| {
        let receiver = Arc::clone(&receiver);
        async move {
            let mut lane = Lane::new(number, seed, broker, receiver).await;
            let writer = lane.write();
            for (at, place) in plan(places, kills.div_ceil(LANES), seed, number).into_iter().enumerate() {
                match place {
                    Some(place) => lane.kill_at(&place).await,
                    None => lane.kill_within(Duration::from_millis(100), Duration::from_millis(700)).await,
                }
                if at % 50 == 6 {
                    lane.silent_broker().await;
                }
            }
            writer.stop().await;
            (lane.judge().await, lane)
        }
    });
    let (mut reached, mut objects, mut deletions, mut wrong) = (BTreeMap::<String, usize>::new(), 0, 0, Vec::new());
    let judged = join_all(lanes).await;
    for ((wanted, seen, differences), lane) in &judged {
        lane.kills.iter().for_each(|(place, count)| *reached.entry(place.clone()).or_default() += count);
        objects += wanted.len();
        deletions += seen.deletions;
        if !differences.is_empty() {
            wrong.push(format!("{}\n{}", differences.join("\n"), lane.log()));
        }
    }
    let mut figures = Figures::of(&format!("kills with 1C as the source, {name}, seed {}", seed.0));
    figures.add("kills", reached.values().sum::<usize>()).add("objects", objects).add("deletions", deletions);
    figures.add("seconds", begun.elapsed().as_secs()).add("at", format!("{reached:?}")).print();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(deletions > 0, "nothing was deleted");
    let missed: Vec<_> = places.iter().filter(|place| !reached.contains_key(**place)).collect();
    assert!(missed.is_empty(), "never killed at {missed:?}");
}

/// Where a lane is killed, in a random order; each place as often as any other.
fn plan(places: &[&'static str], kills: usize, seed: Seed, lane: usize) -> Vec<Option<String>> {
    let mut rng = seed.part(100 + lane as u64);
    let at_places = (kills as f64 * AT_PLACES) as usize;
    let mut plan: Vec<Option<String>> = (0..kills)
        .map(|at| (at < at_places).then(|| places[(at + lane * 3) % places.len()]))
        .map(|place| {
            place.map(|place| match place {
                "capture.opened" => place.to_owned(),
                place => format!("{place}:{}", rng.u8(1..=2)),
            })
        })
        .collect();
    rng.shuffle(&mut plan);
    plan
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_of_an_exchange_plan_over_the_embedded_broker() {
    kills("embedded", vec![None; LANES]).await;
}

/// In one of the lanes the orders go on into another base of 1C.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_of_an_exchange_plan_over_rabbitmq() {
    let rabbitmq = RabbitMq::shared().await.unwrap();
    let mut brokers = Vec::new();
    for _ in 0..LANES {
        brokers.push(Some(rabbitmq.vhost().await.unwrap().url));
    }
    kills("rabbitmq", brokers).await;
}

/// So many kills, and the bug must show.
const KILLS_OF_A_BUG: usize = 3;

/// A check that did not notice this would prove nothing: 1C forgets an answer of which nothing is durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_notify_before_the_publish_is_caught() {
    let _turn = turn().await;
    let seed = Seed::choose("notify-before-publish");
    let receiver = Arc::new(Receiver::start(&Script::default()).await.unwrap());
    let mut lane = Lane::new(LANES, seed, None, receiver).await;
    // What a first load reads is not lost with an answer.
    lane.loaded().await;
    lane.plant("notify-before-publish");
    let writer = lane.write();
    for _ in 0..KILLS_OF_A_BUG {
        lane.kill_at("capture.fetched:1").await;
    }
    writer.stop().await;
    let (_, _, differences) = lane.judge().await;
    assert!(differences.iter().any(|one| one.contains("should be")), "{differences:?}\n{}", lane.log());
    let mut figures = Figures::of("planted notify-before-publish");
    figures.add("kills", KILLS_OF_A_BUG).add("lost", differences.len()).print();
}
