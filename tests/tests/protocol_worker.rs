//! The rules of the worker (R5, R6, R9 to R13) and the decisions D1 to D8: each test is the story that the rule
//! prevents, ending with what must be true. D9 and later have files of their own.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::{Duration, Instant};

use bus_core::engine::incident::Kind as Incident;
use bus_core::ports::state::{Applied, Change, Replay, Settlement, StateStore};
use bus_core::vocabulary::{Envelope, FeedName, Moment, Seq};
use engine::properties::*;
use engine::*;

/// A retry that does not come before the test has looked.
fn slow_retry(kind: Kind) -> Setup {
    let mut setup = Setup::with(kind);
    (setup.retry.first, setup.retry.max) = (Duration::from_secs(1), Duration::from_secs(1));
    setup
}

fn words(world: &World, key: &str) -> Vec<(u64, &'static str)> {
    let attempts = world.receiver.attempts().into_iter().filter(|(of, ..)| of == key);
    attempts.map(|(_, number, how)| (number, how)).collect()
}

async fn until_attempted(world: &World, key: &str, times: usize) {
    world.until("an attempt", async |world: &World| words(world, key).len() >= times).await;
}

async fn until_waiting(world: &World, rows: u64) {
    world.until("rows in waiting", async |world: &World| world.counts().await.waiting == rows).await;
}

async fn until_dead(world: &World, letters: u64) {
    world.until("dead letters", async |world: &World| world.counts().await.dead == letters).await;
}

#[tokio::test]
async fn r5_an_ack_never_leaves_before_the_fence_that_covers_it() {
    // A zombie's older message comes after a crash: were the newer one acked, but not yet fenced, it would pass.
    for (operation, cut) in [
        ("broker.ack", Cut::CrashBefore),
        ("broker.ack", Cut::CrashAfter),
        ("store.commit", Cut::CrashBefore),
        ("store.commit", Cut::CrashAfter),
    ] {
        for kind in KINDS {
            let mut world = World::new(Setup::with(kind)).await;
            world.cuts.plan(operation, 1, cut.clone());
            world.publish(&[message("a", 2, 1, "new")]).await;
            assert!(!world.deliver_all().await);
            world.crash().await;
            world.publish(&[message("a", 1, 9, "old")]).await;
            assert!(world.deliver_all().await);
            the_receiver_has_no_complaints(&world);
            assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("new")), "{kind:?} {operation}");
        }
    }
}

#[tokio::test]
async fn r6_the_next_version_is_not_sent_before_the_outcome_of_the_last_one_is_durable() {
    for kind in KINDS {
        let mut world = World::new(Setup::with(kind)).await;
        let latch = Latch::default();
        world.cuts.plan("store.commit", 1, Cut::HoldBefore(latch.clone()));
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
        let worker = world.start();
        latch.reached().await;
        world.publish(&[message("b", 1, 3, "1")]).await;
        until_attempted(&world, "b", 1).await;
        assert_eq!(words(&world, "a"), [(1, "accepted")], "the first is at the receiver and not yet on disk");
        worker.kill().await;
        world.crash().await;
        assert!(world.deliver_all().await);
        the_receiver_has_no_complaints(&world);
        every_message_has_an_outcome(&world).await;
        assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("2")));
    }
}

#[tokio::test]
async fn r9_a_dead_letter_its_fence_and_its_row_are_one_step() {
    for kind in KINDS {
        for (first, commit) in [(None, 1), (Some(Ending::Busy), 2)] {
            for cut in [Cut::CrashBefore, Cut::CrashAfter] {
                let mut world = World::new(Setup::with(kind)).await;
                world.receiver.script("a", first.clone().into_iter().chain([Ending::Rejected, Ending::Rejected]));
                world.cuts.plan("store.commit", commit, cut.clone());
                world.publish(&[message("a", 1, 1, "1")]).await;
                assert!(!world.deliver_all().await);
                world.crash().await;
                let on_disk = matches!(cut, Cut::CrashAfter);
                assert_eq!(world.counts().await.dead == 1, on_disk);
                assert!(!on_disk || world.counts().await.waiting == 0, "buried, and waiting all the same");
                assert!(world.deliver_all().await);
                assert_eq!(world.counts().await.dead, 1, "{kind:?}: one letter, however often it was found out");
                assert!(world.receiver.effects().is_empty());
                the_receiver_has_no_complaints(&world);
            }
        }
    }
}

