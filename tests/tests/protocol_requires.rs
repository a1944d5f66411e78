//! `requires`, D11: nothing is sent before what it refers to; what never comes, what died, circles, crashes.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;
use std::time::Duration;

use bus_core::engine::worker::{Late, Requirement};
use bus_core::policy::RetryPolicy;
use bus_core::ports::requires::References;
use bus_core::ports::shape::ShapeError;
use bus_core::ports::state::{Change, HoldReason, Settlement, StateStore};
use bus_core::vocabulary::{Envelope, Key, Moment, RouteName};
use engine::properties::*;
use engine::*;

const HOUR: Duration = Duration::from_secs(3600);

/// With `нужен `, a record that says `"нужен b c"` refers to b and c.
struct Needs(&'static str);

impl References for Needs {
    fn of(&self, body: &[u8]) -> Result<Vec<Key>, ShapeError> {
        let body = String::from_utf8_lossy(body);
        let needs = body.split(self.0).nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        if needs.contains('!') {
            return Err(ShapeError("not a reference".into()));
        }
        Ok(needs.split_whitespace().map(Key::from_stored).collect())
    }
}

/// Records refer to others of the same stream, as a catalogue's items to their group.
fn needing(kind: Kind, within: Duration, late: Late) -> Setup {
    let requirement = Requirement {
        stream: stream(),
        from: Arc::from([route()]),
        references: Arc::new(Needs("нужен ")),
        within,
        late,
        preloaded: false,
    };
    Setup { requires: vec![requirement], ..Setup::with(kind) }
}

fn order(world: &World) -> Vec<String> {
    world.receiver.effects().into_iter().map(|effect| format!("{}{}", effect.key, effect.seq.number)).collect()
}

async fn held_for(world: &World, number: u64, message: &Envelope) {
    world
        .until("it to be held", async |world: &World| {
            let rows = world.store().waiting(&route(), Moment(i64::MAX), Duration::MAX, 10, usize::MAX).await.unwrap();
            let row = rows.iter().find(|row| row.envelope.id == message.id);
            row.is_some_and(|row| row.reason == HoldReason::Requires) && world.counts().await.waiting == number
        })
        .await;
}

#[tokio::test]
async fn d11_a_record_waits_for_what_it_refers_to_with_its_key_behind_it_through_crashes() {
    for kind in KINDS {
        let mut world = World::new(needing(kind, HOUR, Late::DeadLetter)).await;
        let first = message("a", 1, 1, "нужен b c");
        world.publish(&[first.clone(), message("a", 1, 2, "x"), message("d", 1, 3, "x")]).await;
        for _life in 0..2 {
            let worker = world.start();
            held_for(&world, 2, &first).await;
            world.until("the others to go on", async |world: &World| world.depth().await == 0).await;
            assert_eq!(order(&world), ["d3"]);
            worker.kill().await;
            world.crash().await;
        }
        world.publish(&[message("b", 1, 4, "x")]).await;
        let worker = world.start();
        world.until("one of two", async |world: &World| world.receiver.numbers("b") == [4]).await;
        held_for(&world, 2, &first).await;
        world.publish(&[message("c", 1, 5, "x")]).await;
        world.until_idle().await;
        assert_eq!(order(&world), ["d3", "b4", "c5", "a1", "a2"], "{kind:?}");
        worker.stop().await;
        every_message_has_an_outcome(&world).await;
        the_receiver_has_no_complaints(&world);
    }
}

/// Only the delivery itself can bring it back here: its next look is an hour away.
#[tokio::test]
async fn d11_a_delivery_wakes_what_waits_for_it() {
    let setup = needing(Kind::Put, HOUR, Late::DeadLetter);
    // So that a row may lie so far ahead: beyond the longest wait it would be due.
    let retry = RetryPolicy { max: 2 * HOUR, ..setup.retry };
    let world = World::new(Setup { retry, ..setup }).await;
    let (first, far) = (message("a", 1, 1, "нужен b"), Moment::now().after(HOUR));
    world.publish(std::slice::from_ref(&first)).await;
    let worker = world.start();
    held_for(&world, 1, &first).await;
    let defer = Change::Defer {
        key: first.key.clone(),
        seq: first.seq,
        id: first.id,
        not_before: far,
        attempts: 0,
        reason: HoldReason::Requires,
        clear_mark: false,
    };
    // Until none of the worker's own looks writes over it.
    world
        .until("it to be far away", async |world: &World| {
            world.store().commit(&route(), vec![defer.clone()]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(300)).await;
            world.store().waiting(&route(), Moment(far.0 - 1), Duration::MAX, 10, usize::MAX).await.unwrap().is_empty()
        })
        .await;
    world.publish(&[message("b", 1, 2, "x")]).await;
    world.until_idle().await;
    assert_eq!(order(&world), ["b2", "a1"]);
    worker.stop().await;
}

#[tokio::test]
async fn d11_a_dead_reference_holds_until_it_is_replayed() {
    let world = World::new(needing(Kind::Put, HOUR, Late::DeadLetter)).await;
    world.receiver.script("b", [Ending::Rejected]);
    let first = message("a", 1, 2, "нужен b");
    world.publish(&[message("b", 1, 1, "x"), first.clone()]).await;
    let worker = world.start();
    held_for(&world, 1, &first).await;
    // Each is durable by itself, in either order.
    world.until("the dead letter", async |world: &World| world.dead().await.len() == 1).await;
    let dead = world.dead().await;
    assert_eq!(world.receiver.numbers("a"), Vec::<u64>::new());
    worker.replay(dead[0].id, false).await.unwrap();
    world.until_idle().await;
    assert_eq!(order(&world), ["b1", "a2"]);
    worker.stop().await;
}

#[tokio::test]
async fn d11_a_lost_answer_is_no_delivery() {
    let setup = Setup {
        retry: bus_core::policy::RetryPolicy { attempts: 1, ..Setup::default().retry },
        ..needing(Kind::Put, HOUR, Late::DeadLetter)
    };
    let world = World::new(setup).await;
    world.receiver.script("b", [Ending::SilentLost]);
    let first = message("a", 1, 2, "нужен b");
    world.publish(&[message("b", 1, 1, "x")]).await;
    let worker = world.start();
    // Only then its fence says that something may be there.
    world.until("the dead letter", async |world: &World| world.dead().await.len() == 1).await;
    world.publish(std::slice::from_ref(&first)).await;
    held_for(&world, 1, &first).await;
    assert_eq!(world.receiver.numbers("a"), Vec::<u64>::new());
    worker.stop().await;
}

#[tokio::test]
async fn d11_what_was_deleted_at_the_receiver_is_waited_for_again() {
    let world = World::new(needing(Kind::Put, HOUR, Late::DeadLetter)).await;
    let second = message("a", 1, 4, "нужен b");
    world.publish(&[message("b", 1, 1, "x"), message("a", 1, 2, "x"), deletion("b", 1, 3)]).await;
    assert!(world.deliver_all().await);
    world.publish(&[second.clone(), deletion("c", 1, 5)]).await;
    let worker = world.start();
    held_for(&world, 1, &second).await;
    world.publish(&[message("b", 1, 6, "y")]).await;
    world.until_idle().await;
    assert_eq!(order(&world).last().unwrap(), "a4");
    worker.stop().await;
}

#[tokio::test]
async fn d11_what_never_comes_and_circles_end_as_the_route_says() {
    for (late, expected) in [(Late::DeadLetter, (3, vec![2_u64])), (Late::Send, (0, vec![1, 2]))] {
        let world = World::new(needing(Kind::Put, Duration::from_millis(700), late)).await;
        let circle = [message("x", 1, 3, "нужен y"), message("y", 1, 4, "нужен x"), message("z", 1, 5, "нужен z")];
        world.publish(&[message("a", 1, 1, "нужен b"), message("a", 1, 2, "x")]).await;
        world.publish(&circle).await;
        let worker = world.start();
        // What closes a circle and may be sent does not wait at all.
        let held = if late == Late::Send { 1 } else { 3 };
        world.until("it to wait", async |world: &World| world.counts().await.held >= held).await;
        assert_eq!(world.receiver.numbers("z"), [5], "a record never waits for itself");
        world.until_idle().await;
        let dead = world.dead().await;
        assert_eq!((dead.len(), world.receiver.numbers("a")), expected, "{late:?}");
        let named = dead.iter().filter(|row| row.letter.message.contains("circle")).count();
        assert!(dead.is_empty() || named >= 1, "the first of the circle names it");
        for row in &dead {
            assert_eq!(row.letter.fault, "requires");
            let message = &row.letter.message;
            let said = message.starts_with("остатки \"")
                && message.contains("was not delivered to магазин within 0 s (since 2");
            assert!(said, "{message}");
        }
        worker.stop().await;
    }
}

/// One of them goes without what it refers to, the others after it, long before their time is over.
#[tokio::test]
async fn d11_a_circle_that_may_be_sent_does_not_wait_for_its_time() {
    for kind in KINDS {
        let world = World::new(needing(kind, HOUR, Late::Send)).await;
        let circle = [message("x", 1, 1, "нужен y"), message("y", 1, 2, "нужен z"), message("z", 1, 3, "нужен x")];
        world.publish(&circle).await;
        world.publish(&[message("a", 1, 4, "нужен b"), message("v", 1, 5, "нужен x")]).await;
        let worker = world.start();
        held_for(&world, 1, &message("a", 1, 4, "нужен b")).await;
        let mut order = order(&world);
        assert_eq!(order.len(), 4, "{kind:?}: {order:?}");
        order.retain(|effect| effect != "v5");
        // Whichever closed it goes first; behind it the order is that of their references.
        let first = order.first().unwrap().clone();
        let expected = match first.as_str() {
            "x1" => ["x1", "z3", "y2"],
            "y2" => ["y2", "x1", "z3"],
            _ => ["z3", "y2", "x1"],
        };
        assert_eq!(order, expected, "{kind:?}");
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d11_a_preloaded_receiver_holds_what_the_bus_never_published() {
    let mut setup = needing(Kind::Put, HOUR, Late::DeadLetter);
    setup.requires[0].preloaded = true;
    let world = World::new(setup).await;
    world.receiver.script("b", [Ending::Rejected]);
    world.table.put("b", "x");
    let mut capture = world.capture();
    assert!(world.capture_all(&mut capture).await);
    world.table.put("a", "нужен old");
    world.table.put("c", "нужен b");
    assert!(world.capture_all(&mut capture).await);
    let waits = world.sealed().into_iter().find(|sealed| sealed.key.as_str() == "c").unwrap();
    let worker = world.start();
    held_for(&world, 1, &waits).await;
    assert_eq!(world.receiver.numbers("a").len(), 1);
    worker.stop().await;
}

#[tokio::test]
async fn d11_another_route_brings_it_and_a_bad_reference_is_a_dead_letter() {
    let mut setup = needing(Kind::Put, HOUR, Late::DeadLetter);
    let other = RouteName::new("другой").unwrap();
    setup.requires[0].from = Arc::from([route(), other.clone()]);
    let world = World::new(setup).await;
    let outcome = Settlement::Delivered { present: true, receiver_id: None };
    let b = message("b", 1, 1, "x");
    let settle = Change::Settle { key: b.key.clone(), seq: b.seq, id: b.id, outcome };
    world.store().commit(&other, vec![settle]).await.unwrap();
    world.publish(&[message("a", 1, 2, "нужен b"), message("c", 1, 3, "нужен !")]).await;
    assert!(world.deliver_all().await);
    assert_eq!(order(&world), ["a2"]);
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].letter.fault.as_str()), (1, "shape"));
}

