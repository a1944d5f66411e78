//! Stories that once went wrong, or that nobody had thought of.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_core::engine::incident::Kind as Incident;
use bus_core::engine::worker::Command;
use bus_core::ports::shape::{Shape, ShapeError, Shaped};
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::{Envelope, SubscriptionName};
use engine::properties::*;
use engine::*;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

fn incidents(world: &World) -> Vec<Incident> {
    world.incidents.list().into_iter().map(|incident| incident.kind).collect()
}

#[tokio::test]
async fn letters_that_come_back_with_a_pause_do_not_go_behind_a_newer_version_under_way() {
    let world = World::new(Setup { concurrency: 2, ..Setup::with(Kind::Put) }).await;
    let latch = Latch::default();
    world.receiver.script("a", [Ending::Rejected, Ending::Held(latch.clone())]);
    world.receiver.always(Some(Ending::Rejected));
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2")]).await;
    latch.reached().await;
    let others: Vec<_> = (3..=11).map(|number| message(&format!("ключ-{number}"), 1, number, "1")).collect();
    world.publish(&others).await;
    world.until("a pause", async |_: &World| worker.handle.status().paused.is_some()).await;
    latch.open();
    world.receiver.always(None);
    world.until("the newer version", async |world: &World| !world.receiver.numbers("a").is_empty()).await;
    worker.resume().await;
    world.until_idle().await;
    worker.stop().await;
    the_receiver_has_no_complaints(&world);
    assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("2")));
}

#[tokio::test]
async fn letters_that_come_back_with_a_pause_do_not_undo_a_deletion() {
    let world = World::new(Setup { concurrency: 1, ..Setup::with(Kind::Put) }).await;
    world.receiver.always(Some(Ending::Rejected));
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1")]).await;
    world.until("a dead letter", async |world: &World| world.counts().await.dead == 1).await;
    world.publish(&[deletion("a", 1, 2)]).await;
    world.until_idle().await;
    let others: Vec<_> = (3..=11).map(|number| message(&format!("ключ-{number}"), 1, number, "1")).collect();
    world.publish(&others).await;
    world.until("a pause", async |_: &World| worker.handle.status().paused.is_some()).await;
    world.receiver.always(None);
    worker.resume().await;
    world.until_idle().await;
    worker.stop().await;
    the_receiver_has_no_complaints(&world);
    assert_eq!(world.receiver.holds().get("a").cloned().flatten(), None, "deleted at the source, and created here");
}

#[tokio::test]
async fn a_message_that_is_never_answered_does_not_keep_the_others_from_a_receiver_that_works() {
    let world = World::new(Setup { concurrency: 1, ..Setup::with(Kind::Put) }).await;
    world.receiver.script("poison", vec![Ending::SilentLost; 2000]);
    let worker = world.start();
    world.publish(&[message("poison", 1, 1, "1")]).await;
    world.until("an open breaker", async |world: &World| world.receiver.attempts().len() >= 5).await;
    world.publish(&[message("b", 1, 2, "1")]).await;
    world
        .until("the other key", async |world: &World| {
            world.receiver.holds().contains_key("b") || world.receiver.attempts().len() > 400
        })
        .await;
    assert!(world.receiver.holds().contains_key("b"), "400 attempts for one message, and none for the other");
    worker.kill().await;
}

#[tokio::test]
async fn more_rejects_than_the_limit_at_the_same_time_all_come_back() {
    let world = World::new(Setup { concurrency: 16, ..Setup::with(Kind::Put) }).await;
    let latch = Latch::default();
    let messages: Vec<_> = (1..=16).map(|number| message(&format!("ключ-{number}"), 1, number, "1")).collect();
    world.receiver.always(Some(Ending::Rejected));
    world.cuts.plan("store.commit", 1, Cut::HoldBefore(latch.clone()));
    let worker = world.start();
    world.publish(&messages).await;
    world.until("all attempts", async |world: &World| world.receiver.attempts().len() == 16).await;
    latch.open();
    world.until("a pause", async |_: &World| worker.handle.status().paused.is_some()).await;
    world.receiver.always(None);
    world.until("everything settled", async |world: &World| world.depth().await == 0).await;
    worker.resume().await;
    world.until_idle().await;
    worker.stop().await;
    assert_eq!(world.receiver.effects().len(), 16, "{} stayed dead letters", world.counts().await.dead);
}

