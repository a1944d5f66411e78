//! The rules of capture (R1 to R4, R7, R8): each test is the story that the rule prevents, ending with what must be true.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use bus_core::engine::base::Watched;
use bus_core::engine::capture::Changes;
use bus_core::engine::incident::Kind as Incident;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, ScanPage, Source, SourceError, SystemReport};
use bus_core::ports::watch::WatchStore;
use bus_core::vocabulary::{Cursor, Key, Moment, Operation, Record, StreamName};
use engine::properties::*;
use engine::*;

/// Everything that must be true once the source is quiet and all is delivered.
async fn finish(world: &World) {
    let mut capture = world.capture();
    assert!(world.capture_all(&mut capture).await, "no cut is planned any more");
    assert!(world.deliver_all().await, "no cut is planned any more");
    check(world).await;
}

async fn check(world: &World) {
    the_receiver_has_no_complaints(world);
    nothing_is_lost(world).await;
    effects_follow_history(world);
    identities_are_kept(world);
    every_message_has_an_outcome(world).await;
}

/// A round that ends at the planned cut, and the restart after it.
async fn cut_round(world: &mut World, operation: &'static str, cut: Cut) {
    world.cuts.plan(operation, 1, cut);
    let mut capture = world.capture();
    assert!(!world.capture_all(&mut capture).await, "{operation} was never called");
    drop(capture);
    world.crash().await;
}

fn ways() -> [Setup; 2] {
    [Setup::default(), Setup::diff()]
}

#[tokio::test]
async fn r1_a_value_that_returns_over_two_crashes_is_three_messages() {
    for setup in ways() {
        let mut world = World::new(setup).await;
        world.table.put("a", "100");
        finish(&world).await;
        world.table.put("a", "90");
        cut_round(&mut world, "broker.publish", Cut::CrashAfter).await;
        assert!(world.deliver_all().await);
        assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("90")), "90 was out before the crash");
        world.table.put("a", "100");
        cut_round(&mut world, "broker.publish", Cut::CrashAfter).await;
        finish(&world).await;
        let ids: std::collections::HashSet<_> = world.sealed().iter().map(|message| message.id).collect();
        assert_eq!(ids.len(), 3, "100, 90 and 100 again");
        assert_eq!(world.receiver.effects().len(), 3);
    }
}

#[tokio::test]
async fn r2_a_sealed_value_is_published_again_although_the_source_has_the_old_one_back() {
    for cut in [Cut::CrashBefore, Cut::CrashAfter] {
        for setup in ways() {
            let mut world = World::new(setup).await;
            world.table.put("a", "100");
            finish(&world).await;
            world.table.put("a", "90");
            cut_round(&mut world, "broker.publish", cut.clone()).await;
            world.table.put("a", "100");
            finish(&world).await;
            let contents: Vec<_> = world.receiver.effects().into_iter().map(|effect| effect.content.unwrap()).collect();
            assert_eq!(contents, ["100", "90", "100"].map(table::content), "the middle one is not the last");
        }
    }
}

/// An old capture that was overtaken while it stood at `operation`; gives what its round said.
async fn overtaken_at(world: &World, operation: &'static str) -> String {
    let latch = Latch::default();
    world.cuts.plan(operation, 1, Cut::HoldBefore(latch.clone()));
    let mut old = world.capture();
    let round = tokio::spawn(async move { old.round(false).await.map_err(|error| error.to_string()) });
    latch.reached().await;
    world.table.put("a", "new");
    let mut new = world.capture();
    assert!(world.capture_all(&mut new).await);
    let published = world.sealed().len();
    let committed = world.table.committed().len();
    latch.open();
    let said = round.await.unwrap().expect_err("a zombie's round is refused");
    assert_eq!(world.sealed().len(), published, "a zombie published");
    assert_eq!(world.table.committed().len(), committed, "a zombie told the source that something is durable");
    assert!(world.deliver_all().await);
    said
}

#[tokio::test]
async fn r3_an_overtaken_capture_does_not_move_the_cursor() {
    for setup in ways() {
        let world = World::new(setup).await;
        world.table.put("a", "old");
        let said = overtaken_at(&world, "store.advance").await;
        assert!(said.contains("taken this feed over"), "{said}");
        check(&world).await;
    }
}

#[tokio::test]
async fn r4_an_overtaken_capture_drops_its_batch_at_the_seal() {
    for setup in ways() {
        let world = World::new(setup).await;
        world.table.put("a", "old");
        let said = overtaken_at(&world, "store.seal").await;
        assert!(said.contains("taken this feed over"), "{said}");
        assert!(world.sealed().iter().all(|message| !message.body.ends_with(b"old\"}")), "the old batch was published");
        check(&world).await;
    }
}

