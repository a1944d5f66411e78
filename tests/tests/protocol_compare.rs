//! Comparing everything with what was last published: rechecks (D14), and the point check before a deletion.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::Duration;

use bus_core::engine::capture::{Changes, DeletionGuard};
use bus_core::engine::incident::Kind as Incident;
use bus_core::policy::Schedule;
use bus_core::ports::cursors::CursorStore;
use bus_core::ports::runs::Runs;
use bus_core::vocabulary::{Cursor, Moment};
use chrono::Datelike;
use engine::properties::*;
use engine::*;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const HOUR: Duration = Duration::from_secs(3600);

fn hourly() -> Setup {
    Setup { page: 2, ..Setup::rechecked(Schedule::Every(HOUR)) }
}

/// All of it read and delivered; no recheck is due.
async fn filled(setup: Setup) -> World {
    let world = World::new(setup).await;
    for key in ["a", "b", "c", "d", "e"] {
        world.table.put(key, "1");
    }
    settle(&world).await;
    world
}

/// What only a comparison sees: a row that is gone, and one that changed below the cursor.
fn change_below(world: &World) {
    world.table.remove("b");
    world.table.put_below("c", "2");
}

/// Reads on by the cursor, and delivers.
async fn settle(world: &World) {
    let mut capture = world.capture();
    assert!(world.capture_all(&mut capture).await && world.deliver_all().await, "no cut is planned any more");
}

async fn cursor(world: &World) -> Option<Cursor> {
    world.store().standings().await.unwrap().pop().unwrap().cursor
}

/// The seven messages of [`filled`] and [`change_below`], each with its effect, and nothing else.
async fn check(world: &World) {
    assert_eq!(world.receiver.holds()["b"], None);
    assert_eq!(world.receiver.holds()["c"].as_deref(), Some(&*table::content("2")));
    assert_eq!(world.receiver.effects().len(), 7, "what is unchanged is not published again");
    the_receiver_has_no_complaints(world);
    nothing_is_lost(world).await;
    effects_follow_history(world);
    identities_are_kept(world);
    every_message_has_an_outcome(world).await;
}

/// The feed by its own schedule, as in the program.
struct Running(CancellationToken, JoinHandle<()>);

impl Running {
    fn start(world: &World) -> Self {
        let stop = CancellationToken::new();
        Self(stop.clone(), tokio::spawn(world.capture().run(stop)))
    }

    async fn stop(self) {
        self.0.cancel();
        self.1.await.unwrap();
    }
}

fn ago(time: Duration) -> Moment {
    Moment(Moment::now().0 - i64::try_from(time.as_millis()).unwrap())
}

async fn last(world: &World) -> Option<Moment> {
    world.runs().last_recheck(&feed()).await.unwrap()
}

async fn until_rechecked(world: &World, after: Moment) {
    world.until("a recheck", async |world: &World| last(world).await > Some(after)).await;
}

async fn until_fetched(world: &World, times: usize) {
    let before = world.cuts.calls("source.fetch");
    let fetched = async |world: &World| world.cuts.calls("source.fetch") >= before + times;
    world.until("rounds by the cursor", fetched).await;
}

#[tokio::test]
async fn d14_a_recheck_publishes_what_no_cursor_sees_and_leaves_the_cursor() {
    for one_step in [false, true] {
        let world = filled(Setup { one_step, ..hourly() }).await;
        change_below(&world);
        let before = cursor(&world).await;
        settle(&world).await;
        assert_eq!(world.receiver.effects().len(), 5, "nothing of it is seen by the cursor");
        for _ in 0..2 {
            assert!(world.capture().round(true).await.unwrap(), "and rounds by the cursor follow at once");
            assert_eq!(cursor(&world).await, before);
            settle(&world).await;
            assert_eq!(world.sealed().len(), 7, "the second one finds nothing");
            check(&world).await;
        }
        world.table.put("d", "2");
        settle(&world).await;
        assert_eq!(world.sealed().len(), 8, "the cursor goes on from where it was");
    }
}