#[tokio::test]
async fn a_move_to_waiting_whose_commit_is_in_doubt_is_not_forgotten_until_the_next_start() {
    // SQLite says what happened; a store behind a network can lose the answer to a commit that it made.
    let world = World::new(Setup::with(Kind::Put)).await;
    world.receiver.script("a", [Ending::Busy]);
    world.cuts.plan("store.commit", 1, Cut::FailAfter);
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1")]).await;
    world.until_idle().await;
    worker.stop().await;
    every_message_has_an_outcome(&world).await;
}

#[tokio::test]
async fn what_waits_is_counted_again_though_the_first_count_after_a_doubt_fails() {
    for (operation, cut) in [("store.commit", Cut::FailAfter), ("store.replay", Cut::FailAfter)] {
        let world = World::new(Setup::with(Kind::Put)).await;
        world.receiver.script("a", [if operation == "store.commit" { Ending::Busy } else { Ending::Rejected }]);
        let worker = world.start();
        world.until("an open route", async |world: &World| world.cuts.calls("store.open_route") == 1).await;
        world.cuts.plan("store.open_route", 1, Cut::Fail);
        if operation == "store.commit" {
            world.cuts.plan(operation, 1, cut);
            world.publish(&[message("a", 1, 1, "1")]).await;
        } else {
            world.publish(&[message("a", 1, 1, "1")]).await;
            world.until("a letter", async |world: &World| world.counts().await.dead == 1).await;
            world.cuts.plan(operation, 1, cut);
            assert!(worker.replay(world.dead().await[0].id, false).await.is_err());
        }
        world.until("the delivery", async |world: &World| world.receiver.holds().contains_key("a")).await;
        world.until_idle().await;
        worker.stop().await;
        every_message_has_an_outcome(&world).await;
    }
}

/// The letter is on disk, the worker has not heard of it, and a person drops it: its key is not dead for ever.
#[tokio::test]
async fn a_letter_that_is_dropped_before_its_worker_knows_of_it_leaves_no_dead_key() {
    let world = World::new(Setup::with(Kind::Put)).await;
    world.receiver.script("a", [Ending::Rejected]);
    let latch = Latch::default();
    world.cuts.plan("store.commit", 1, Cut::HoldAfter(latch.clone()));
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1")]).await;
    latch.reached().await;
    let (reply, dropped) = oneshot::channel();
    let id = world.dead().await[0].id;
    assert!(worker.handle.send(Command::DropDead { id, reply }).await);
    assert!(dropped.await.unwrap().unwrap());
    latch.open();
    world.until("an empty queue", async |world: &World| world.depth().await == 0).await;
    world.publish(&[message("a", 1, 2, "2")]).await;
    world.until_idle().await;
    // The status is told ten times a second.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(worker.handle.status().dead_keys, 0);
    worker.stop().await;
    assert_eq!(world.receiver.numbers("a"), [2]);
}