/// A route whose message 1 of key a is a dead letter; gives the letter's number.
async fn with_dead_letter(kind: Kind) -> (World, Route, i64) {
    let world = World::new(Setup::with(kind)).await;
    world.receiver.script("a", [Ending::Rejected]);
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1")]).await;
    until_dead(&world, 1).await;
    let id = world.dead().await[0].id;
    (world, worker, id)
}

#[tokio::test]
async fn r10_a_replayed_letter_goes_before_what_comes_after_it() {
    for kind in KINDS {
        let (world, worker, id) = with_dead_letter(kind).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Held(latch.clone())]);
        assert!(matches!(worker.replay(id, false).await, Ok(Replay::Waiting { .. })));
        latch.reached().await;
        world.publish(&[message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
        until_attempted(&world, "b", 1).await;
        latch.open();
        world.until_idle().await;
        assert_eq!(world.receiver.numbers("a"), [1, 2]);
        assert_eq!(world.counts().await.dead, 0);
        every_message_has_an_outcome(&world).await;
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn r10_a_replay_over_a_newer_version_is_refused_delivered_or_waiting() {
    for kind in KINDS {
        let (world, worker, id) = with_dead_letter(kind).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Held(latch.clone())]);
        world.publish(&[message("a", 1, 2, "2")]).await;
        latch.reached().await;
        let newer = Ok(Replay::Newer { seq: Seq { epoch: 1, number: 2 } });
        assert_eq!(worker.replay(id, false).await, newer, "the newer version is under way, by way of `waiting`");
        latch.open();
        world.until_idle().await;
        assert_eq!(worker.replay(id, false).await, newer, "the newer version is delivered");
        assert_eq!(world.receiver.numbers("a"), [2]);
        assert_eq!(world.counts().await.dead, 1, "a refused letter stays");
        every_message_has_an_outcome(&world).await;
    }
}

#[tokio::test]
async fn r10_a_forced_replay_is_sent() {
    let (world, worker, id) = with_dead_letter(Kind::Put).await;
    world.publish(&[message("a", 1, 2, "2")]).await;
    world.until_idle().await;
    assert!(matches!(worker.replay(id, true).await, Ok(Replay::Waiting { .. })));
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a"), [2, 1], "a person has said so");
    let back = Envelope { seq: Seq { epoch: 1, number: 3 }, ..message("a", 1, 2, "2") };
    world.publish(&[back]).await;
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a").last(), Some(&3), "the receiver holds 1 now, so 2 is news (D5)");
    worker.stop().await;
}

#[tokio::test]
async fn r10_a_version_that_arrives_while_the_letter_is_written_goes_through_waiting() {
    let world = World::new(Setup::with(Kind::Put)).await;
    let (commit, send) = (Latch::default(), Latch::default());
    world.receiver.script("a", [Ending::Rejected, Ending::Held(send.clone())]);
    world.cuts.plan("store.commit", 1, Cut::HoldBefore(commit.clone()));
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1")]).await;
    commit.reached().await;
    world.publish(&[message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
    until_attempted(&world, "b", 1).await;
    commit.open();
    send.reached().await;
    let id = world.dead().await[0].id;
    let answer = worker.replay(id, false).await;
    send.open();
    world.until_idle().await;
    worker.stop().await;
    // Either the letter came back before the newer one, or it was refused and stays: it must not vanish.
    assert_eq!(answer, Ok(Replay::Newer { seq: Seq { epoch: 1, number: 2 } }));
    every_message_has_an_outcome(&world).await;
    the_receiver_has_no_complaints(&world);
}

#[tokio::test]
async fn r11_after_a_kill_nothing_is_sent_until_the_last_request_of_the_dead_process_must_have_ended() {
    for (kind, restarts) in [(Kind::Put, 1), (Kind::Keyed, 1), (Kind::Put, 2)] {
        let deadline = Duration::from_millis(400);
        let setup = Setup { deadline, waits_for_predecessor: true, ..Setup::with(kind) };
        let mut world = World::new(setup).await;
        world.receiver.script("a", [Ending::Late]);
        world.cuts.plan("target.deliver", 1, Cut::CrashAfter);
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
        assert!(!world.deliver_all().await);
        let killed = Instant::now();
        for _ in 0..restarts {
            world.crash().await;
        }
        let receiver = world.receiver.clone();
        let late = tokio::spawn(async move {
            tokio::time::sleep(deadline.saturating_sub(killed.elapsed())).await;
            receiver.late_arrivals();
        });
        assert!(world.deliver_all().await);
        assert!(killed.elapsed() >= deadline, "sent {:?} after the kill", killed.elapsed());
        late.await.unwrap();
        the_receiver_has_no_complaints(&world);
        assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("2")));
    }
}

