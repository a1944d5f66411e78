//! Five bugs, planted one at a time: an oracle that did not see them would prove nothing.
//!
//! Each has the harm that brings it to light. The same harm without the bug must leave nothing to complain about.

use std::time::Duration;

use bus_tests::eventually::eventually;
use bus_tests::oracle::pusher::push_all;
use bus_tests::oracle::scene::nothing_pushed;
use bus_tests::oracle::{Figures, Issued, Landscape, Scene, Seed, Verdicts, turn};
use bus_tests::receiver::{Answer, Rule, Script};

use super::servers::{Broker, postgres};

/// A bug may stay hidden in one run; in so many it may not.
const TRIES: u64 = 3;

/// A page of the bus's reader holds 1000 records, and it publishes them in windows of 256.
const MORE_THAN_A_PAGE: usize = 1_100;
const MORE_THAN_A_WINDOW: usize = 400;

#[derive(Debug, Clone, Copy)]
enum Harm {
    /// Killed while a slow receiver still has most of what was taken before it.
    KilledInHand,
    /// Killed with the first of two windows published.
    KilledBetweenWindows,
    /// Killed after publishing, so that all of it is published again.
    KilledBeforeAdvance,
    /// Each key fails once, with newer versions of it behind; the bug requeues what failed, by a `basic.nack`.
    EachKeyFailsOnce,
    /// More rows share a cursor value than fit a page, and the query says `>`.
    TieLongerThanAPage,
}

async fn do_harm(harm: Harm, scene: &mut Scene) -> Issued {
    match harm {
        Harm::KilledInHand => {
            let slow = Script { rules: vec![Rule::always(Answer::Slow { ms: 100 })], repeats_by: None };
            scene.shop.set_script(&slow).await.unwrap();
            scene.source.burst(MORE_THAN_A_WINDOW).await.unwrap();
            scene.bus.start().await.unwrap();
            let some = || std::future::ready(scene.shop.ledger().map(|l| (l.entries.len() > 40).then_some(())));
            eventually("some requests", Duration::from_secs(60), some).await.unwrap();
            scene.bus.kill9();
            scene.fault();
            scene.shop.set_script(&Script::default()).await.unwrap();
        }
        Harm::KilledBetweenWindows | Harm::KilledBeforeAdvance => {
            let place = match harm {
                Harm::KilledBetweenWindows => "capture.window:1",
                _ => "capture.confirmed:1",
            };
            scene.source.burst(MORE_THAN_A_WINDOW).await.unwrap();
            assert!(scene.kill_at(place).await.unwrap(), "the bus never got to {place}");
        }
        Harm::EachKeyFailsOnce => {
            let busy = Rule { per_key: true, ..Rule::times(1, Answer::Status { code: 500, retry_after: None }) };
            scene.shop.set_script(&Script { rules: vec![busy], repeats_by: None }).await.unwrap();
            scene.shop.down(None).await.unwrap();
            scene.bus.start().await.unwrap();
            // Fewer than the keys whose failure would be taken for the system's.
            let pushed = push_all(&scene.door(), "user", 8, 3).await.unwrap();
            scene.shop.up().await.unwrap();
            return pushed;
        }
        Harm::TieLongerThanAPage => scene.source.burst(MORE_THAN_A_PAGE).await.unwrap(),
    }
    if scene.bus.ended().is_some() || scene.bus.pid().is_none() {
        scene.bus.start().await.unwrap();
    }
    nothing_pushed()
}

async fn judged(harm: Harm, bug: &str, seed: Seed) -> Verdicts {
    let compare = if matches!(harm, Harm::TieLongerThanAPage) { ">" } else { ">=" };
    let broker = match harm {
        // The embedded broker publishes and advances in one step: there is no between.
        Harm::KilledBetweenWindows | Harm::KilledBeforeAdvance => Broker::RabbitMq,
        // And nothing can be given back to it but with its consumer.
        Harm::EachKeyFailsOnce => Broker::RabbitMq,
        Harm::KilledInHand | Harm::TieLongerThanAPage => Broker::Embedded,
    };
    let landscape = Landscape { compare, ..broker.landscape().await };
    let mut scene = Scene::new(postgres().await, &landscape, seed).await.unwrap();
    scene.bus.plant(bug);
    let pushed = do_harm(harm, &mut scene).await;
    scene.drained().await.unwrap();
    scene.judge(&pushed).await.unwrap()
}

async fn is_caught(bug: &str, harm: Harm) {
    let _turn = turn().await;
    let seed = Seed::choose(bug);
    let without = judged(harm, "", seed).await;
    assert!(without.is_clean(), "without the bug nothing is wrong: {without}");
    for number in 1..=TRIES {
        let verdicts = judged(harm, bug, Seed(seed.0 + number)).await;
        if !verdicts.is_clean() {
            let mut figures = Figures::of(&format!("planted {bug}"));
            figures.add("caught in run", number).add("verdict", verdicts).print();
            return;
        }
    }
    panic!("{bug} was not caught in {TRIES} runs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_ack_before_the_send_is_caught() {
    is_caught("ack-before-send", Harm::KilledInHand).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_advance_before_the_confirm_is_caught() {
    is_caught("advance-before-confirm", Harm::KilledBetweenWindows).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_nack_on_failure_is_caught() {
    is_caught("nack-on-failure", Harm::EachKeyFailsOnce).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_in_a_tie_is_caught() {
    is_caught("cut-in-tie", Harm::TieLongerThanAPage).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_fence_is_caught() {
    is_caught("forgotten-fence", Harm::KilledBeforeAdvance).await;
}
