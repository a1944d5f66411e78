//! Every await point: the process ends before and after each call that a capture round and a delivery make, and once in
//! the middle of a publish. Whatever was cut, nothing is lost, nothing goes back, and what is said again has its old id.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use bus_core::engine::capture::Changes;
use engine::properties::*;
use engine::*;
use futures::StreamExt;

/// Lives that run beside each other: their time is spent waiting for the disk and for short backoffs.
const ABREAST: usize = 12;

async fn check(world: &World) {
    the_receiver_has_no_complaints(world);
    identities_are_kept(world);
    every_message_has_an_outcome(world).await;
    blind_receivers_see_no_repeat(world);
}

/// Runs a story for each operation and call until a call is never reached; gives how many cuts were made.
async fn everywhere<F>(
    operations: &[&'static str],
    bound: usize,
    story: impl Fn(&'static str, usize, Cut) -> F,
) -> usize
where
    F: Future<Output = bool>,
{
    let mut cases = Vec::new();
    for operation in operations {
        for call in 1..=bound {
            for cut in [Cut::CrashBefore, Cut::CrashAfter] {
                cases.push(story(operation, call, cut));
            }
        }
    }
    let made = futures::stream::iter(cases).buffer_unordered(ABREAST).filter(|cut| std::future::ready(*cut));
    made.count().await
}

/// Three rounds with changes in between, cut once; the source goes on changing while the process is down.
async fn capture_story(setup: Setup, pushed: bool, operation: &'static str, call: usize, cut: Cut) -> bool {
    let mut world = World::new(setup).await;
    world.cuts.plan(operation, call, cut);
    let mut was_cut = false;
    let changes: [&[(&str, &str)]; 4] = [
        &[("a", "100"), ("b", "1")],
        &[("a", "90")],
        &[("a", "100"), ("c", "1"), ("b", "2")],
        &[("a", "90"), ("c", "1")],
    ];
    let mut capture = world.capture();
    for step in changes {
        for (key, value) in step {
            if pushed { world.table.push(key, value) } else { world.table.put(key, value) }
        }
        if !world.capture_all(&mut capture).await {
            was_cut = true;
            drop(capture);
            world.crash().await;
            capture = world.capture();
        }
    }
    assert!(world.capture_all(&mut capture).await);
    assert!(world.deliver_all().await);
    nothing_is_lost(&world).await;
    effects_follow_history(&world);
    check(&world).await;
    if pushed {
        assert_eq!(world.table.unanswered(), 0);
        let distinct = world.receiver.effects().len();
        assert_eq!(distinct, 7, "every pushed version but the repeat of c was applied");
    }
    was_cut
}

const CAPTURE: [&str; 7] = [
    "store.open_feed",
    "source.committed",
    "source.fetch",
    "store.published",
    "store.seal",
    "broker.publish",
    "store.advance",
];

#[tokio::test]
async fn a_round_by_position_survives_a_crash_at_every_await() {
    let cuts = everywhere(&CAPTURE, 6, |o, n, c| capture_story(Setup::default(), false, o, n, c)).await;
    assert!(cuts >= 40, "only {cuts} cuts were made");
}

#[tokio::test]
async fn a_round_of_small_pages_survives_a_crash_at_every_await() {
    let setup = Setup { page: 1, ..Setup::default() };
    let cuts = everywhere(&CAPTURE, 6, |o, n, c| capture_story(setup.clone(), false, o, n, c)).await;
    assert!(cuts >= 40, "only {cuts} cuts were made");
}

#[tokio::test]
async fn a_comparison_survives_a_crash_at_every_await() {
    let mut operations = CAPTURE.to_vec();
    operations.retain(|operation| *operation != "source.fetch");
    operations.extend([
        "store.scan_begin",
        "source.scan",
        "store.scan_seen",
        "store.scan_totals",
        "store.scan_missing",
    ]);
    let cuts = everywhere(&operations, 5, |o, n, c| capture_story(Setup::diff(), false, o, n, c)).await;
    assert!(cuts >= 60, "only {cuts} cuts were made");
}

#[tokio::test]
async fn pushed_records_survive_a_crash_at_every_await() {
    let setup = Setup { changes: Changes::Push, ..Setup::default() };
    let cuts = everywhere(&CAPTURE, 5, |o, n, c| capture_story(setup.clone(), true, o, n, c)).await;
    assert!(cuts >= 35, "only {cuts} cuts were made");
}

#[tokio::test]
async fn rounds_in_one_step_survive_a_crash_at_every_await() {
    let operations = ["store.open_feed", "source.committed", "source.fetch", "store.published", "broker.one_step"];
    let by_position = Setup { one_step: true, ..Setup::default() };
    let pushed = Setup { changes: Changes::Push, ..by_position.clone() };
    let mut cuts = everywhere(&operations, 6, |o, n, c| capture_story(by_position.clone(), false, o, n, c)).await;
    cuts += everywhere(&operations, 5, |o, n, c| capture_story(pushed.clone(), true, o, n, c)).await;
    let compared = Setup { one_step: true, ..Setup::diff() };
    cuts += everywhere(&["broker.one_step"], 5, |o, n, c| capture_story(compared.clone(), false, o, n, c)).await;
    assert!(cuts >= 75, "only {cuts} cuts were made");
}

#[tokio::test]
async fn half_a_publish_is_finished_by_the_next_life() {
    for call in 1..=4 {
        for setup in [Setup::default(), Setup::diff()] {
            capture_story(setup, false, "broker.publish", call, Cut::CrashHalfway).await;
        }
    }
}

/// Messages of four keys: one plain, one that is busy first, one that is refused, one whose answer is lost.
async fn delivery_story(kind: Kind, operation: &'static str, call: usize, cut: Cut) -> bool {
    let mut world = World::new(Setup::with(kind)).await;
    world.receiver.script("b", [Ending::Busy]);
    world.receiver.script("c", [Ending::Rejected]);
    world.receiver.script("d", [Ending::SilentApplied]);
    let first: Vec<_> = (1..).zip(["a", "b", "c", "d", "a", "b", "c", "d"]).collect();
    let first: Vec<_> = first.into_iter().map(|(number, key)| message(key, 1, number, &number.to_string())).collect();
    world.cuts.plan(operation, call, cut);
    world.publish(&first).await;
    let mut was_cut = false;
    if !world.deliver_all().await {
        was_cut = true;
        world.crash().await;
    }
    let more: Vec<_> = (1..).zip(["a", "b", "c", "d"]).collect();
    let more: Vec<_> = more.into_iter().map(|(number, key)| message(key, 2, number, &format!("2.{number}"))).collect();
    world.publish(&more).await;
    while !world.deliver_all().await {
        was_cut = true;
        world.crash().await;
    }
    the_receiver_has_no_complaints(&world);
    every_message_has_an_outcome(&world).await;
    blind_receivers_see_no_repeat(&world);
    let counts = world.counts().await;
    // Two are scripted; of a blind receiver, whatever was under way at the crash is in doubt too.
    let most = if kind == Kind::Blind { 2 + 4 } else { 2 };
    assert!(counts.dead <= most, "{kind:?} {operation} {call}: {} dead letters", counts.dead);
    for key in ["a", "b", "c", "d"] {
        let last = world.receiver.holds().get(key).cloned().flatten();
        let number = more.iter().find(|message| message.key.as_str() == key).unwrap().seq.number;
        let newest = table::content(&format!("2.{number}"));
        let dead = world
            .dead()
            .await
            .iter()
            .any(|row| row.letter.envelope.as_ref().is_some_and(|e| e.key.as_str() == key && e.seq.epoch == 2));
        assert!(last == Some(newest) || dead, "{kind:?} {operation} {call}: {key} holds {last:?}");
    }
    was_cut
}

const DELIVERY: [&str; 10] = [
    "store.open_route",
    "broker.consume",
    "store.settled",
    "store.marked",
    "store.set_gate",
    "store.mark",
    "target.deliver",
    "store.commit",
    "broker.ack",
    "store.waiting",
];

#[tokio::test]
async fn a_delivery_to_a_receiver_that_knows_ids_survives_a_crash_at_every_await() {
    let cuts = everywhere(&DELIVERY, 10, |o, n, c| delivery_story(Kind::Keyed, o, n, c)).await;
    assert!(cuts >= 50, "only {cuts} cuts were made");
}

#[tokio::test]
async fn a_delivery_to_a_receiver_that_overwrites_survives_a_crash_at_every_await() {
    let cuts = everywhere(&DELIVERY, 10, |o, n, c| delivery_story(Kind::Put, o, n, c)).await;
    assert!(cuts >= 50, "only {cuts} cuts were made");
}

#[tokio::test]
async fn a_delivery_to_a_receiver_that_must_not_see_a_repeat_survives_a_crash_at_every_await() {
    let cuts = everywhere(&DELIVERY, 10, |o, n, c| delivery_story(Kind::Blind, o, n, c)).await;
    assert!(cuts >= 65, "only {cuts} cuts were made");
}
