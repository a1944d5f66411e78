//! A receiver that is away for long, one that takes nothing at this hour, and one that is dead beside a living one.
//!
//! The first two mostly wait, so they do not wait for their turn to do so.

use std::time::Duration;

use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::scene::nothing_pushed;
use bus_tests::oracle::{Figures, Landscape, ORDERS, Scene, Seed, USERS, alone};
use tokio::time::Instant;

use super::servers::{Broker, CONSUMER_TIMEOUT, postgres, rabbitmq};

/// 35 minutes at a broker that gives up on a consumer after 30, with time scaled: 75 s at one that gives up after 60.
/// What the bus scales with it is `hold` (20 s by default, here 5 s): nothing else in it depends on the broker's limit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
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
    let given_up = |line: &str| line.contains("timed out").then(|| line.to_owned());
    assert_eq!(rabbitmq().await.log().find(given_up), None, "no channel was closed for keeping a delivery too long");
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

/// A window of `0/min`, hours long in life, here until the next full minute that is at least 20 s away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_window_sends_nothing_and_loses_nothing() {
    let seed = Seed::choose("a closed window");
    let postgres = postgres().await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let opens = (now + 20).div_ceil(60) * 60;
    let clock = |second: u64| format!("{:02}:{:02}", second / 3_600 % 24, second / 60 % 60);
    let closed = (format!("{}-{}", clock(now - 120), clock(opens)), "0/min");
    let windows = vec![closed, ("00:00-24:00".to_owned(), "30000/min")];
    let landscape = Landscape { hold: "5s", windows, ..Landscape::default() };
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
    let mut figures = Figures::of(&format!("window closed for {} s, seed {}", opens - now, seed.0));
    figures.add("sent while closed", early).add("verdict", &verdicts).print();
    assert_eq!(early, 0, "nothing is sent while the window is closed");
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert!(verdicts.of(ORDERS).delivered > 50, "there was something to deliver: {verdicts}");
}

/// One receiver is dead and its queue fills; the other one, fed by the same stream, must not notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_receiver_does_not_slow_the_others() {
    const ROWS: usize = 1_000;
    let _turn = alone().await;
    let seed = Seed::choose("a dead receiver beside a living one");
    let landscape = Landscape { hold: "2s", ..Broker::RabbitMq.landscape().await };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    scene.fresh().await.unwrap();
    // What the shop takes when nobody else is served: the books are dead from the beginning.
    scene.books.down(None).await.unwrap();
    let mut times = Vec::new();
    for round in 1..=4 {
        let begun = Instant::now();
        scene.source.burst(ROWS).await.unwrap();
        let all = || async {
            Ok((scene.route(ORDERS).await?["delivered"].as_u64() > Some(round * ROWS as u64)).then_some(()))
        };
        eventually("all rows at the living receiver", Duration::from_secs(30), all).await.unwrap();
        times.push(begun.elapsed().as_millis());
    }
    let books = scene.route(bus_tests::oracle::BOOKS).await.unwrap();
    scene.books.up().await.unwrap();
    let verdicts = scene.verdicts(&nothing_pushed()).await.unwrap();
    let mut figures = Figures::of(&format!("a dead receiver, seed {}", seed.0));
    figures.add("rows", ROWS).add("ms at the living one", format!("{times:?}")).add("queued", &books["queued"]);
    figures.add("waiting", &books["waiting"]).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    let backlog = books["queued"].as_u64().unwrap() + books["waiting"].as_u64().unwrap();
    assert!(backlog > 3 * ROWS as u64, "the dead one's backlog is kept: {books}");
    assert!(times[3] < 3 * times[0] + 1_000, "the longer its queue, the slower the living one: {times:?}");
}