#[tokio::test]
async fn d14_a_recheck_survives_every_crash() {
    let steps = ["source.scan", "store.scan_seen", "store.scan_missing", "source.present", "runs.keep_recheck"];
    let apart = ["store.seal", "broker.publish", "store.advance"];
    let cases = [(false, [&steps[..], &apart].concat()), (true, [&steps[..], &["broker.one_step"]].concat())];
    for (one_step, operations) in cases {
        for (operation, cut) in
            operations.into_iter().flat_map(|name| [(name, Cut::CrashBefore), (name, Cut::CrashAfter)])
        {
            let mut world = filled(Setup { one_step, ..hourly() }).await;
            let (before, missed) = (cursor(&world).await, ago(2 * HOUR));
            world.runs().keep_recheck(&feed(), missed).await.unwrap();
            change_below(&world);
            world.cuts.plan(operation, 1, cut.clone());
            let running = Running::start(&world);
            world.until("the cut", async |world: &World| world.cuts.has_crashed()).await;
            running.stop().await;
            world.crash().await;
            let done = last(&world).await > Some(missed);
            assert_eq!(done, operation == "runs.keep_recheck" && matches!(cut, Cut::CrashAfter), "{operation} {cut:?}");
            let running = Running::start(&world);
            until_rechecked(&world, missed).await;
            running.stop().await;
            settle(&world).await;
            assert_eq!(cursor(&world).await, before, "{operation} {cut:?}");
            check(&world).await;
        }
    }
}

#[tokio::test]
async fn d14_missed_rechecks_are_made_up_once() {
    // Days from now, whenever this runs.
    let day = (chrono::Utc::now().weekday().num_days_from_monday() + 3) % 7;
    let weekly = Schedule::Weekly { day: Some(u8::try_from(day).unwrap()), minute: 4 * 60 };
    let mut world = filled(Setup { page: 100, ..Setup::rechecked(weekly) }).await;
    // The first start: nothing was missed, but from here on it is noticed.
    let running = Running::start(&world);
    until_fetched(&world, 1).await;
    running.stop().await;
    assert!(last(&world).await.is_some());
    assert_eq!(world.cuts.calls("source.scan"), 0);
    // Away over three of them.
    change_below(&world);
    let missed = ago(22 * 24 * HOUR);
    world.runs().keep_recheck(&feed(), missed).await.unwrap();
    world.crash().await;
    let started = Moment::now();
    let running = Running::start(&world);
    until_rechecked(&world, missed).await;
    until_fetched(&world, 1).await;
    running.stop().await;
    assert_eq!(world.cuts.calls("source.scan"), 1);
    assert!(last(&world).await >= Some(started), "the next one is counted from this one");
    settle(&world).await;
    check(&world).await;
    // A restart after it makes up nothing.
    world.crash().await;
    let running = Running::start(&world);
    until_fetched(&world, 1).await;
    running.stop().await;
    assert_eq!(world.cuts.calls("source.scan"), 0);
}

#[tokio::test]
async fn d14_a_clock_that_was_ahead_does_not_put_the_next_one_off() {
    let world = filled(Setup::rechecked(Schedule::Every(Duration::from_millis(100)))).await;
    let ahead = Moment::now().after(1000 * HOUR);
    world.runs().keep_recheck(&feed(), ahead).await.unwrap();
    let running = Running::start(&world);
    world.until("a recheck", async |world: &World| last(world).await < Some(ahead)).await;
    running.stop().await;
}

/// A source whose pages can be read and whose table cannot be read whole: its changes go on, and somebody is told.
#[tokio::test]
async fn d14_a_recheck_that_fails_takes_turns_with_the_rounds() {
    let world = filled(hourly()).await;
    let missed = ago(2 * HOUR);
    world.runs().keep_recheck(&feed(), missed).await.unwrap();
    change_below(&world);
    world.table.put("f", "1");
    for call in 1..=3 {
        world.cuts.plan("source.scan", call, Cut::Fail);
    }
    let fourth = Latch::default();
    world.cuts.plan("source.scan", 4, Cut::HoldBefore(fourth.clone()));
    let running = Running::start(&world);
    let told = |world: &World| world.incidents.list().iter().any(|one| one.kind == Incident::SourceFailing);
    fourth.reached().await;
    assert_eq!(world.sealed().len(), 6, "the change above the cursor is out, and nothing else");
    assert!(told(&world), "a round by the cursor does not end the trouble of the recheck");
    fourth.open();
    until_rechecked(&world, missed).await;
    world.until("the end of the incident", async |world: &World| !told(world)).await;
    running.stop().await;
    settle(&world).await;
    assert_eq!(world.receiver.effects().len(), 8);
    nothing_is_lost(&world).await;
}

