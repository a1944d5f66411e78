//! A receiver that is away for long, one that takes nothing at this hour, and one that is dead beside a living one.
//!
//! The first ones mostly wait, so they do not wait for their turn to do so.

use std::time::Duration;

use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::{Pusher, push_all};
use bus_tests::oracle::scene::nothing_pushed;
use bus_tests::oracle::{BOOKS, Figures, Landscape, ORDERS, Scene, Seed, USERS, turn};
use tokio::time::Instant;

use super::pace::no_window_sees_more_than_its_pace_over_kills_and_a_takeover;
use super::servers::{Broker, CONSUMER_TIMEOUT, postgres, rabbitmq};

/// What mostly waits does so at the same time: a receiver that is away, windows that are closed, and paces. Over RabbitMQ the
/// window is longer than the broker's patience, as hours are in life: that is what makes two hours dangerous.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_away_and_closed_hours_and_slow_paces_lose_nothing_and_keep_their_bounds() {
    tokio::join!(
        a_receiver_away_for_longer_than_the_consumer_timeout_loses_nothing(),
        a_closed_window_sends_nothing_and_loses_nothing(Broker::Embedded, 20),
        a_closed_window_sends_nothing_and_loses_nothing(Broker::RabbitMq, CONSUMER_TIMEOUT.as_secs() + 15),
        no_window_sees_more_than_its_pace_over_kills_and_a_takeover(),
    );
    let given_up = |line: &str| line.contains("timed out").then(|| line.to_owned());
    assert_eq!(rabbitmq().await.log().find(given_up), None, "no channel was closed for keeping a delivery too long");
}

/// 35 minutes at a broker that gives up on a consumer after 30, with time scaled: 75 s at one that gives up after 60.
/// What the bus scales with it is `hold` (20 s by default, here 5 s): nothing else in it depends on the broker's limit.
async fn a_receiver_away_for_longer_than_the_consumer_timeout_loses_nothing() {
    let away = CONSUMER_TIMEOUT + Duration::from_secs(15);
    let seed = Seed::choose("a receiver is away");
    let landscape = Landscape { hold: "5s", ..Broker::RabbitMq.landscape().await };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    let writing = scene.source.write(20, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(200), seed);
    scene.fresh().await.unwrap();
    scene.shop.down(None).await.unwrap();
    tokio::time::sleep(away).await;
    let (waiting, queued) = backlog(&scene).await;
    scene.shop.up().await.unwrap();
    let back = Instant::now();
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let recovered = back.elapsed();
    let fresh = scene.fresh().await.unwrap();
    let mut figures = Figures::of(&format!("receiver away {} s, seed {}", away.as_secs(), seed.0));
    figures.add("waiting", waiting).add("queued", queued).add("drained after s", recovered.as_secs());
    figures.add("fresh ms", fresh.as_millis()).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert_eq!(scene.incidents().await.unwrap(), []);
}

async fn backlog(scene: &Scene) -> (u64, u64) {
    let (mut waiting, mut queued) = (0, 0);
    for route in [ORDERS, USERS] {
        let status = scene.route(route).await.unwrap();
        waiting += status["waiting"].as_u64().unwrap_or(0);
        queued += status["queued"].as_u64().unwrap_or(0);
    }
    (waiting, queued)
}

/// A window of `0/min`, hours long in life, here until the next full minute that is at least so many seconds away.
async fn a_closed_window_sends_nothing_and_loses_nothing(broker: Broker, at_least: u64) {
    let seed = Seed::choose(&format!("a closed window, {}", broker.name()));
    let postgres = postgres().await;
    let landscape = broker.landscape().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let opens = (now + at_least).div_ceil(60) * 60;
    let clock = |second: u64| format!("{:02}:{:02}", second / 3_600 % 24, second / 60 % 60);
    let closed = (format!("{}-{}", clock(now - 120), clock(opens)), "0/min");
    let windows = vec![closed, ("00:00-24:00".to_owned(), "30000/min")];
    let landscape = Landscape { hold: "5s", windows, ..landscape };
    let mut scene = Scene::new(postgres, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(200), seed);
    let writing = scene.source.write(20, seed);
    let opening = std::time::UNIX_EPOCH + Duration::from_secs(opens);
    tokio::time::sleep(opening.duration_since(std::time::SystemTime::now()).unwrap()).await;
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let early = scene.shop.ledger().unwrap().entries.iter().filter(|entry| entry.at_us < opens * 1_000_000).count();
    let name = broker.name();
    let mut figures = Figures::of(&format!("window closed for {} s, {name}, seed {}", opens - now, seed.0));
    figures.add("sent while closed", early).add("verdict", &verdicts).print();
    assert_eq!(early, 0, "nothing is sent while the window is closed");
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert!(verdicts.of(ORDERS).delivered > 50, "there was something to deliver: {verdicts}");
}

/// One receiver is dead and its queue fills; the routes to the other one, two of which one is fed by the same stream, go on
/// all the same: everything of each round is there before the next one begins, and nothing of it at the dead one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_others_wait_for_nothing_of_a_dead_receiver() {
    const ROWS: u64 = 1_000;
    const ROUNDS: u64 = 4;
    let _turn = turn().await;
    let seed = Seed::choose("a dead receiver beside a living one");
    let landscape = Landscape { hold: "2s", ..Broker::RabbitMq.landscape().await };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    let mut backlogs = Vec::new();
    let (mut pushed, mut alive) = (nothing_pushed(), 0);
    for round in 1..=ROUNDS {
        scene.source.burst(usize::try_from(ROWS).unwrap()).await.unwrap();
        pushed.merge(push_all(&scene.door(), &format!("круг-{round}"), 5, 1).await.unwrap());
        delivered(&scene, ORDERS, round * ROWS).await;
        delivered(&scene, USERS, round * 5).await;
        if round == 1 {
            // So far it was alive, and got what the other one got.
            delivered(&scene, BOOKS, ROWS).await;
            alive = scene.books.ledger().unwrap().entries.len();
            scene.books.down(None).await.unwrap();
            continue;
        }
        let dead = || async {
            let books = scene.route(BOOKS).await?;
            let backlog = books["queued"].as_u64().unwrap_or(0) + books["waiting"].as_u64().unwrap_or(0);
            Ok((backlog >= (round - 1) * ROWS).then_some(backlog))
        };
        backlogs.push(eventually("all rows in the dead one's queue", Duration::from_secs(90), dead).await.unwrap());
        assert_eq!(scene.books.ledger().unwrap().entries.len(), alive, "it is dead");
    }
    scene.books.up().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let mut figures = Figures::of(&format!("a dead receiver, seed {}", seed.0));
    figures.add("rows", ROWS).add("kept for the dead one", format!("{backlogs:?}")).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
}

/// Waits until a route has delivered so many.
async fn delivered(scene: &Scene, route: &str, count: u64) {
    let all = || async { Ok((scene.route(route).await?["delivered"].as_u64() >= Some(count)).then_some(())) };
    eventually(&format!("{count} messages of {route}"), Duration::from_secs(90), all).await.unwrap();
}
