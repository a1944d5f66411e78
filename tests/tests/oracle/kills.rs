//! `kill -9` at random times and at every named place, while rows change, records are pushed, and receivers misbehave.

use std::collections::HashSet;
use std::time::Duration;

use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::{BOOKS, Figures, Landscape, Scene, Seed, turn};
use bus_tests::receiver::{Answer, Rule, Script};
use tokio::time::Instant;

use super::servers::{Broker, postgres};

/// Between which steps the program is killed, and up to which passage. The last ones are passed for each message.
const PLACES: [(&str, u64); 8] = [
    ("capture.opened", 2),
    ("capture.fetched", 4),
    ("capture.advanced", 3),
    ("worker.marked", 15),
    ("worker.answered", 25),
    ("worker.flushed", 10),
    ("worker.acked", 10),
    ("outbox.stored", 10),
];

/// And over RabbitMQ, where a batch is sealed, published in windows, and confirmed.
const IN_STEPS: [(&str, u64); 3] = [("capture.sealed", 3), ("capture.window", 3), ("capture.confirmed", 3)];

/// And over the embedded broker, where that is one transaction: before it, in it, and when it is durable and nobody has
/// heard of it.
const IN_ONE_STEP: [(&str, u64); 3] = [("step.begun", 3), ("step.written", 3), ("step.committed", 3)];

/// So often each place is tried, and so many kills come at random times: 50 in all.
const AT_PLACES: usize = 3;
const AT_RANDOM: usize = 17;

/// After each kill the receivers are left alone for so long and a second: the shorter, the more of the time is work.
const TIMEOUT: &str = "400ms";

/// A killed bus starts again, waits until its predecessor's requests have ended, and works a little.
const MOST_AT_WORK: Duration = Duration::from_millis(2_000);

/// After so many kills the receivers misbehave anew.
const ROUGH_EVERY: usize = 10;

/// A receiver that is busy, asks for time, falls silent, and cuts connections after it has taken the record.
fn rough(path: &str) -> Script {
    let under_path = |rule: Rule| Rule { path: Some(path.to_owned()), ..rule };
    let status = |code, retry_after| Answer::Status { code, retry_after };
    let rules = vec![
        Rule::times(8, status(500, None)),
        Rule::times(2, status(429, Some(1))),
        Rule::times(2, status(503, None)),
        Rule::times(4, Answer::Reset { applied: true }),
        Rule::times(4, Answer::Reset { applied: false }),
        Rule::times(2, Answer::Hang),
    ];
    Script { rules: rules.into_iter().map(under_path).collect(), repeats_by: None }
}

async fn fifty_kills(broker: Broker) {
    let _turn = turn().await;
    let begun = Instant::now();
    let seed = Seed::choose(&format!("fifty kills, {}", broker.name()));
    let landscape = Landscape { timeout: TIMEOUT, subscribed: true, ..broker.landscape().await };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    let mut rng = seed.part(1_000);
    let mut plan: Vec<Option<String>> = vec![None; AT_RANDOM];
    let own = match broker {
        Broker::Embedded => IN_ONE_STEP,
        Broker::RabbitMq => IN_STEPS,
    };
    let places: Vec<_> = PLACES.into_iter().chain(own).collect();
    for (place, passages) in places.iter().copied() {
        plan.extend((0..AT_PLACES).map(|_| Some(format!("{place}:{}", rng.u64(1..=passages)))));
    }
    rng.shuffle(&mut plan);

    let writing = scene.source.write(120, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(20), seed);
    let mut reached = HashSet::new();
    for (number, step) in plan.iter().enumerate() {
        if number.is_multiple_of(ROUGH_EVERY) {
            scene.shop.set_script(&rough("/orders/")).await.unwrap();
            scene.books.set_script(&rough("/books/")).await.unwrap();
        }
        match step {
            None => scene.kill_within(MOST_AT_WORK, &mut rng).await.unwrap(),
            Some(place) => {
                // A place that is not reached in time, because the receivers misbehave, is a kill all the same.
                if scene.kill_at(place).await.unwrap() {
                    reached.extend(place.split(':').next());
                }
            }
        }
    }
    scene.shop.set_script(&Script::default()).await.unwrap();
    scene.books.set_script(&Script::default()).await.unwrap();
    let restart = Instant::now();
    scene.bus.start().await.unwrap();
    let restart = restart.elapsed();
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let fresh = scene.fresh().await.unwrap();

    let mut figures = Figures::of(&format!("fifty kills, {}, seed {}", broker.name(), seed.0));
    figures.add("kills", plan.len()).add("restart ms", restart.as_millis()).add("fresh ms", fresh.as_millis());
    figures.add("handed", scene.handed()).add("seconds", begun.elapsed().as_secs()).add("verdict", &verdicts).print();
    let missed: Vec<_> = places.iter().filter(|(place, _)| !reached.contains(place)).collect();
    assert!(missed.is_empty(), "the bus never got to {missed:?}");
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert!(scene.handed() > 0, "nobody looked at the cursor: {verdicts}");
    assert_eq!(verdicts.of(BOOKS).repeats, 0, "a receiver that must not see anything twice did: {verdicts}");
    assert_eq!(scene.incidents().await.unwrap(), [], "nothing is wrong any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_over_the_embedded_broker() {
    fifty_kills(Broker::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_kills_lose_nothing_over_rabbitmq() {
    fifty_kills(Broker::RabbitMq).await;
}