async fn cut_at(kind: Kind, operation: &'static str, call: usize, cut: Cut) {
    // A blind receiver's cut attempt is a dead letter, which is waited for in vain.
    let within = if kind == Kind::Blind { Duration::from_millis(400) } else { HOUR };
    let mut world = World::new(needing(kind, within, Late::DeadLetter)).await;
    world.cuts.plan(operation, call, cut.clone());
    world.publish(&[message("a", 1, 1, "нужен b"), message("a", 1, 2, "x"), message("b", 1, 3, "x")]).await;
    if !world.deliver_all().await {
        world.crash().await;
        assert!(world.deliver_all().await);
    }
    let seen = order(&world);
    let place = |of: &str| seen.iter().position(|effect| effect == of);
    let dead = world.dead().await.len();
    let early = place("a1").is_some_and(|a| place("b3").is_none_or(|b| b > a));
    assert!(!early, "{kind:?} {operation} {call} {cut:?}: {seen:?}");
    assert!(seen.len() + dead >= 3 || kind == Kind::Blind, "{kind:?} {operation} {call} {cut:?}: {seen:?}");
    the_receiver_has_no_complaints(&world);
    blind_receivers_see_no_repeat(&world);
}

#[tokio::test]
async fn d11_a_crash_anywhere_sends_nothing_too_early() {
    for kind in KINDS {
        let mut beside = Vec::new();
        for operation in ["store.settled", "store.commit", "store.waiting", "target.deliver", "broker.ack"] {
            for call in 1..=3 {
                for cut in [Cut::CrashBefore, Cut::CrashAfter] {
                    beside.push(cut_at(kind, operation, call, cut));
                }
            }
        }
        futures::future::join_all(beside).await;
    }
}