/// Refused by the guard it is not done: it is told, not repeated at once, and made up when a person has raised the guard.
#[tokio::test]
async fn d14_a_recheck_whose_deletions_are_refused_is_not_done() {
    let guarded = |percent| {
        let recheck = Some((Schedule::Every(HOUR), DeletionGuard { percent }));
        Setup { changes: Changes::Cursor { recheck }, page: 100, ..Setup::default() }
    };
    let mut world = filled(guarded(50.0)).await;
    let missed = ago(2 * HOUR);
    world.runs().keep_recheck(&feed(), missed).await.unwrap();
    for key in ["a", "b", "c"] {
        world.table.remove(key);
    }
    world.table.put_below("d", "2");
    let told = |world: &World| world.incidents.list().into_iter().find(|one| one.kind == Incident::TooManyDeletions);
    let running = Running::start(&world);
    world.until("the refusal", async |world: &World| told(world).is_some()).await;
    until_fetched(&world, 2).await;
    running.stop().await;
    assert_eq!(world.cuts.calls("source.scan"), 1, "not at once");
    assert!(told(&world).unwrap().remedy.contains("this recheck is not done"));
    assert_eq!(last(&world).await, Some(missed), "not done");
    assert_eq!(world.sealed().len(), 6, "what has changed is out, what is gone is not");
    world.reconfigure(|setup| setup.changes = guarded(60.0).changes);
    world.crash().await;
    let running = Running::start(&world);
    until_rechecked(&world, missed).await;
    running.stop().await;
    assert!(told(&world).is_none());
    settle(&world).await;
    assert_eq!(world.receiver.holds().values().flatten().count(), 2);
    assert_eq!(world.sealed().len(), 9);
}

/// A backlog is not read by one page for each failure.
#[tokio::test]
async fn d14_rounds_go_on_between_two_rechecks_that_fail() {
    let world = filled(hourly()).await;
    world.runs().keep_recheck(&feed(), ago(2 * HOUR)).await.unwrap();
    for key in ["f", "g", "h", "i", "j", "k"] {
        world.table.put(key, "1");
    }
    world.cuts.plan("source.scan", 1, Cut::Fail);
    let second = Latch::default();
    world.cuts.plan("source.scan", 2, Cut::HoldBefore(second.clone()));
    let running = Running::start(&world);
    second.reached().await;
    assert_eq!(world.sealed().len(), 5 + 6, "three pages");
    second.open();
    running.stop().await;
}

#[tokio::test]
async fn a_key_that_the_scan_missed_and_the_source_still_has_is_not_deleted() {
    for setup in [Setup::diff(), hourly()] {
        let world = filled(setup).await;
        world.table.hide("b");
        world.table.remove("d");
        let mut capture = world.capture();
        capture.round(true).await.unwrap();
        assert_eq!(world.cuts.calls("source.present"), 1, "the key was missing in the scan");
        settle(&world).await;
        let held = world.receiver.holds();
        assert_eq!(held["b"].as_deref(), Some(&*table::content("1")), "it is there");
        assert_eq!(held["d"], None, "and the other one is not");
        assert_eq!(world.sealed().len(), 6);
    }
}

/// A tenth of five records is none; still a person is not needed for each record of a small stream that goes.
#[tokio::test]
async fn one_record_of_few_goes_by_itself_and_two_wait_for_a_person() {
    let guarded = Changes::Diff(DeletionGuard { percent: 10.0 });
    let world = filled(Setup { changes: guarded, ..Setup::default() }).await;
    let held = || world.incidents.list().into_iter().find(|one| one.kind == Incident::TooManyDeletions);
    world.table.remove("a");
    settle(&world).await;
    assert_eq!((&world.receiver.holds()["a"], held()), (&None, None));
    world.table.remove("b");
    world.table.remove("c");
    settle(&world).await;
    assert!(world.receiver.holds()["b"].is_some() && world.receiver.holds()["c"].is_some(), "two of four went");
    let remedy = held().expect("an incident").remedy;
    assert!(remedy.contains("guard = \"50%\""), "{remedy}");
    world.table.put("c", "2");
    settle(&world).await;
    assert_eq!((&world.receiver.holds()["b"], held()), (&None, None));
}