#[tokio::test]
async fn r3_an_overtaken_capture_cannot_publish_below_its_successor_unnoticed() {
    // The one thing that no store can refuse: a publish that hangs in the old process and lands after the takeover.
    let world = World::new(Setup::with(Kind::Put)).await;
    world.table.put("a", "old");
    let latch = Latch::default();
    world.cuts.plan("broker.publish", 1, Cut::HoldBefore(latch.clone()));
    let mut old = world.capture();
    let round = tokio::spawn(async move { old.round(false).await.map_err(|error| error.to_string()) });
    latch.reached().await;
    world.table.put("a", "new");
    let mut new = world.capture();
    assert!(world.capture_all(&mut new).await);
    assert!(world.deliver_all().await);
    latch.open();
    assert!(round.await.unwrap().is_err());
    assert!(world.deliver_all().await);
    check(&world).await;
    assert_eq!(world.receiver.holds()["a"].as_deref(), Some(&*table::content("new")));
}

#[tokio::test]
async fn r7_what_is_published_again_keeps_id_and_position() {
    for setup in ways() {
        let mut world = World::new(setup).await;
        for key in ["a", "b", "c", "d"] {
            world.table.put(key, "1");
        }
        cut_round(&mut world, "broker.publish", Cut::CrashHalfway).await;
        let before = world.sealed();
        assert_eq!(before.len(), 2, "half of the window is out");
        finish(&world).await;
        let after = world.sealed();
        assert_eq!(after[2..4], before[..], "the same two again, and in the same place");
        assert_eq!(after.len(), 6);
    }
}

#[tokio::test]
async fn r8_versions_of_one_key_are_published_one_after_the_other() {
    for cut in [Cut::CrashHalfway, Cut::CrashAfter, Cut::FailAfter, Cut::Fail] {
        let mut world = World::new(Setup { changes: Changes::Push, ..Setup::default() }).await;
        for (key, value) in [("a", "1"), ("b", "1"), ("a", "2"), ("a", "3"), ("b", "2")] {
            world.table.push(key, value);
        }
        world.cuts.plan("broker.publish", 2, cut);
        let mut capture = world.capture();
        if world.capture_all(&mut capture).await {
            finish(&world).await;
            assert_eq!(world.receiver.effects().len(), 5, "every pushed version arrives");
        } else {
            // Who has no answer sends everything again, and a repeated older version is a change like any other.
            world.crash().await;
            let mut capture = world.capture();
            assert!(world.capture_all(&mut capture).await && world.deliver_all().await);
            the_receiver_has_no_complaints(&world);
            identities_are_kept(&world);
            every_message_has_an_outcome(&world).await;
            nothing_is_lost(&world).await;
        }
        assert_eq!(world.table.unanswered(), 0);
    }
}

#[tokio::test]
async fn a_publish_in_doubt_is_repeated_in_order_from_the_first_unconfirmed_message() {
    let world = World::new(Setup::default()).await;
    for key in ["a", "b", "c"] {
        world.table.put(key, "1");
    }
    world.cuts.plan("broker.publish", 1, Cut::FailAfter);
    world.cuts.plan("broker.publish", 2, Cut::Fail);
    finish(&world).await;
    assert_eq!(world.sealed().len(), 6);
    assert_eq!(world.receiver.effects().len(), 3, "the repeat is dropped by the fence");
}

#[tokio::test]
async fn cursor_and_last_published_move_together() {
    // Were the cursor first: a crash in between would give the next version the old generation, and so an old id.
    for cut in [Cut::CrashBefore, Cut::CrashAfter] {
        let mut world = World::new(Setup::default()).await;
        world.table.put("a", "100");
        cut_round(&mut world, "store.advance", cut).await;
        world.table.put("a", "90");
        finish(&world).await;
        let generations: Vec<_> = world.sealed().iter().map(|message| message.generation).collect();
        assert_eq!(generations.last(), Some(&2));
    }
}

#[tokio::test]
async fn committed_is_said_again_after_a_restart_and_before_any_fetch() {
    let mut world = World::new(Setup::default()).await;
    world.table.put("a", "1");
    cut_round(&mut world, "source.committed", Cut::CrashBefore).await;
    // The first life opened an empty feed, and was then cut when it had nothing but that to tell.
    cut_round(&mut world, "source.fetch", Cut::CrashBefore).await;
    assert_eq!(world.table.committed(), [None]);
    cut_round(&mut world, "store.advance", Cut::CrashAfter).await;
    cut_round(&mut world, "source.fetch", Cut::CrashBefore).await;
    let last = world.table.committed().pop().unwrap().expect("the cursor that was made durable");
    assert_eq!(last.as_str(), "1");
    finish(&world).await;
}

#[tokio::test]
async fn a_source_and_a_store_that_fail_lose_nothing() {
    for operation in
        ["source.fetch", "source.committed", "store.open_feed", "store.published", "store.seal", "store.advance"]
    {
        for cut in [Cut::Fail, Cut::FailAfter] {
            let world = World::new(Setup::default()).await;
            world.table.put("a", "1");
            world.table.put("b", "1");
            world.cuts.plan(operation, 1, cut.clone());
            let mut capture = world.capture();
            assert!(world.capture_all(&mut capture).await);
            world.table.put("a", "2");
            world.cuts.plan(operation, 1, cut);
            assert!(world.capture_all(&mut capture).await);
            finish(&world).await;
        }
    }
}