/// Deletions refer to nothing, and whoever forces a letter knows what is missing.
#[tokio::test]
async fn d11_deletions_and_what_a_person_forced_are_not_held() {
    let world = World::new(needing(Kind::Put, Duration::from_millis(300), Late::DeadLetter)).await;
    // A deletion's body holds its key, which reads like a reference here.
    world.publish(&[message("a", 1, 1, "нужен b"), deletion("нужен b", 1, 2)]).await;
    let worker = world.start();
    world.until("the letter", async |world: &World| world.dead().await.len() == 1).await;
    world.until("the deletion", async |world: &World| world.receiver.numbers("нужен b") == [2]).await;
    worker.replay(world.dead().await[0].id, true).await.unwrap();
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a"), [1]);
    assert!(world.dead().await.is_empty());
    worker.stop().await;
}

/// What it refers to is gone by now: held, it would be sent blindly again when that comes back.
#[tokio::test]
async fn d11_what_may_have_been_sent_before_is_not_held() {
    let world = World::new(needing(Kind::Blind, HOUR, Late::DeadLetter)).await;
    let first = message("a", 1, 1, "нужен b");
    world.store().commit(&route(), vec![Change::Mark { id: first.id }]).await.unwrap();
    world.publish(std::slice::from_ref(&first)).await;
    assert!(world.deliver_all().await);
    assert_eq!(world.dead().await[0].letter.fault, "ambiguous");
    assert!(world.receiver.attempts().is_empty());
}

