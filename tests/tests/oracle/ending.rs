//! SIGTERM under load, and a second process on the same state.

use std::time::Duration;

use bus_tests::oracle::pusher::Pusher;
use bus_tests::oracle::{Figures, Scene, Seed, alone, turn};
use bus_tests::receiver::{Answer, Rule, Script};
use tokio::time::Instant;

use super::servers::{Broker, postgres};

/// The drain's own bound of 12 s, 3 s for what comes after it, and some for the machine: what `deploy/bus.service` gives it.
const END: Duration = Duration::from_secs(20);

const STOPS: usize = 4;

async fn orderly_stops(broker: Broker) {
    let _turn = alone().await;
    let seed = Seed::choose(&format!("orderly stops, {}", broker.name()));
    let mut scene = Scene::new(postgres().await, &broker.landscape().await, seed).await.unwrap();
    // Attempts are under way whenever the signal comes.
    let slow = Script { rules: vec![Rule::always(Answer::Slow { ms: 200 })], repeats_by: None };
    scene.shop.set_script(&slow).await.unwrap();
    let writing = scene.source.write(200, seed);
    let pusher = Pusher::start(&scene.door(), 10, Duration::from_millis(10), seed);
    let mut longest = Duration::ZERO;
    for stop in 1..=STOPS {
        scene.bus.start().await.unwrap();
        let work = Duration::from_millis(1_500).mul_f64(seed.part(stop as u64 + 500).f64());
        tokio::time::sleep(work).await;
        let begun = Instant::now();
        let status = scene.bus.terminate(END).await.unwrap();
        longest = longest.max(begun.elapsed());
        assert_eq!(status.code(), Some(0), "stop {stop}:\n{}", scene.log());
    }
    scene.bus.start().await.unwrap();
    scene.shop.set_script(&Script::default()).await.unwrap();
    writing.stop().await.unwrap();
    let pushed = pusher.stop().await.unwrap();
    let verdicts = scene.verdicts(&pushed).await.unwrap();
    let mut figures = Figures::of(&format!("SIGTERM under load, {}, seed {}", broker.name(), seed.0));
    figures.add("stops", STOPS).add("longest ms", longest.as_millis()).add("verdict", &verdicts).print();
    // No fault was counted, so one repeat would already be one too many.
    assert!(verdicts.is_clean(), "{verdicts}\n{}", scene.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_repeats_nothing_over_the_embedded_broker() {
    orderly_stops(Broker::Embedded).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_repeats_nothing_over_rabbitmq() {
    orderly_stops(Broker::RabbitMq).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_refuses_and_names_the_first() {
    let _turn = turn().await;
    let landscape = Broker::Embedded.landscape().await;
    let mut scene = Scene::new(postgres().await, &landscape, Seed::choose("a second process")).await.unwrap();
    scene.bus.start().await.unwrap();
    let second = scene.bus.run(&["run"]).await.unwrap();
    let words = String::from_utf8_lossy(&second.stderr).into_owned();
    let first = format!("in use by process {}", scene.bus.pid().unwrap());
    assert!(!second.status.success() && words.contains(&first), "{}: {words}", second.status);
    scene.fresh().await.expect("the first goes on");
}