#[tokio::test]
async fn a_deletion_found_by_comparison_is_checked_and_survives_every_crash() {
    for operation in [
        "source.scan",
        "store.scan_seen",
        "store.scan_missing",
        "source.present",
        "store.seal",
        "broker.publish",
        "store.advance",
    ] {
        for cut in [Cut::CrashBefore, Cut::CrashAfter] {
            let mut world = World::new(Setup { page: 2, ..Setup::diff() }).await;
            for key in ["a", "b", "c", "d", "e"] {
                world.table.put(key, "1");
            }
            finish(&world).await;
            world.table.remove("b");
            cut_round(&mut world, operation, cut).await;
            finish(&world).await;
            assert_eq!(world.receiver.holds()["b"], None, "{operation}");
            assert_eq!(world.receiver.effects().len(), 6, "one deletion and nothing else");
        }
    }
}

/// Another row each time, and always the same position.
struct Standing(u64);

#[async_trait]
impl Source for Standing {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        Ok(SystemReport::default())
    }

    async fn fetch(&mut self, after: Option<&Cursor>, _: BatchLimit, _: &Permits) -> Result<Batch, SourceError> {
        self.0 += 1;
        let (key, body) = (Key::from_stored("а"), self.0.to_string().into());
        let record = Record { stream: stream(), key, operation: Operation::Upsert, label: None, body };
        Ok(Batch { records: vec![record], next: after.cloned(), ..Batch::default() })
    }

    async fn scan(&mut self, _: bool, _: BatchLimit, _: &Permits) -> Result<ScanPage, SourceError> {
        Ok(ScanPage::default())
    }

    async fn present(&mut self, _: &StreamName, keys: &[Key], _: &Permits) -> Result<Vec<bool>, SourceError> {
        Ok(vec![true; keys.len()])
    }

    async fn committed(&mut self, _: Option<&Cursor>, _: &Permits) -> Result<(), SourceError> {
        Ok(())
    }
}

/// Minutes on the clock of the watched source.
static MINUTES: AtomicI64 = AtomicI64::new(0);

fn clock() -> Moment {
    Moment(MINUTES.load(Ordering::SeqCst) * 60_000)
}

/// One life of a watched source that is read at this position, at these minutes.
async fn read_at(world: &World, cursor: &Cursor, minutes: impl IntoIterator<Item = i64>) {
    let store: Arc<dyn WatchStore> = Arc::new(world.store().clone());
    let mut source = Watched::new(Box::new(Standing(0)), feed(), store, world.incidents.clone()).by(clock);
    for minute in minutes {
        MINUTES.store(minute, Ordering::SeqCst);
        source.fetch(Some(cursor), BatchLimit { records: 10, bytes: 1 << 20 }, &Permits::unbounded()).await.unwrap();
    }
}

/// A process that is restarted every few hours would else never see a whole day.
#[tokio::test]
async fn a_position_that_stays_for_a_day_is_told_over_restarts() {
    const HOUR: i64 = 60;
    let (stays, other) = (Cursor::new("10"), Cursor::new("11"));
    let told = |world: &World| world.incidents.list().iter().any(|one| one.kind == Incident::CursorStuck);
    let mut world = World::new(Setup::default()).await;
    read_at(&world, &stays, [0, 30, HOUR - 1]).await;
    assert_eq!(world.store().standing(&feed(), &stays).await.unwrap(), None, "less than an hour is not worth a write");
    world.crash().await;
    // What was seen before is forgotten; from here on it lasts.
    read_at(&world, &stays, [2 * HOUR, 4 * HOUR]).await;
    let since = Some(Moment(2 * HOUR * 60_000));
    assert_eq!(world.store().standing(&feed(), &stays).await.unwrap(), since);
    for life in 1..6 {
        world.crash().await;
        read_at(&world, &stays, (0..6).map(|round| life * 5 * HOUR + round)).await;
        assert_eq!(world.store().standing(&feed(), &stays).await.unwrap(), since, "its beginning stays");
        assert!(!told(&world), "{} hours", life * 5 - 2);
    }
    world.crash().await;
    read_at(&world, &stays, (0..4).map(|round| 29 * HOUR + round)).await;
    assert!(!told(&world), "a few rounds say nothing");
    world.crash().await;
    read_at(&world, &stays, (0..5).map(|round| 29 * HOUR + round)).await;
    assert!(told(&world));
    world.incidents.close(Incident::CursorStuck, feed().as_str());
    world.crash().await;
    // It has moved: nothing is known of the new position.
    read_at(&world, &other, (0..6).map(|round| 30 * HOUR + round)).await;
    assert!(!told(&world));
}