/// Sent without what it refers to, it is on its way: who refers to it waits for it, and closes no circle.
#[tokio::test]
async fn d11_what_is_being_sent_is_no_part_of_a_circle() {
    let mut setup = needing(Kind::Put, Duration::from_millis(300), Late::Send);
    let patient = Requirement { references: Arc::new(Needs("ждёт ")), within: HOUR, ..setup.requires[0].clone() };
    setup.requires.push(patient);
    let world = World::new(setup).await;
    let latch = Latch::default();
    world.receiver.script("x", [Ending::Held(latch.clone())]);
    world.publish(&[message("x", 1, 1, "нужен y")]).await;
    let worker = world.start();
    latch.reached().await;
    let second = message("y", 1, 2, "ждёт x");
    world.publish(std::slice::from_ref(&second)).await;
    // The row of the first is there until it was delivered.
    held_for(&world, 2, &second).await;
    latch.open();
    world.until_idle().await;
    worker.stop().await;
    assert_eq!(order(&world), ["x1", "y2"]);
}

/// Delivered after the first look, and before anybody could be told: the look that decides comes after the interest.
#[tokio::test]
async fn d11_what_comes_between_a_look_and_the_interest_is_seen() {
    let mut setup = needing(Kind::Put, HOUR, Late::DeadLetter);
    let other = RouteName::new("другой").unwrap();
    setup.requires[0].from = Arc::from([other.clone()]);
    let world = World::new(setup).await;
    let (looked, b) = (Latch::default(), message("b", 1, 1, "x"));
    // The first call is for the message's own fence.
    world.cuts.plan("store.settled", 2, Cut::HoldAfter(looked.clone()));
    world.publish(&[message("a", 1, 2, "нужен b")]).await;
    let worker = world.start();
    looked.reached().await;
    let outcome = Settlement::Delivered { present: true, receiver_id: None };
    let settle = Change::Settle { key: b.key.clone(), seq: b.seq, id: b.id, outcome };
    world.store().commit(&other, vec![settle]).await.unwrap();
    looked.open();
    world.until_idle().await;
    assert_eq!((order(&world), world.cuts.calls("store.commit")), (vec!["a2".to_owned()], 1), "it was never held");
    worker.stop().await;
}