#[tokio::test]
async fn r11_after_a_clean_stop_nobody_waits() {
    let setup = Setup { deadline: Duration::from_secs(25), waits_for_predecessor: true, ..Setup::with(Kind::Put) };
    let mut world = World::new(setup).await;
    world.publish(&[message("a", 1, 1, "1")]).await;
    assert!(world.deliver_all().await);
    world.gate().close().await.unwrap();
    world.crash().await;
    world.publish(&[message("a", 1, 2, "2")]).await;
    let began = Instant::now();
    assert!(world.deliver_all().await);
    assert!(began.elapsed() < Duration::from_secs(20), "waited as after a kill");
}

#[tokio::test]
async fn r12_an_older_message_does_not_enter_waiting_beside_a_newer_one() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        // Its row is there until the test has looked.
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Busy, Ending::Held(latch.clone())]);
        let worker = world.start();
        world.publish(&[message("a", 2, 1, "new")]).await;
        until_waiting(&world, 1).await;
        world.publish(&[message("a", 1, 9, "old")]).await;
        world.until("the older one to be taken", async |world: &World| world.depth().await == 0).await;
        assert_eq!(world.counts().await.waiting, 1);
        latch.open();
        world.until_idle().await;
        world.until("the count to follow", async |_: &World| worker.handle.status().waiting == 0).await;
        worker.stop().await;
        assert_eq!(words(&world, "a"), [(1, "busy"), (1, "accepted")]);
        the_receiver_has_no_complaints(&world);
    }
}

/// What grows old in memory enters in its order; what stands behind an attempt under way does not enter before it.
#[tokio::test]
async fn r12_what_grows_old_in_memory_waits_in_its_order() {
    for kind in KINDS {
        let world = World::new(Setup { hold: Duration::from_millis(20), concurrency: 1, ..Setup::with(kind) }).await;
        let latch = Latch::default();
        world.cuts.plan("target.deliver", 1, Cut::HoldBefore(latch.clone()));
        world.receiver.script("a", [Ending::Busy]);
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
        world.publish(&[message("b", 1, 3, "1"), message("b", 1, 4, "2")]).await;
        let worker = world.start();
        latch.reached().await;
        until_waiting(&world, 2).await;
        let rows = world.store().waiting(&route(), Moment(i64::MAX), Duration::MAX, 10, usize::MAX).await.unwrap();
        assert_eq!(rows.iter().map(|row| row.envelope.seq.number).collect::<Vec<_>>(), [3, 4], "{kind:?}");
        latch.open();
        world.until_idle().await;
        worker.stop().await;
        assert_eq!((world.receiver.numbers("a"), world.receiver.numbers("b")), (vec![1, 2], vec![3, 4]), "{kind:?}");
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn r13_a_zombies_late_flush_does_not_lower_the_fence() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        let (old, new) = (message("a", 1, 1, "1"), message("a", 1, 2, "2"));
        world.publish(&[old.clone(), new.clone()]).await;
        assert!(world.deliver_all().await);
        let outcome = Settlement::Delivered { present: true, receiver_id: Some("чужой".into()) };
        let flush = Change::Settle { key: old.key.clone(), seq: old.seq, id: old.id, outcome };
        assert_eq!(world.store().commit(&route(), vec![flush]).await.unwrap(), [Applied::Ignored]);
        world.publish(&[old, new]).await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.numbers("a"), [1, 2]);
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d1_an_epoch_outranks_any_number_and_closed_epochs_may_repeat() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        let first: Vec<_> = (1..=5).map(|number| message("a", 1, number, &number.to_string())).collect();
        world.publish(&first).await;
        world.publish(&[message("a", 2, 1, "new")]).await;
        world.publish(&first[1..]).await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.numbers("a"), [1, 2, 3, 4, 5, 1]);
        the_receiver_has_no_complaints(&world);
        assert!(world.incidents.list().iter().all(|incident| incident.kind != Incident::Gap));
    }
}