#[tokio::test]
async fn a_worker_that_stops_begins_no_attempt_with_a_permit_that_comes_late() {
    let world = World::new(Setup { concurrency: 2, ..Setup::with(Kind::Put) }).await;
    let (latch, busy) = (Latch::default(), Latch::default());
    world.receiver.script("a", [Ending::Held(latch.clone())]);
    let worker = world.start();
    world.publish(&[message("a", 1, 1, "1")]).await;
    latch.reached().await;
    // Somebody else has every other place at the receiver, so b waits for its permit.
    let mut places = Vec::new();
    for _ in 0..31 {
        places.push(world.gate().enter(None, Duration::from_secs(30)).await.unwrap());
    }
    world.publish(&[message("b", 1, 2, "1")]).await;
    world.until("b in hand", async |_: &World| worker.handle.status().in_flight == 2).await;
    // The stop and the permit come while the worker is at something else.
    world.cuts.plan("store.replay", 1, Cut::HoldBefore(busy.clone()));
    let (reply, _nobody) = oneshot::channel();
    assert!(worker.handle.send(Command::Replay { id: 1, force: false, who: "anna".into(), reply }).await);
    busy.reached().await;
    worker.begin_stop();
    drop(places);
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    busy.open();
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    latch.open();
    worker.stop().await;
    assert_eq!(world.receiver.attempts(), [("a".to_owned(), 1, "accepted")]);
    assert_eq!(world.depth().await, 1, "b stays in the queue");
}

struct Poisoned;

impl Shape for Poisoned {
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError> {
        assert_ne!(envelope.key.as_str(), "яд", "a planned panic of a program");
        Ok(Shaped::Send(envelope.body.clone()))
    }
}

#[tokio::test]
async fn a_program_that_crashes_on_one_record_does_not_end_a_subscription() {
    let world = World::new(Setup { shape: Arc::new(Poisoned), ..Setup::default() }).await;
    let name = SubscriptionName::new("витрина").unwrap();
    world.publish(&[message("яд", 1, 1, "1"), message("b", 1, 2, "2")]).await;
    let stop = CancellationToken::new();
    let outbox = tokio::spawn(world.outbox(&name).run(stop.clone()));
    let stored = async |world: &World| {
        let rows = world.store().outbox_read(&name, 0, 10, 1 << 20).await.unwrap().messages;
        outbox.is_finished() || rows.iter().any(|(_, envelope)| envelope.key.as_str() == "b")
    };
    world.until("the other record", stored).await;
    stop.cancel();
    outbox.await.expect("the subscription goes on");
    world.until_idle().await;
    let letters = world.dead().await;
    assert_eq!(letters.len(), 1, "the record is kept for a person");
    assert!(letters[0].letter.message.contains("crashed"), "{}", letters[0].letter.message);
}

/// Ten seconds and a moment pass. Nobody may wait for the disk meanwhile: that has a minute at most.
async fn until_the_next_look() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(11)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn what_a_subscriber_was_too_late_for_is_counted_and_told_until_it_goes_on_behind_it() {
    let world = World::new(Setup { kept: 2_000, ..Setup::default() }).await;
    let name = SubscriptionName::new("мобильное").unwrap();
    let stop = CancellationToken::new();
    let outbox = tokio::spawn(world.outbox(&name).run(stop.clone()));
    let dropped = || world.metrics.dropped.with_label_values(&[name.as_str()]).get();
    let messages: Vec<_> =
        (1..=9).map(|number| message(&format!("ключ-{number}"), 1, number, &"x".repeat(500))).collect();
    world.publish(&messages).await;
    let whole = async |world: &World| {
        let backlog = world.store().outbox_backlog(&name).await.unwrap();
        backlog.messages + backlog.missed == 9
    };
    world.until("all of it in the outbox", whole).await;
    until_the_next_look().await;
    let only_so_much = async |world: &World| {
        let backlog = world.store().outbox_backlog(&name).await.unwrap();
        backlog.bytes <= 2_000 && backlog.missed > 0 && backlog.missed == dropped()
    };
    world.until("what is too much, dropped and counted", only_so_much).await;
    let told = |world: &World| {
        let words = format!("{} messages were dropped", dropped());
        let is_it = |found: &bus_core::engine::incident::Incident| {
            found.kind == Incident::SubscriberBehind && found.message.starts_with(&words)
        };
        world.incidents.list().iter().any(is_it)
    };
    world.until("an incident", async |world: &World| told(world)).await;

    // The subscriber comes at last: asking tells it, acknowledging what it got ends it.
    let page = world.store().outbox_read(&name, 0, 1, 1).await.unwrap();
    assert_eq!(page.missed, dropped());
    world.store().outbox_take(&name, page.messages[0].0).await.unwrap();
    until_the_next_look().await;
    world.until("its end", async |world: &World| incidents(world).is_empty()).await;
    stop.cancel();
    outbox.await.unwrap();
}

