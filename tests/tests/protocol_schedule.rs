//! `schedule` on a route, D12: collected in the queue, delivered as a run, gone on with after a crash, made up once.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::Duration;

use bus_core::engine::worker::{Batch, Collect};
use bus_core::policy::{RetryPolicy, Schedule};
use bus_core::ports::runs::{Run, Runs};
use bus_core::vocabulary::{Envelope, Moment};
use engine::properties::*;
use engine::*;

const HOUR: Duration = Duration::from_secs(3600);

fn hourly(kind: Kind) -> Setup {
    let collect = Some(Collect { schedule: Schedule::Every(HOUR), timezone: chrono_tz::UTC });
    Setup { collect, ..Setup::with(kind) }
}

/// As if the last run had been so many hours ago, and the bus away since then.
async fn missed(world: &World, hours: i64) {
    let since = Moment(Moment::now().0 - hours * 3_600_000);
    world.runs().keep_run(&route(), Run { since, over: true }).await.unwrap();
}

async fn until_between(world: &World, worker: &Route) {
    world.until("the end of the run", async |_: &World| worker.handle.status().next_run.is_some()).await;
}

fn keys(world: &World) -> Vec<String> {
    let mut keys: Vec<String> = world.receiver.attempts().into_iter().map(|(key, ..)| key).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn d12_between_runs_messages_stay_in_the_queue() {
    let world = World::new(hourly(Kind::Put)).await;
    world.publish(&[message("a", 1, 1, "1")]).await;
    let worker = world.start();
    until_between(&world, &worker).await;
    assert_eq!(world.cuts.calls("broker.consume"), 0, "no consumer, so nothing is unsettled");
    assert_eq!(world.depth().await, 1);
    let first = world.runs().last_run(&route()).await.unwrap().unwrap();
    assert!(first.over, "from the first start on, a missed run is noticed");
    worker.stop().await;
}

#[tokio::test]
async fn d12_missed_runs_are_made_up_once() {
    let world = World::new(hourly(Kind::Put)).await;
    missed(&world, 50).await;
    world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "2")]).await;
    let worker = world.start();
    world.until_idle().await;
    until_between(&world, &worker).await;
    let next = worker.handle.status().next_run.unwrap();
    assert!(next > Moment::now().after(HOUR / 2), "the other forty-nine are not made up: {next}");
    assert_eq!(keys(&world), ["a", "b"]);
    worker.stop().await;
}

#[tokio::test]
async fn d12_what_was_read_after_the_begin_is_for_the_next_run() {
    let world = World::new(hourly(Kind::Put)).await;
    missed(&world, 2).await;
    let latch = Latch::default();
    world.receiver.script("a", [Ending::Held(latch.clone())]);
    world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "2")]).await;
    let worker = world.start();
    latch.reached().await;
    let since = world.runs().last_run(&route()).await.unwrap().unwrap().since;
    world.until("a later moment", async |_: &World| Moment::now() > since).await;
    world.publish(&[message("c", 1, 3, "3"), message("a", 1, 4, "4")]).await;
    latch.open();
    until_between(&world, &worker).await;
    assert_eq!(keys(&world), ["a", "b"]);
    assert_eq!(world.depth().await, 2);
    worker.stop().await;
    missed(&world, 2).await;
    assert!(world.deliver_all().await);
    assert_eq!(keys(&world), ["a", "a", "b", "c"]);
    the_receiver_has_no_complaints(&world);
}

#[tokio::test]
async fn d12_a_crash_in_the_middle_goes_on_with_the_run() {
    let shared = Some(Batch { max: 2, wait: Duration::from_millis(5), bytes: 1 << 20 });
    for (kind, batch) in KINDS.into_iter().flat_map(|kind| [(kind, None), (kind, shared)]) {
        for (operation, call) in
            [("runs.keep", 1), ("target.deliver", 1), ("target.deliver", 2), ("store.commit", 1), ("broker.ack", 1)]
        {
            for cut in [Cut::CrashBefore, Cut::CrashAfter] {
                let mut world = World::new(Setup { concurrency: 1, batch, ..hourly(kind) }).await;
                missed(&world, 2).await;
                world.cuts.plan(operation, call, cut.clone());
                world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "2"), message("a", 1, 3, "3")]).await;
                assert!(!world.deliver_all().await, "{operation} {call}");
                let begun = world.runs().last_run(&route()).await.unwrap().unwrap();
                world.crash().await;
                assert!(world.deliver_all().await, "{kind:?} {operation} {call} {cut:?}");
                let after = world.runs().last_run(&route()).await.unwrap().unwrap();
                assert!(begun.over || after.since == begun.since, "it is the same run");
                every_message_has_an_outcome(&world).await;
                the_receiver_has_no_complaints(&world);
                blind_receivers_see_no_repeat(&world);
            }
        }
    }
}