#[tokio::test]
async fn d1_a_stream_that_moves_to_another_feed_stays_above_its_fences() {
    for kind in KINDS {
        let mut world = World::new(Setup::with(kind)).await;
        for value in ["1", "2", "3"] {
            world.table.put("a", value);
            // Opened anew, as at every start and after every failed round: its epoch rises.
            assert!(world.capture_all(&mut world.capture()).await);
        }
        assert!(world.deliver_all().await);
        world.table.put("a", "4");
        assert!(world.capture_all(&mut world.capture()).await);
        world.reconfigure(|setup| setup.feed = FeedName::new("изменения").unwrap());
        world.table.put("a", "5");
        assert!(world.capture_all(&mut world.capture()).await);
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("5")), "{kind:?}");
        assert_eq!(older_epochs(&world), 0);
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d1_a_new_store_beside_full_queues_stays_above_what_they_hold() {
    for kind in KINDS {
        let at = |clock| Setup { clock: Moment(clock), ..Setup::with(kind) };
        let lost = World::new(at(1_000)).await;
        for value in ["1", "2", "3"] {
            lost.table.put("a", value);
            assert!(lost.capture_all(&mut lost.capture()).await);
        }
        let mut world = World::new(at(60_000)).await;
        world.publish(&lost.sealed()).await;
        world.table = lost.table.clone();
        world.table.put("a", "4");
        assert!(world.capture_all(&mut world.capture()).await);
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("4")), "{kind:?}");
        assert_eq!(older_epochs(&world), 0);
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d1_what_comes_under_an_older_epoch_than_its_fence_is_counted() {
    let world = World::new(Setup::default()).await;
    world.publish(&[message("a", 40, 7, "new")]).await;
    assert!(world.deliver_all().await);
    world.publish(&[message("a", 40, 6, "a repeat"), message("a", 40, 7, "new"), message("a", 1, 8, "old")]).await;
    assert!(world.deliver_all().await);
    assert_eq!(older_epochs(&world), 1);
    assert_eq!(world.receiver.numbers("a"), [7]);
}

fn older_epochs(world: &World) -> u64 {
    world.metrics.skipped.with_label_values(&[route().as_str(), "older-epoch"]).get()
}

#[tokio::test]
async fn d2_a_key_stays_locked_until_its_move_to_waiting_is_durable() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Busy]);
        world.cuts.plan("store.commit", 1, Cut::HoldBefore(latch.clone()));
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        latch.reached().await;
        world.publish(&[message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
        until_attempted(&world, "b", 1).await;
        assert_eq!(words(&world, "a"), [(1, "busy")]);
        latch.open();
        world.until_idle().await;
        worker.stop().await;
        assert_eq!(words(&world, "a"), [(1, "busy"), (1, "accepted"), (2, "accepted")]);
    }
}

#[tokio::test]
async fn d3_the_end_of_a_send_from_waiting_is_one_step() {
    for kind in KINDS {
        for cut in [Cut::CrashBefore, Cut::CrashAfter] {
            let mut world = World::new(Setup::with(kind)).await;
            world.receiver.script("a", [Ending::Busy]);
            world.cuts.plan("store.commit", 2, cut.clone());
            world.publish(&[message("a", 1, 1, "1")]).await;
            assert!(!world.deliver_all().await);
            world.crash().await;
            let fence = world.store().settled(&route(), &[message("a", 1, 1, "1").key]).await.unwrap().remove(0);
            let on_disk = matches!(cut, Cut::CrashAfter);
            assert_eq!((fence.is_some(), world.counts().await.waiting), (on_disk, u64::from(!on_disk)));
            assert!(world.deliver_all().await);
            every_message_has_an_outcome(&world).await;
            the_receiver_has_no_complaints(&world);
            assert_eq!(
                world.counts().await.dead > 0,
                kind == Kind::Blind && !on_disk,
                "in doubt is a person's business"
            );
        }
    }
}

#[tokio::test]
async fn d4_a_redelivery_of_what_waits_is_not_put_there_twice() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        // Its row is there until the test has looked.
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Busy, Ending::Held(latch.clone())]);
        world.cuts.plan("broker.ack", 1, Cut::Fail);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        until_waiting(&world, 1).await;
        world.until("the redelivery to be taken", async |world: &World| world.depth().await == 0).await;
        assert_eq!(world.counts().await.waiting, 1);
        latch.open();
        world.until_idle().await;
        worker.stop().await;
        assert_eq!(words(&world, "a"), [(1, "busy"), (1, "accepted")]);
    }
}

