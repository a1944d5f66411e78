//! `delivery = "latest"`, D9 and D10: the newest body in the oldest place, nothing lost, nothing older after it.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::Duration;

use bus_core::engine::worker::Delivered;
use engine::properties::*;
use engine::*;

fn latest(kind: Kind) -> Setup {
    Setup { delivery: Delivered::Latest, concurrency: 1, ..Setup::with(kind) }
}

fn superseded(world: &World) -> u64 {
    world.metrics.settled.with_label_values(&[route().as_str(), "superseded"]).get()
}

async fn until_superseded(world: &World, count: u64) {
    world.until("superseded versions", async |world: &World| superseded(world) >= count).await;
}

fn order(world: &World) -> Vec<(String, u64)> {
    world.receiver.attempts().into_iter().map(|(key, number, _)| (key, number)).collect()
}

fn told(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(key, number)| ((*key).to_owned(), *number)).collect()
}

/// A worker whose one attempt at a time is held by another key.
async fn busy_with(world: &World, first: u64) -> (Route, Latch) {
    let latch = Latch::default();
    world.receiver.script("x", [Ending::Held(latch.clone())]);
    world.publish(&[message("x", 1, first, "1")]).await;
    let worker = world.start();
    latch.reached().await;
    (worker, latch)
}

#[tokio::test]
async fn d9_a_key_that_always_changes_keeps_the_oldest_place() {
    for kind in KINDS {
        let world = World::new(latest(kind)).await;
        let (worker, latch) = busy_with(&world, 1).await;
        world.publish(&[message("a", 1, 2, "2"), message("b", 1, 3, "3")]).await;
        for number in 4..24 {
            world.publish(&[message("a", 1, number, &number.to_string())]).await;
        }
        until_superseded(&world, 20).await;
        latch.open();
        world.until_idle().await;
        assert_eq!(order(&world), told(&[("x", 1), ("a", 23), ("b", 3)]), "{kind:?}");
        assert_eq!(superseded(&world), 20, "each once");
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d9_a_delete_wins_over_what_waits_and_is_itself_replaced_by_what_comes_after_it() {
    for kind in KINDS {
        let world = World::new(latest(kind)).await;
        let (worker, latch) = busy_with(&world, 1).await;
        world.publish(&[message("a", 1, 2, "2"), deletion("a", 1, 3)]).await;
        world.publish(&[message("b", 1, 4, "4"), deletion("b", 1, 5), message("b", 1, 6, "6")]).await;
        until_superseded(&world, 3).await;
        latch.open();
        world.until_idle().await;
        assert_eq!(order(&world), told(&[("x", 1), ("a", 3), ("b", 6)]));
        assert_eq!(world.receiver.holds()["a"], None);
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d9_in_waiting_the_newest_version_takes_the_row() {
    for kind in KINDS {
        let mut setup = latest(kind);
        (setup.retry.first, setup.retry.max) = (Duration::from_secs(2), Duration::from_secs(2));
        let world = World::new(setup).await;
        world.receiver.script("a", [Ending::Busy]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        world.until("a retry", async |world: &World| world.counts().await.waiting == 1).await;
        world.publish(&[message("a", 1, 2, "2"), message("a", 1, 3, "3")]).await;
        until_superseded(&world, 2).await;
        assert_eq!(world.counts().await.waiting, 1);
        world.until_idle().await;
        assert_eq!(order(&world), told(&[("a", 1), ("a", 3)]), "the delay of the key still counts");
        // Nothing diverts the key any more: the next one takes the fast path, and is not lost in a wrong count.
        world.publish(&[message("a", 1, 4, "4")]).await;
        world.until("the next version", async |world: &World| world.receiver.numbers("a").contains(&4)).await;
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

/// Nobody told the worker that the row of what it is sending holds a newer version now.
#[tokio::test]
async fn d9_what_took_the_place_in_a_commit_in_doubt_is_sent_when_the_older_one_has_ended() {
    for kind in [Kind::Put, Kind::Keyed] {
        let mut setup = latest(kind);
        (setup.retry.first, setup.retry.max) = (Duration::from_millis(20), Duration::from_millis(20));
        let world = World::new(setup).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Busy, Ending::Held(latch.clone())]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        latch.reached().await;
        let counted = world.cuts.calls("store.open_route");
        world.cuts.plan("store.commit", 1, Cut::FailAfter);
        world.publish(&[message("a", 1, 2, "2")]).await;
        world.until("another count", async |world: &World| world.cuts.calls("store.open_route") > counted).await;
        latch.open();
        world.until("the newer one", async |world: &World| world.receiver.numbers("a").contains(&2)).await;
        world.until_idle().await;
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

/// The connection is lost while a message is under way, and its copy comes: that has no row of its own, which nobody would
/// count, and which would keep the mark of an attempt that is known to have done nothing.
#[tokio::test]
async fn d9_what_comes_again_while_it_is_under_way_gets_no_row_of_its_own() {
    for (kind, ending) in [(Kind::Put, Ending::Rejected), (Kind::Blind, Ending::Busy)] {
        let world = World::new(latest(kind)).await;
        let (latch, busy) = (Latch::default(), matches!(ending, Ending::Busy));
        world.cuts.plan("target.deliver", 1, Cut::HoldBefore(latch.clone()));
        world.receiver.script("a", [ending]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        latch.reached().await;
        let consumed = world.cuts.calls("broker.consume");
        world.breaks.notify_one();
        world.until("another consumer", async |world: &World| world.cuts.calls("broker.consume") > consumed).await;
        // Taken, or it would show nothing.
        world.until("the copy in hand", async |_: &World| worker.handle.status().in_flight == 2).await;
        latch.open();
        if busy {
            world.until_idle().await;
            assert_eq!(world.receiver.numbers("a"), [1]);
            assert_eq!(world.counts().await.dead, 0, "a busy receiver has not applied it");
        } else {
            world.until("a letter", async |world: &World| world.counts().await.dead == 1).await;
            world.until_idle().await;
        }
        world.until("nothing in hand", async |_: &World| worker.handle.status().in_flight == 0).await;
        assert_eq!(worker.handle.status().waiting, 0, "{kind:?}");
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

/// Between the commit of the newer version and the moment when the worker hears of it, the row falls due and is read.
#[tokio::test]
async fn d9_a_row_that_is_read_while_it_is_written_over_is_in_hand_once() {
    for kind in KINDS {
        let mut setup = latest(kind);
        (setup.retry.first, setup.retry.max) = (Duration::from_secs(2), Duration::from_secs(2));
        let world = World::new(setup).await;
        let (sent, told) = (Latch::default(), Latch::default());
        world.receiver.script("a", [Ending::Busy, Ending::Held(sent.clone())]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        world.until("a retry", async |world: &World| world.counts().await.waiting == 1).await;
        world.cuts.plan("store.commit", 1, Cut::HoldAfter(told.clone()));
        world.publish(&[message("a", 1, 2, "2")]).await;
        sent.reached().await;
        told.open();
        until_superseded(&world, 1).await;
        sent.open();
        world.until_idle().await;
        // Counted once: this one finds its key free, waits by itself, and is seen there.
        world.receiver.script("a", [Ending::Busy]);
        world.publish(&[message("a", 1, 3, "3")]).await;
        world.until_idle().await;
        worker.stop().await;
        let skipped = world.metrics.settled.with_label_values(&[route().as_str(), "skipped"]).get();
        assert_eq!((skipped, superseded(&world)), (0, 1), "{kind:?}");
        assert_eq!(world.receiver.numbers("a").last(), Some(&3));
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d9_an_attempt_under_way_ends_and_the_newest_version_follows_it() {
    for kind in KINDS {
        for newest_meets in [None, Some(Ending::Busy), Some(Ending::Rejected)] {
            let world = World::new(latest(kind)).await;
            let latch = Latch::default();
            world.receiver.script("a", [Ending::Busy, Ending::Held(latch.clone())]);
            world.receiver.script("a", newest_meets.clone());
            let worker = world.start();
            world.publish(&[message("a", 1, 1, "1")]).await;
            latch.reached().await;
            // Written over the row of the message that is under way, twice.
            world.publish(&[message("a", 1, 2, "2"), message("a", 1, 3, "3")]).await;
            until_superseded(&world, 1).await;
            latch.open();
            world
                .until("the newest version", async |world: &World| {
                    world.receiver.numbers("a").last() == Some(&3) || world.counts().await.dead == 1
                })
                .await;
            world.until_idle().await;
            assert_eq!(superseded(&world), 1, "{kind:?} {newest_meets:?}: the first one was delivered");
            world.publish(&[message("a", 1, 4, "4")]).await;
            world.until("the next version", async |world: &World| world.receiver.numbers("a").contains(&4)).await;
            worker.stop().await;
            the_receiver_has_no_complaints(&world);
        }
    }
}

#[tokio::test]
async fn d10_a_crash_between_supersede_and_ack_loses_nothing_and_turns_nothing_back() {
    for kind in KINDS {
        for operation in ["store.commit", "broker.ack"] {
            for (call, cut) in (1..4).flat_map(|call| [(call, Cut::CrashBefore), (call, Cut::CrashAfter)]) {
                let mut world = World::new(latest(kind)).await;
                let (worker, latch) = busy_with(&world, 1).await;
                world.cuts.plan(operation, call, cut.clone());
                world.publish(&[message("a", 1, 2, "2"), message("a", 1, 3, "3"), deletion("b", 1, 4)]).await;
                world.publish(&[message("a", 1, 5, "5"), message("b", 1, 6, "6")]).await;
                latch.open();
                let whole = async { world.until_idle().await };
                tokio::select! { () = world.cuts.crashed() => {}, () = whole => {} }
                worker.kill().await;
                world.crash().await;
                assert!(world.deliver_all().await);
                the_receiver_has_no_complaints(&world);
                let holds = world.receiver.holds();
                let dead = world.counts().await.dead;
                let newest = holds.get("a").cloned().flatten().as_deref() == Some(&*table::content("5"));
                assert!(newest || dead > 0, "{kind:?} {operation} {call} {cut:?}: {holds:?}");
                blind_receivers_see_no_repeat(&world);
            }
        }
    }
}

#[tokio::test]
async fn d10_a_delete_reaches_the_receiver_though_the_version_it_replaced_was_tried_before_a_crash() {
    for kind in [Kind::Keyed, Kind::Put] {
        let mut world = World::new(latest(kind)).await;
        world.publish(&[message("a", 1, 1, "1")]).await;
        assert!(world.deliver_all().await);
        world.publish(&[deletion("a", 1, 2)]).await;
        assert!(world.deliver_all().await);
        let latch = Latch::default();
        world.cuts.plan("target.deliver", 1, Cut::HoldAfter(latch.clone()));
        world.publish(&[message("a", 1, 3, "3")]).await;
        let worker = world.start();
        latch.reached().await;
        world.publish(&[deletion("a", 1, 4)]).await;
        world.until("the deletion in its row", async |world: &World| world.counts().await.waiting == 1).await;
        assert!(world.receiver.holds()["a"].is_some(), "applied, and nobody remembers it");
        worker.kill().await;
        world.crash().await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.holds()["a"], None);
    }
}

/// What the model found: superseded in memory only, the older one came again alone, after the newer one was applied.
#[tokio::test]
async fn d9_the_older_version_never_follows_the_newer_one_through_a_crash() {
    for kind in [Kind::Put, Kind::Blind] {
        for (operation, call) in [("target.deliver", 2), ("store.commit", 1), ("store.commit", 2), ("store.commit", 3)]
        {
            let mut world = World::new(latest(kind)).await;
            let (worker, latch) = busy_with(&world, 1).await;
            world.publish(&[message("a", 1, 2, "2"), message("a", 1, 3, "3")]).await;
            // Not only in its row: until the worker has seen that it is there, the older one may still go, and go first.
            until_superseded(&world, 1).await;
            world.cuts.plan(operation, call, Cut::CrashAfter);
            latch.open();
            tokio::select! { () = world.cuts.crashed() => {}, () = world.until_idle() => {} }
            worker.kill().await;
            world.crash().await;
            assert!(world.deliver_all().await);
            the_receiver_has_no_complaints(&world);
            blind_receivers_see_no_repeat(&world);
            assert!(!world.receiver.numbers("a").contains(&2), "{kind:?} {operation} {call}");
        }
    }
}

#[tokio::test]
async fn r10_a_replayed_letter_is_not_written_over() {
    for kind in KINDS {
        let world = World::new(latest(kind)).await;
        world.receiver.script("a", [Ending::Rejected]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        world.until("a dead letter", async |world: &World| world.counts().await.dead == 1).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Held(latch.clone())]);
        worker.replay(world.dead().await[0].id, false).await.unwrap();
        latch.reached().await;
        world.publish(&[message("a", 1, 2, "2"), message("a", 1, 3, "3")]).await;
        until_superseded(&world, 1).await;
        latch.open();
        world.until_idle().await;
        assert_eq!(world.receiver.numbers("a"), [1, 3]);
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn newer_versions_further_back_in_the_queue_are_found() {
    // One place in hand: without going on into `waiting`, each old version would be sent first.
    let world = World::new(Setup { prefetch: 2, ..latest(Kind::Put) }).await;
    let (worker, latch) = busy_with(&world, 1).await;
    let keys = ["a", "b", "c", "d"];
    let messages = (2..22).map(|number| message(keys[number as usize % 4], 1, number, &number.to_string()));
    world.publish(&messages.collect::<Vec<_>>()).await;
    until_superseded(&world, 16).await;
    latch.open();
    world.until_idle().await;
    let mut numbers: Vec<u64> = keys.iter().flat_map(|key| world.receiver.numbers(key)).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [18, 19, 20, 21]);
    worker.stop().await;
}