#[tokio::test]
async fn a_full_state_store_is_not_told_as_the_sources_trouble() {
    let world = World::new(Setup::default()).await;
    for call in 1..=3 {
        world.cuts.plan("store.open_feed", call, Cut::Fail);
    }
    let stop = CancellationToken::new();
    let reading = tokio::spawn(world.capture().run(stop.clone()));
    world.until("an incident", async |world: &World| !incidents(world).is_empty()).await;
    assert_eq!(incidents(&world), [Incident::StoreFailing]);
    world.until("its end", async |world: &World| incidents(world).is_empty()).await;
    stop.cancel();
    reading.await.unwrap();
}

/// RabbitMQ would close the channel of all feeds, and the sealed batch would be published again and again.
#[tokio::test]
async fn a_record_that_no_message_can_carry_is_kept_and_holds_up_no_other() {
    let world = World::new(Setup::default()).await;
    world.table.put("large", &"ё".repeat(8 * 1024 * 1024));
    world.table.put("small", "1");
    let mut capture = world.capture();
    assert!(world.capture_all(&mut capture).await);
    assert!(world.deliver_all().await);
    assert_eq!(world.receiver.holds().into_keys().collect::<Vec<_>>(), ["small"]);
    let letters = world.dead().await;
    assert_eq!(letters.iter().map(|row| row.key.as_ref().unwrap().as_str()).collect::<Vec<_>>(), ["large"]);
    let letter = &letters[0].letter;
    assert!(letter.message.contains("at most 16"), "{}", letter.message);
    assert_eq!(letter.raw.as_ref().map(|raw| raw.len()), Some(64 * 1024));
    // Smaller again, it goes like any other.
    world.table.put("large", "2");
    assert!(world.capture_all(&mut capture).await);
    assert!(world.deliver_all().await);
    assert_eq!(world.receiver.holds().len(), 2);
}

#[tokio::test]
async fn a_foreign_message_that_cannot_be_kept_is_tried_ever_more_slowly() {
    let world = World::new(Setup::default()).await;
    for call in 1..=5 {
        world.cuts.plan("store.keep_unreadable", call, Cut::Fail);
    }
    let begun = Instant::now();
    world.publish(&[message(FOREIGN, 1, 1, "1")]).await;
    let worker = world.start();
    world.until("it to be kept", async |world: &World| world.depth().await == 0).await;
    // At least half of 100, 200, 400, 800 and 1600 ms.
    assert!(begun.elapsed() >= Duration::from_millis(1550), "after {:?}", begun.elapsed());
    worker.stop().await;
}

#[tokio::test]
async fn publishing_in_vain_is_told_each_time_and_not_as_the_stores_trouble() {
    let world = World::new(Setup::default()).await;
    world.table.put("a", "1");
    for call in 1..=4 {
        world.cuts.plan("broker.publish", call, Cut::Fail);
    }
    let latch = Latch::default();
    world.cuts.plan("broker.publish", 5, Cut::HoldBefore(latch.clone()));
    let mut capture = world.capture();
    let told = async {
        latch.reached().await;
        let open = world.incidents.list();
        let open: Vec<_> = open.iter().map(|one| (one.kind, one.subject.as_str(), one.count)).collect();
        // At the third failure and at the fourth: whoever closes it by mistake finds it open again.
        assert_eq!(open, [(Incident::BrokerDown, stream().as_str(), 2)]);
        latch.open();
    };
    let (whole, ()) = tokio::join!(world.capture_all(&mut capture), told);
    assert!(whole && incidents(&world).is_empty());
}