#[tokio::test]
async fn d5_the_id_last_delivered_under_a_higher_position_is_skipped_and_raises_the_fence() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        let first = message("a", 1, 1, "1");
        let again = Envelope { seq: Seq { epoch: 3, number: 1 }, ..first.clone() };
        world.publish(&[first, again, message("a", 2, 1, "older than the repeat")]).await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.effects().len(), 1, "{kind:?}: {:?}", world.receiver.effects());
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d6_an_id_that_is_a_dead_letter_is_not_sent_again() {
    for kind in KINDS {
        let (world, worker, _) = with_dead_letter(kind).await;
        let again = Envelope { seq: Seq { epoch: 2, number: 1 }, ..message("a", 1, 1, "1") };
        world.publish(&[message("a", 1, 1, "1"), again]).await;
        world.until_idle().await;
        worker.stop().await;
        assert_eq!(words(&world, "a"), [(1, "rejected")]);
        assert_eq!(world.counts().await.dead, 1);
    }
}

#[tokio::test]
async fn d7_a_mark_turns_a_crash_into_doubt_and_not_into_a_blind_repeat() {
    for (operation, cut, applied) in [
        ("store.mark", Cut::CrashAfter, 0),
        ("target.deliver", Cut::CrashBefore, 0),
        ("target.deliver", Cut::CrashAfter, 1),
        ("store.commit", Cut::CrashBefore, 1),
    ] {
        let mut world = World::new(Setup::with(Kind::Blind)).await;
        world.cuts.plan(operation, 1, cut);
        let first = message("a", 1, 1, "1");
        world.publish(std::slice::from_ref(&first)).await;
        assert!(!world.deliver_all().await);
        world.crash().await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.numbers("a").len(), applied, "{operation}");
        let dead = world.dead().await;
        assert_eq!((dead.len(), dead[0].letter.fault.as_str()), (1, "ambiguous"), "{operation}");
        // The mark stays with the letter, and goes when a person decides.
        assert_eq!(world.store().marked(&route(), &[first.id]).await.unwrap(), [true]);
        world.receiver.forgive(&first.id);
        let worker = world.start();
        assert!(matches!(worker.replay(dead[0].id, false).await, Ok(Replay::Waiting { .. })));
        world.until_idle().await;
        worker.stop().await;
        assert_eq!(world.receiver.numbers("a").len(), applied + 1);
        assert_eq!(world.store().marked(&route(), &[first.id]).await.unwrap(), [false]);
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d7_a_mark_goes_with_the_knowledge_that_nothing_was_applied() {
    let refusals = [Ending::Busy, Ending::Unavailable, Ending::Throttled(Some(Duration::from_millis(1)))];
    for refusal in refusals {
        for cut in [Cut::CrashBefore, Cut::CrashAfter] {
            let mut world = World::new(Setup::with(Kind::Blind)).await;
            let first = message("a", 1, 1, "1");
            world.receiver.script("a", [refusal.clone()]);
            world.cuts.plan("store.commit", 1, cut.clone());
            world.publish(std::slice::from_ref(&first)).await;
            assert!(!world.deliver_all().await);
            world.crash().await;
            let known = matches!(cut, Cut::CrashAfter);
            assert_eq!(world.store().marked(&route(), &[first.id]).await.unwrap(), [!known], "{refusal:?}");
            assert!(world.deliver_all().await);
            assert_eq!(world.receiver.numbers("a").len(), usize::from(known), "{refusal:?}");
            every_message_has_an_outcome(&world).await;
            the_receiver_has_no_complaints(&world);
        }
    }
}

#[tokio::test]
async fn d8_what_waits_is_known_before_the_first_message_is_taken() {
    for kind in KINDS {
        let mut world = World::new(slow_retry(kind)).await;
        world.receiver.script("a", [Ending::Busy]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1")]).await;
        until_waiting(&world, 1).await;
        worker.kill().await;
        world.crash().await;
        world.publish(&[message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
        assert!(world.deliver_all().await);
        assert_eq!(words(&world, "a"), [(1, "busy"), (1, "accepted"), (2, "accepted")]);
    }
}

#[tokio::test]
async fn d8_a_second_worker_of_a_route_gets_nothing() {
    let world = World::new(Setup::with(Kind::Blind)).await;
    let (first, latch) = (world.start(), Latch::default());
    world.until("the first consumer", async |world: &World| world.cuts.calls("broker.consume") == 1).await;
    world.receiver.script("a", [Ending::Held(latch.clone())]);
    let second = world.start();
    world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
    latch.reached().await;
    world.until("the second to be refused twice", async |world: &World| world.cuts.calls("broker.consume") >= 3).await;
    assert!(words(&world, "a").is_empty());
    latch.open();
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a"), [1, 2]);
    first.stop().await;
    second.stop().await;
    the_receiver_has_no_complaints(&world);
}
