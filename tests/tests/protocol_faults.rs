//! The fault table at work: what each verdict does to its message, its key, its route and its system.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_core::engine::incident::Kind as Incident;
use bus_core::engine::worker::LeftPolicy;
use bus_core::ports::shape::{Shape, ShapeError, Shaped};
use bus_core::ports::state::{Applied, Change, HoldReason, StateStore};
use bus_core::vocabulary::{Envelope, Moment};
use engine::properties::*;
use engine::*;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn words(world: &World, key: &str) -> Vec<(u64, &'static str)> {
    let attempts = world.receiver.attempts().into_iter().filter(|(of, ..)| of == key);
    attempts.map(|(_, number, how)| (number, how)).collect()
}

async fn until_attempts(world: &World, times: usize) {
    world.until("attempts", async |world: &World| world.receiver.attempts().len() >= times).await;
}

fn has_incident(world: &World, kind: Incident) -> bool {
    world.incidents.list().iter().any(|incident| incident.kind == kind)
}

/// Distinct keys, one message each, numbered from `from`.
fn distinct(from: u64, count: u64) -> Vec<Envelope> {
    (from..from + count).map(|number| message(&format!("ключ-{number}"), 1, number, "1")).collect()
}

async fn finish(world: &World, worker: Route) {
    worker.stop().await;
    the_receiver_has_no_complaints(world);
    every_message_has_an_outcome(world).await;
    blind_receivers_see_no_repeat(world);
}

/// So much at a time is read of `waiting`: what stands behind it is read when some of it has left.
#[tokio::test]
async fn a_line_of_large_records_is_sent_to_its_end() {
    let world = World::new(Setup::with(Kind::Put)).await;
    let value = "х".repeat(2 * 1024 * 1024);
    for number in 1..=6 {
        let hold = Change::Hold {
            envelope: message(&format!("ключ-{number}"), 1, number, &value),
            not_before: Moment(0),
            attempts: 1,
            reason: HoldReason::Retry,
            clear_mark: false,
            latest: false,
            doubt: false,
        };
        assert_eq!(world.store().commit(&route(), vec![hold]).await.unwrap(), [Applied::Yes]);
    }
    let first = world.store().waiting(&route(), Moment::now(), Duration::MAX, 100, 16 * 1024 * 1024).await.unwrap();
    assert!(first.len() < 6, "{} rows", first.len());
    assert!(world.deliver_all().await);
    assert_eq!(world.receiver.holds().len(), 6);
}

