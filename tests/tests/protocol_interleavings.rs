//! Random stories: changes, verdicts, cuts and broken connections drawn from a seed. Every property must hold in each of
//! them, and with any one rule broken on purpose some of them must fail.
//!
//! A failure names its seed; `BUS_SEED=17 cargo test -p bus-tests --test protocol_interleavings` tells that story alone.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::Duration;

use bus_core::engine::worker::{Batch, Collect, Delivered, Late};
use bus_core::policy::Schedule;
use engine::properties::*;
use engine::*;
use fastrand::Rng;
use futures::StreamExt;

const STORIES: u64 = 200;
const ABREAST: usize = 24;
const KEYS: [&str; 3] = ["а", "b", "c"];

const OPERATIONS: [&str; 19] = [
    "store.open_feed",
    "store.published",
    "store.seal",
    "store.advance",
    "source.fetch",
    "source.committed",
    "broker.publish",
    "broker.publish",
    "broker.one_step",
    "broker.consume",
    "broker.ack",
    "broker.ack",
    "store.settled",
    "store.mark",
    "store.commit",
    "store.commit",
    "store.waiting",
    "target.deliver",
    "target.deliver",
];

fn cut(rng: &mut Rng, operation: &str) -> Cut {
    match rng.u8(0..6) {
        0 | 1 => Cut::CrashBefore,
        2 if operation == "broker.publish" => Cut::CrashHalfway,
        2 | 3 => Cut::CrashAfter,
        _ if ["broker.publish", "broker.one_step"].contains(&operation) && rng.bool() => Cut::FailAfter,
        _ => Cut::Fail,
    }
}

fn ending(rng: &mut Rng) -> Ending {
    match rng.u8(0..8) {
        0 | 1 => Ending::Busy,
        2 => Ending::SilentApplied,
        3 => Ending::SilentLost,
        4 => Ending::Rejected,
        5 => Ending::Unavailable,
        6 => Ending::Throttled(Some(Duration::from_millis(1))),
        _ => Ending::Accepted,
    }
}

fn setup(rng: &mut Rng, sabotage: Option<Sabotage>) -> Setup {
    let diff = rng.bool();
    let base = if diff { Setup::diff() } else { Setup::default() };
    Setup {
        kind: KINDS[rng.usize(0..3)],
        page: rng.usize(1..4),
        concurrency: rng.usize(1..4),
        prefetch: rng.u16(1..6),
        delivery: if rng.bool() { Delivered::Latest } else { Delivered::Every },
        collect: (rng.u8(0..8) == 0).then(|| {
            let schedule = Schedule::Every(Duration::from_millis(10));
            Collect { schedule, timezone: chrono_tz::UTC }
        }),
        batch: (rng.u8(0..3) == 0).then(|| Batch {
            max: rng.usize(2..5),
            wait: Duration::from_millis(rng.u64(0..10)),
            bytes: rng.usize(20..200),
        }),
        requires: if rng.u8(0..3) == 0 { vec![refers_to("а", Late::Send)] } else { Vec::new() },
        // Short enough that messages which wait go through `waiting`.
        hold: if rng.u8(0..4) == 0 { Duration::from_millis(5) } else { base.hold },
        // What is broken on purpose is broken in the single steps.
        one_step: rng.bool() && sabotage.is_none(),
        sabotage,
        ..base
    }
}

async fn story(seed: u64, sabotage: Option<Sabotage>) {
    let mut rng = Rng::with_seed(seed);
    let mut world = World::new(setup(&mut rng, sabotage)).await;
    let mut value = 0;
    for _ in 0..rng.u8(3..7) {
        for _ in 0..rng.u8(0..3) {
            let operation = OPERATIONS[rng.usize(0..OPERATIONS.len())];
            world.cuts.plan(operation, rng.usize(1..5), cut(&mut rng, operation));
        }
        for _ in 0..rng.u8(0..3) {
            world.receiver.script(KEYS[rng.usize(0..3)], [ending(&mut rng)]);
        }
        if rng.u8(0..4) == 0 {
            world.receiver.script_requests([ending(&mut rng)]);
        }
        let worker = world.start();
        let mut capture = world.capture();
        let live = async {
            for _ in 0..rng.u8(1..5) {
                let key = KEYS[rng.usize(0..3)];
                // Values return: two of three times the content is one of few.
                value += 1;
                let content = if rng.u8(0..3) == 0 { value } else { rng.u32(0..2) };
                world.table.put(key, &content.to_string());
                if rng.bool() {
                    world.capture_all(&mut capture).await;
                }
                if rng.u8(0..6) == 0 {
                    world.breaks.notify_one();
                }
            }
            world.capture_all(&mut capture).await;
            if rng.bool() {
                world.until_idle().await;
            }
        };
        tokio::select! {
            biased;
            () = world.cuts.crashed() => {}
            () = live => {}
        }
        drop(capture);
        worker.kill().await;
        world.crash().await;
    }
    let mut capture = world.capture();
    assert!(world.capture_all(&mut capture).await);
    assert!(world.deliver_all().await);
    the_receiver_has_no_complaints(&world);
    nothing_is_lost(&world).await;
    effects_follow_history(&world);
    identities_are_kept(&world);
    if world.delivers_all_versions() {
        every_message_has_an_outcome(&world).await;
    }
    blind_receivers_see_no_repeat(&world);
}

/// Tells the stories of these seeds, and gives the seeds of those that ended wrong.
async fn tell(seeds: impl Iterator<Item = u64>, sabotage: Option<Sabotage>) -> Vec<u64> {
    let told = futures::stream::iter(seeds).map(|seed| async move {
        let ended = tokio::task::spawn_local(story(seed, sabotage)).await;
        ended.is_err().then_some(seed)
    });
    let told = told.buffer_unordered(ABREAST).filter_map(std::future::ready).collect();
    tokio::task::LocalSet::new().run_until(told).await
}

#[tokio::test]
async fn every_property_holds_in_every_story() {
    let wrong = match std::env::var("BUS_SEED") {
        Ok(seed) => tell(std::iter::once(seed.parse().unwrap()), None).await,
        Err(_) => {
            // Always the same ones, and some that nobody has told before.
            let fresh = fastrand::u64(1000..1_000_000_000);
            println!("fresh stories from seed {fresh}");
            tell((0..STORIES / 2).chain(fresh..fresh + STORIES / 2), None).await
        }
    };
    assert!(wrong.is_empty(), "these seeds end wrong: {wrong:?}");
}

#[tokio::test]
async fn a_broken_rule_is_noticed() {
    for sabotage in [
        Sabotage::ForgetSeal,
        Sabotage::ForgetFence,
        Sabotage::ForgetMarks,
        Sabotage::LoseHold,
        Sabotage::ConfirmTooMuch,
        Sabotage::AckFirst,
    ] {
        let mut wrong = Vec::new();
        for batch in 0..8 {
            // All of a batch run beside each other, so that a story that hangs costs its patience once.
            wrong = tell(batch * ABREAST as u64..(batch + 1) * ABREAST as u64, Some(sabotage)).await;
            if !wrong.is_empty() {
                break;
            }
        }
        println!("{sabotage:?} is noticed by {} of {ABREAST} stories", wrong.len());
        assert!(!wrong.is_empty(), "{sabotage:?} is noticed by no story");
    }
}
