//! Everything that holds messages back, sends them again or changes the bus, at once and through kills; and two bugs
//! that only show where these meet.

use std::time::Duration;

use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::together::{Deed, Judged, STOCK, Together, USERS};
use bus_tests::oracle::{Figures, Issued, Seed, turn};
use bus_tests::receiver::{Answer, Rule, Script};

use super::servers::{Broker, postgres};

/// Where it is killed; what is empty is a random moment. Each place is one that the deeds lead to.
fn places(broker: Broker) -> [(&'static str, u64); 6] {
    let published = match broker {
        Broker::Embedded => "step.committed",
        Broker::RabbitMq => "capture.confirmed",
    };
    [("", 1), ("worker.flushed", 60), ("task.handed", 1), ("task.archived", 1), (published, 6), ("", 1)]
}

/// Deeds of one life. What is not done goes to the next.
const DEEDS: usize = 4;

/// After its start the bus leaves the receivers alone for 1.4 s (their time-out and a second).
const SHORTEST: u64 = 1_700;
const LONGEST: u64 = 2_700;

struct Streams {
    users: Issued,
    stock: Issued,
}

async fn all_at_once(broker: Broker) {
    let _turn = turn().await;
    let seed = Seed::choose(&format!("all at once, {}", broker.name()));
    let mut rng = seed.part(1_000);
    let batch = [0, 4][rng.usize(..2)];
    let mut all = Together::new(postgres().await, broker.landscape().await.rabbitmq, seed, batch).await.unwrap();
    let (mut plan, mut deeds) = (places(broker), Deed::STORY.to_vec());
    rng.shuffle(&mut plan);
    rng.shuffle(&mut deeds);
    // The file must have changed before there is something to load.
    deeds.insert(0, Deed::Reload);
    let writing = all.scene.source.write(60, seed);
    let users = Pusher::start(&all.door("users"), USERS, Duration::from_millis(60), seed);
    let stock = Pusher::start(&all.door("stock"), STOCK, Duration::from_millis(15), seed);
    let kills = plan.len();
    for (place, passages) in plan {
        let place = if place.is_empty() { String::new() } else { format!("{place}:{}", rng.u64(1..=passages)) };
        let length = Duration::from_millis(rng.u64(SHORTEST..LONGEST));
        let rest = deeds.split_off(DEEDS.min(deeds.len()));
        let left = all.life(&place, length, deeds).await.unwrap();
        deeds = rest;
        deeds.splice(0..0, left);
    }
    all.pile_up().await.unwrap();
    writing.stop().await.unwrap();
    let ending = tokio::spawn(async move { (users.stop().await.unwrap(), stock.stop().await.unwrap()) });
    let ended = all.end(deeds).await;
    let (users, stock) = ending.await.unwrap();
    if let Err(error) = &ended {
        let place = all.scene.keep_evidence(&users).unwrap();
        panic!("{error:#}; evidence: {}", place.display());
    }
    let judged = judge(&mut all, &Streams { users, stock }).await;
    let mut figures = Figures::of(&format!("all at once, {}, seed {}", broker.name(), seed.0));
    figures.add("kills", kills).add("deeds", format!("{:?}", all.done())).add("verdict", &judged).print();
    assert!(judged.is_clean(), "{judged}\n{}", all.scene.log());
    for route in ["orders-to-shop", "stock-to-shop"] {
        assert!(judged.of(route).superseded > 0, "nothing was superseded on {route}: {judged}");
    }
    assert_eq!(judged.of("orders-to-books").repeats, 0, "{judged}");
    assert!(judged.handed > 0, "nobody looked at the cursor: {judged}");
    assert_eq!(all.done().len(), 8, "each kind of deed was done: {:?}", all.done());
}

async fn judge(all: &mut Together, streams: &Streams) -> Judged {
    let judged = all.judge(&streams.users, &streams.stock).await.unwrap();
    if !judged.is_clean() {
        println!("evidence: {}", all.scene.keep_evidence(&streams.stock).unwrap().display());
    }
    judged
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_loses_nothing_over_the_embedded_broker() {
    all_at_once(Broker::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_at_once_loses_nothing_over_rabbitmq() {
    all_at_once(Broker::RabbitMq).await;
}

/// Three runs of what is collected, while it goes on coming, and letters that newer versions have overtaken.
async fn with_bug(bug: &str, seed: Seed) -> Judged {
    let mut all = Together::new(postgres().await, None, seed, 0).await.unwrap();
    all.scene.bus.plant(bug);
    let refused =
        Rule { path: Some("/users/".to_owned()), ..Rule::times(2, Answer::Status { code: 422, retry_after: None }) };
    all.scene.shop.set_script(&Script { rules: vec![refused], repeats_by: None }).await.unwrap();
    all.scene.bus.start().await.unwrap();
    let users = Pusher::start(&all.door("users"), 1, Duration::from_millis(100), seed);
    let stock = Pusher::start(&all.door("stock"), STOCK, Duration::from_millis(10), seed);
    for _ in 0..3 {
        let next = || async { Ok(all.scene.route("stock-to-books").await?["next_run"].as_str().map(str::to_owned)) };
        let run = eventually("the time of a run", Duration::from_secs(30), next).await.unwrap();
        let over = || async { Ok(next().await?.is_some_and(|later| later != run).then_some(())) };
        eventually("the end of a run", Duration::from_secs(30), over).await.unwrap();
    }
    let (users, stock) = (users.stop().await.unwrap(), stock.stop().await.unwrap());
    all.scene.drained().await.unwrap();
    all.end(vec![Deed::Replay]).await.unwrap();
    judge(&mut all, &Streams { users, stock }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_over_a_newer_version_and_an_ack_of_the_next_run_are_caught() {
    let _turn = turn().await;
    let seed = Seed::choose("letters and runs");
    let judged = with_bug("", seed).await;
    assert!(judged.is_clean(), "without a bug nothing is wrong: {judged}");
    for (bug, route) in [("replay-over-newer", "users-to-shop"), ("ack-of-the-next-run", "stock-to-books")] {
        let judged = with_bug(bug, seed).await;
        Figures::of(&format!("planted {bug}")).add("verdict", judged.of(route)).print();
        assert!(!judged.of(route).is_clean(), "{bug} was not caught: {judged}");
    }
}