/// What was in hand and not under way comes again with the next consumer, and belongs to the run.
#[tokio::test]
async fn d12_a_lost_connection_goes_on_with_the_run() {
    let world = World::new(Setup { concurrency: 1, ..hourly(Kind::Put) }).await;
    missed(&world, 2).await;
    let latch = Latch::default();
    world.receiver.script("a", [Ending::Held(latch.clone())]);
    world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "2")]).await;
    let worker = world.start();
    latch.reached().await;
    world.until("both to be taken", async |_: &World| worker.handle.status().in_flight == 2).await;
    let again = Latch::default();
    world.cuts.plan("broker.consume", 1, Cut::HoldBefore(again.clone()));
    world.breaks.notify_one();
    again.reached().await;
    latch.open();
    // Nothing in hand, and nobody can say what is in the queue: that is not the end.
    world.until("nothing in hand", async |_: &World| worker.handle.status().in_flight == 0).await;
    again.open();
    until_between(&world, &worker).await;
    assert_eq!((keys(&world).concat(), world.depth().await), ("ab".to_owned(), 0));
    worker.stop().await;
}

/// Killed now, it has to go on with what is under way.
#[tokio::test]
async fn d12_a_run_is_not_over_while_anything_of_it_is_under_way() {
    let setup = Setup { concurrency: 1, hold: Duration::from_millis(300), ..hourly(Kind::Put) };
    let mut world = World::new(setup).await;
    missed(&world, 2).await;
    let latch = Latch::default();
    world.receiver.script("a", [Ending::Held(latch.clone())]);
    let later = Envelope { time: Moment::now().after(HOUR), ..message("c", 1, 3, "3") };
    world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "2"), later]).await;
    let worker = world.start();
    latch.reached().await;
    // Everything was taken long ago when b has grown old in memory.
    world.until("b to wait", async |world: &World| world.counts().await.waiting == 1).await;
    let begun = world.runs().last_run(&route()).await.unwrap().unwrap();
    assert!(!begun.over);
    worker.kill().await;
    world.crash().await;
    let worker = world.start();
    until_between(&world, &worker).await;
    world.until("both", async |world: &World| keys(world).concat().contains("ab")).await;
    assert_eq!(world.depth().await, 1, "what came later is for the next run");
    let ended = world.runs().last_run(&route()).await.unwrap().unwrap();
    assert_eq!((ended.since, ended.over), (begun.since, true), "it is the same run");
    worker.stop().await;
}

#[tokio::test]
async fn d12_what_retries_goes_at_its_own_time() {
    // Longer than a queue is looked at until it is believed to be empty.
    const RETRY: Duration = Duration::from_millis(1500);
    let mut setup = hourly(Kind::Put);
    setup.retry = RetryPolicy { first: RETRY, max: RETRY, ..setup.retry };
    let world = World::new(setup).await;
    missed(&world, 2).await;
    world.receiver.script("a", [Ending::Busy]);
    world.publish(&[message("a", 1, 1, "1")]).await;
    let worker = world.start();
    until_between(&world, &worker).await;
    world.until("the retry", async |world: &World| world.receiver.numbers("a") == [1]).await;
    assert!(worker.handle.status().next_run.is_some(), "and no run for it");
    worker.stop().await;
}

#[tokio::test]
async fn d12_a_broker_that_is_slow_to_say_how_much_is_left_holds_up_nothing() {
    let world = World::new(hourly(Kind::Put)).await;
    missed(&world, 2).await;
    let latch = Latch::default();
    world.cuts.plan("broker.depth", 1, Cut::HoldBefore(latch.clone()));
    let worker = world.start();
    latch.reached().await;
    let since = world.runs().last_run(&route()).await.unwrap().unwrap().since;
    world.publish(&[Envelope { time: since, ..message("a", 1, 1, "1") }]).await;
    let delivered = world.until("the delivery", async |world: &World| world.depth().await == 0);
    // Its answer is waited for longer than this.
    tokio::time::timeout(Duration::from_secs(4), delivered).await.expect("the worker waits for the broker's answer");
    latch.open();
    until_between(&world, &worker).await;
    worker.stop().await;
}