#[tokio::test]
async fn an_outage_keeps_the_order_and_kills_no_message() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        world.receiver.always(Some(Ending::Unavailable));
        let worker = world.start();
        let messages: Vec<_> =
            (1..=30).map(|n| message(["a", "b", "c"][n as usize % 3], 1, n, &n.to_string())).collect();
        world.publish(&messages).await;
        // More than any budget of attempts, and more than the breaker takes.
        until_attempts(&world, 20).await;
        assert!(has_incident(&world, Incident::SystemDown));
        assert_eq!(world.counts().await.dead, 0);
        assert_eq!(world.counts().await.waiting, 0, "an outage shorter than `hold` stays in the queue");
        world.receiver.always(None);
        world.until_idle().await;
        assert!(!has_incident(&world, Incident::SystemDown));
        for key in ["a", "b", "c"] {
            let numbers = world.receiver.numbers(key);
            assert!(numbers.is_sorted() && numbers.len() == 10, "{numbers:?}");
        }
        assert_eq!(world.counts().await.dead, 0);
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn a_throttled_system_waits_as_long_as_it_was_told_and_no_attempt_is_counted() {
    for kind in KINDS {
        let world = World::new(Setup { concurrency: 1, ..Setup::with(kind) }).await;
        // More often than the budget has attempts.
        world.receiver.script("a", vec![Ending::Throttled(Some(ms(60))); 6]);
        let began = Instant::now();
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "1")]).await;
        world.until_idle().await;
        assert!(began.elapsed() >= 6 * ms(60), "{:?}", began.elapsed());
        assert_eq!(world.counts().await.dead, 0);
        assert!(!has_incident(&world, Incident::SystemDown), "it answers, so it is not down");
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn a_busy_key_lets_the_others_flow_and_keeps_its_own_behind_it() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        // Held until the others have passed it, so that no clock decides.
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Busy, Ending::Held(latch.clone())]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
        until_attempts(&world, 2).await;
        world.publish(&[message("a", 1, 4, "4"), message("c", 1, 5, "1")]).await;
        world.until("c to pass", async |world: &World| world.receiver.numbers("c") == [5]).await;
        latch.open();
        world.until_idle().await;
        let order: Vec<_> = world.receiver.effects().iter().map(|effect| effect.seq.number).collect();
        assert_eq!(order, [3, 5, 1, 2, 4]);
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn a_spent_budget_is_a_dead_letter_and_its_key_goes_on() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        world.receiver.script("a", vec![Ending::Busy; 4]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
        world.until_idle().await;
        let dead = world.dead().await;
        assert_eq!((dead.len(), dead[0].letter.attempts, dead[0].letter.fault.as_str()), (1, 4, "busy"));
        assert_eq!(world.receiver.numbers("a"), [2]);
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_repeated_where_that_does_no_harm_and_else_kept_for_a_person() {
    for kind in KINDS {
        for ending in [Ending::SilentApplied, Ending::SilentLost, Ending::Panics] {
            let world = World::new(Setup::with(kind)).await;
            world.receiver.script("a", [ending.clone()]);
            let worker = world.start();
            world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
            world.until_idle().await;
            let blind = kind == Kind::Blind;
            assert_eq!(world.counts().await.dead, u64::from(blind), "{kind:?} {ending:?}");
            assert_eq!(words(&world, "a").len(), if blind { 2 } else { 3 });
            assert_eq!(world.receiver.numbers("a").last(), Some(&2));
            finish(&world, worker).await;
        }
    }
}

#[tokio::test]
async fn a_rejected_message_dies_at_once_and_its_key_goes_on() {
    for kind in KINDS {
        let world = World::new(Setup::with(kind)).await;
        world.receiver.script("a", [Ending::Rejected]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1"), message("b", 1, 2, "1"), message("a", 1, 3, "3")]).await;
        world.until_idle().await;
        let dead = world.dead().await;
        assert_eq!((dead.len(), dead[0].letter.attempts, dead[0].letter.fault.as_str()), (1, 1, "rejected"));
        assert_eq!(world.receiver.numbers("a"), [3]);
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn ten_rejects_of_different_keys_in_a_row_pause_the_route_and_come_back() {
    for kind in KINDS {
        let world = World::new(Setup { concurrency: 1, ..Setup::with(kind) }).await;
        world.receiver.always(Some(Ending::Rejected));
        let worker = world.start();
        world.publish(&distinct(1, 10)).await;
        world.until("a pause", async |_: &World| worker.handle.status().paused.is_some()).await;
        assert!(has_incident(&world, Incident::RoutePaused));
        world.until("the letters to be back", async |world: &World| world.counts().await.dead == 0).await;
        world.publish(&distinct(11, 5)).await;
        world.receiver.always(None);
        assert_eq!(world.receiver.attempts().len(), 10, "a paused route tries nothing");
        worker.resume().await;
        world.until_idle().await;
        assert_eq!(world.receiver.effects().len(), 15);
        assert!(!has_incident(&world, Incident::RoutePaused));
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn rejects_that_a_person_has_seen_become_dead_letters() {
    let world = World::new(Setup { concurrency: 1, ..Setup::default() }).await;
    world.receiver.always(Some(Ending::Rejected));
    let worker = world.start();
    world.publish(&distinct(1, 12)).await;
    world.until("a pause", async |_: &World| worker.handle.status().paused.is_some()).await;
    worker.resume().await;
    world.until("dead letters", async |world: &World| world.counts().await.dead == 12).await;
    finish(&world, worker).await;
}

#[tokio::test]
async fn a_misconfiguration_pauses_the_route_and_costs_nothing() {
    for kind in KINDS {
        let world = World::new(Setup { pause: ms(50), ..Setup::with(kind) }).await;
        world.receiver.always(Some(Ending::Misconfigured));
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
        // By itself it tries one message now and then.
        until_attempts(&world, 8).await;
        assert!(has_incident(&world, Incident::RoutePaused));
        world.receiver.always(None);
        world.until_idle().await;
        assert_eq!(world.counts().await.dead, 0);
        assert_eq!(world.receiver.numbers("a"), [1, 2]);
        assert!(!has_incident(&world, Incident::RoutePaused));
        finish(&world, worker).await;
    }
}

/// Keeps what has no stock from the receiver; some records break it.
struct InStock;

impl Shape for InStock {
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError> {
        let body = String::from_utf8_lossy(&envelope.body);
        assert!(!body.contains("panic"), "a planned panic of the program");
        match () {
            () if body.contains("broken") => Err(ShapeError("не число".into())),
            () if body.contains("\"0\"") => Ok(Shaped::Filtered),
            () => Ok(Shaped::Send(envelope.body.clone())),
        }
    }
}

#[tokio::test]
async fn a_record_that_leaves_the_filter_is_deleted_where_it_was_and_only_there() {
    for (policy, held) in [(LeftPolicy::Delete, None), (LeftPolicy::Ignore, Some(table::content("5")))] {
        let world = World::new(Setup { shape: Arc::new(InStock), when_left: policy, ..Setup::default() }).await;
        world.publish(&[message("a", 1, 1, "5"), message("a", 1, 2, "0"), message("b", 1, 3, "0")]).await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.holds()["a"], held);
        assert!(!world.receiver.holds().contains_key("b"));
        world.publish(&[message("a", 1, 4, "7"), message("b", 1, 5, "7")]).await;
        assert!(world.deliver_all().await);
        let last: Vec<_> = world.receiver.effects().iter().rev().take(2).map(|e| (e.key.clone(), e.exists)).collect();
        let a_exists = policy == LeftPolicy::Ignore;
        assert!(last.contains(&("a".into(), a_exists)) && last.contains(&("b".into(), false)), "{last:?}");
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn a_delete_goes_out_unless_it_is_known_to_be_needless() {
    for kind in KINDS {
        let mut world = World::new(Setup { shape: Arc::new(InStock), ..Setup::with(kind) }).await;
        world.publish(&[message("known", 1, 1, "5"), message("filtered", 1, 2, "0")]).await;
        assert!(world.deliver_all().await);
        world.crash().await;
        world.publish(&[deletion("known", 1, 3), deletion("unknown", 1, 4), deletion("filtered", 1, 5)]).await;
        world.publish(&[deletion("known", 1, 6)]).await;
        assert!(world.deliver_all().await);
        let sent: Vec<_> = world.receiver.attempts().into_iter().map(|(key, number, _)| (key, number)).collect();
        let mut sent = sent[1..].to_vec();
        sent.sort_by_key(|(_, number)| *number);
        assert_eq!(sent, [("known".to_owned(), 3), ("unknown".to_owned(), 4)], "{kind:?}");
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn after_a_doubtful_insert_a_delete_reaches_the_receiver() {
    let world = World::new(Setup::with(Kind::Blind)).await;
    world.receiver.script("a", [Ending::SilentApplied]);
    world.publish(&[message("a", 1, 1, "1"), deletion("a", 1, 2)]).await;
    assert!(world.deliver_all().await);
    assert_eq!(world.receiver.holds()["a"], None);
    assert_eq!(world.counts().await.dead, 1);
}

#[tokio::test]
async fn a_program_that_fails_on_a_record_stops_only_that_record() {
    let world = World::new(Setup { shape: Arc::new(InStock), ..Setup::default() }).await;
    world.publish(&[message("a", 1, 1, "broken"), message("b", 1, 2, "panic"), message("a", 1, 3, "5")]).await;
    assert!(world.deliver_all().await);
    let dead = world.dead().await;
    assert_eq!(dead.iter().map(|row| row.letter.fault.as_str()).collect::<Vec<_>>(), ["shape", "shape"]);
    assert_eq!(world.receiver.numbers("a"), [3]);
    every_message_has_an_outcome(&world).await;
}

#[tokio::test]
async fn the_receivers_own_id_is_kept_for_later_versions_also_over_a_crash() {
    let mut world = World::new(Setup::with(Kind::Put)).await;
    world.publish(&[message("a", 1, 1, "1")]).await;
    assert!(world.deliver_all().await);
    world.crash().await;
    world.publish(&[message("a", 1, 2, "2"), deletion("a", 1, 3)]).await;
    assert!(world.deliver_all().await);
    let told: Vec<_> = world.receiver.effects().into_iter().map(|effect| (effect.exists, effect.receiver_id)).collect();
    assert_eq!(told, [(false, None), (true, Some("№a".into())), (true, Some("№a".into()))]);
}

#[tokio::test]
async fn what_grows_old_before_a_closed_gate_is_spilled_and_goes_on_in_order() {
    for kind in KINDS {
        let mut setup = Setup { hold: ms(50), concurrency: 1, ..Setup::with(kind) };
        // Closed for much longer than `hold`.
        (setup.breaker.first, setup.breaker.max) = (ms(800), ms(800));
        let mut world = World::new(setup).await;
        world.receiver.always(Some(Ending::Unavailable));
        let worker = world.start();
        let first: Vec<_> = (1..=20).map(|n| message(["a", "b"][n as usize % 2], 1, n, &n.to_string())).collect();
        world.publish(&first).await;
        world
            .until("everything to be in waiting", async |world: &World| {
                world.depth().await == 0 && world.counts().await.waiting == 20
            })
            .await;
        let second: Vec<_> = (21..=30).map(|n| message(["a", "b"][n as usize % 2], 1, n, &n.to_string())).collect();
        world.publish(&second).await;
        world.receiver.always(None);
        worker.kill().await;
        world.crash().await;
        let worker = world.start();
        world.until_idle().await;
        for key in ["a", "b"] {
            let numbers = world.receiver.numbers(key);
            assert!(numbers.is_sorted() && numbers.len() == 15, "{kind:?}: {numbers:?}");
        }
        finish(&world, worker).await;
    }
}

#[tokio::test]
async fn a_spilled_route_takes_nothing_more_until_it_has_caught_up() {
    let mut setup = Setup { hold: ms(50), concurrency: 1, prefetch: 8, ..Setup::default() };
    (setup.breaker.first, setup.breaker.max) = (ms(1500), ms(1500));
    let world = World::new(setup).await;
    world.receiver.always(Some(Ending::Unavailable));
    let worker = world.start();
    world.publish(&distinct(1, 40)).await;
    world.until("a spill", async |world: &World| world.counts().await.waiting > 0).await;
    let waiting = world.counts().await.waiting;
    assert!(waiting <= 16, "{waiting} of 40 left the queue, which is made for them");
    world.receiver.always(None);
    world.until_idle().await;
    assert_eq!(world.receiver.effects().len(), 40);
    finish(&world, worker).await;
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_takes_nothing_more() {
    for kind in KINDS {
        let mut world = World::new(Setup { concurrency: 2, ..Setup::with(kind) }).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Held(latch.clone())]);
        world.receiver.script("b", [Ending::Held(latch.clone())]);
        let worker = world.start();
        world
            .publish(&[
                message("a", 1, 1, "1"),
                message("b", 1, 2, "1"),
                message("a", 1, 3, "3"),
                message("c", 1, 4, "1"),
            ])
            .await;
        world.until("both attempts", async |world: &World| world.cuts.calls("target.deliver") == 2).await;
        worker.begin_stop();
        latch.open();
        worker.stop().await;
        assert_eq!(world.receiver.attempts().len(), 2);
        assert_eq!(world.depth().await, 2, "what was under way is acked, the rest is in the queue");
        world.crash().await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.attempts().len(), 4, "nothing was sent twice");
        the_receiver_has_no_complaints(&world);
        every_message_has_an_outcome(&world).await;
    }
}

#[tokio::test]
async fn a_store_that_fails_for_a_while_loses_nothing() {
    // A store that reports a failure has changed nothing; a broker may have done what it reports as failed.
    let store = [
        "store.open_route",
        "store.settled",
        "store.marked",
        "store.mark",
        "store.commit",
        "store.waiting",
        "store.set_gate",
    ];
    let broker = ["broker.consume", "broker.ack"];
    for (operations, cuts) in [(&store[..], &[Cut::Fail][..]), (&broker[..], &[Cut::Fail, Cut::FailAfter][..])] {
        for (operation, cut) in operations.iter().flat_map(|operation| cuts.iter().map(|cut| (*operation, cut.clone())))
        {
            let kind = if operation.starts_with("store.mark") { Kind::Blind } else { Kind::Keyed };
            let world = World::new(Setup::with(kind)).await;
            world.receiver.script("a", [Ending::Busy]);
            world.cuts.plan(operation, 1, cut.clone());
            world.cuts.plan(operation, 2, cut);
            let worker = world.start();
            world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
            world.until_idle().await;
            assert_eq!(world.counts().await.dead, 0, "{operation}");
            finish(&world, worker).await;
            assert!(!has_incident(&world, Incident::StoreFailing), "{operation}: the incident stays open");
        }
    }
}

#[tokio::test]
async fn a_broken_connection_to_the_broker_at_any_time_changes_nothing() {
    for kind in KINDS {
        let world = World::new(Setup { concurrency: 2, ..Setup::with(kind) }).await;
        world.receiver.script("b", [Ending::Busy]);
        let worker = world.start();
        for number in 1..=30_u64 {
            world.publish(&[message(["a", "b", "c"][number as usize % 3], 1, number, &number.to_string())]).await;
            if number.is_multiple_of(5) {
                world.breaks.notify_one();
            }
        }
        world.until_idle().await;
        assert_eq!(world.receiver.effects().len(), 30);
        assert!(!has_incident(&world, Incident::Gap));
        finish(&world, worker).await;
    }
}
