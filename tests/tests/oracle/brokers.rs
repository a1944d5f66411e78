//! What happens to RabbitMQ: it is killed, it cuts connections, somebody deletes a queue.

use std::time::Duration;

use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::scene::nothing_pushed;
use bus_tests::oracle::{Figures, Landscape, ORDERS, Scene, Seed, turn};
use bus_tests::servers::RabbitMq;
use tokio::time::Instant;

use super::servers::{postgres, rabbitmq};

/// A node of its own: it is killed while the bus runs, twice, and cuts all connections, six times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_rabbitmq_loses_nothing() {
    let _turn = turn().await;
    let seed = Seed::choose("a killed RabbitMQ");
    let mut node = RabbitMq::start().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let landscape = Landscape { rabbitmq: Some(vhost.url), subscribed: true, ..Landscape::default() };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    node.settle().await.unwrap();
    let writing = scene.source.write(150, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(20), seed);
    let mut rng = seed.part(1_000);
    let mut restarts = Vec::new();
    for _ in 0..2 {
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(rng.u64(200..1_000))).await;
            node.ctl(&["close_all_connections", "the oracle"]).await.unwrap();
            scene.fault();
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(200..1_500))).await;
        node.kill9();
        scene.fault();
        node.restart().await.unwrap();
        let back = Instant::now();
        let delivered = scene.route(ORDERS).await.unwrap()["delivered"].as_u64().unwrap();
        let more = || async { Ok((scene.route(ORDERS).await?["delivered"].as_u64() > Some(delivered)).then_some(())) };
        eventually("deliveries after the restart", Duration::from_secs(30), more).await.unwrap();
        restarts.push(back.elapsed().as_millis());
    }
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let fresh = scene.fresh().await.unwrap();
    let mut figures = Figures::of(&format!("RabbitMQ killed, seed {}", seed.0));
    figures.add("kills", 2).add("cuts", 6).add("back after ms", format!("{restarts:?}"));
    figures.add("fresh ms", fresh.as_millis()).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
    assert_eq!(scene.incidents().await.unwrap(), []);
}

/// Messages go to each queue by name, so there is no binding to lose; the queue itself is what can be taken away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_queue_that_is_deleted_loses_nothing() {
    let _turn = turn().await;
    let seed = Seed::choose("an empty queue is deleted");
    let vhost = rabbitmq().await.vhost().await.unwrap();
    let landscape = Landscape { rabbitmq: Some(vhost.url.clone()), ..Landscape::default() };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    scene.source.burst(50).await.unwrap();
    for _ in 0..3 {
        scene.drained().await.unwrap();
        let path = format!("queues/{}/{ORDERS}", vhost.name);
        rabbitmq().await.management().delete(&path).await.unwrap();
        scene.fault();
        let writing = scene.source.write(200, seed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        writing.stop().await.unwrap();
    }
    let verdicts = scene.verdicts(&nothing_pushed()).await.unwrap();
    Figures::of(&format!("an empty queue deleted, seed {}", seed.0)).add("verdict", &verdicts).print();
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
}

/// What was in it is gone, and nobody can bring it back: the bus must say how much, and for whom.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_that_is_deleted_is_reported_as_a_gap() {
    let _turn = turn().await;
    let seed = Seed::choose("a full queue is deleted");
    let vhost = rabbitmq().await.vhost().await.unwrap();
    let landscape = Landscape { rabbitmq: Some(vhost.url.clone()), ..Landscape::default() };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.start().await.unwrap();
    scene.fresh().await.unwrap();
    scene.shop.down(None).await.unwrap();
    scene.source.burst(900).await.unwrap();
    let full = || async { Ok((scene.route(ORDERS).await?["queued"].as_u64() >= Some(900)).then_some(())) };
    eventually("a full queue", Duration::from_secs(60), full).await.unwrap();
    rabbitmq().await.management().delete(&format!("queues/{}/{ORDERS}", vhost.name)).await.unwrap();
    scene.shop.up().await.unwrap();
    let writing = scene.source.write(100, seed);
    let gap = || async {
        let incidents = scene.incidents().await?;
        Ok(incidents.into_iter().find(|(kind, subject, _)| kind == "gap" && subject == ORDERS))
    };
    // A consumer that meets the missing queue waits for its bound, then a hole for its age: about half a minute.
    let gap = eventually("an incident about the gap", Duration::from_secs(90), gap).await;
    writing.stop().await.unwrap();
    scene.drained().await.unwrap();
    let verdicts = scene.judge(&nothing_pushed()).await.unwrap();
    let (_, _, words) = gap.unwrap_or_else(|error| panic!("{error}: {verdicts}\n{}", scene.log()));
    let orders = verdicts.of(ORDERS);
    let mut figures = Figures::of(&format!("a full queue deleted, seed {}", seed.0));
    figures.add("said", &words).add("verdict", orders).print();
    // `queue … skipped N messages of …`
    let said: usize = words.split(' ').skip_while(|word| *word != "skipped").nth(1).unwrap().parse().unwrap();
    assert!(!orders.lost.is_empty() && orders.lost.len() <= said, "{words}: {orders}");
    for route in verdicts.0.keys().filter(|route| **route != ORDERS) {
        assert!(verdicts.of(route).is_clean(), "{route} has its own queue: {verdicts}");
    }
}
