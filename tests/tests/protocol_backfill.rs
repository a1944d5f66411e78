//! The queue of backfills: step by step, by priority and date, whatever is cut.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::Duration;

use bus_core::ports::backfills::{Backfill, BackfillStore, Order, State};
use bus_core::ports::tasks::{Kind as TaskKind, TaskStore};
use bus_core::vocabulary::Period;
use engine::properties::*;
use engine::*;
use tokio_util::sync::CancellationToken;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A key's first letter is its day of January.
fn order(first: u32, last: u32, priority: i32) -> Order {
    let day = |day: u32| chrono::NaiveDate::from_ymd_opt(2026, 1, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
    Order {
        kind: TaskKind::Load,
        feed: feed(),
        stream: stream(),
        routes: vec![route()],
        period: Period { from: day(first), to: day(last + 1) },
        step: DAY,
        priority,
        share: 50,
        who: "anna@erp1".into(),
    }
}

/// These were published, and the route's queue has lost them.
async fn unfilled(kind: Kind, keys: &[&str]) -> World {
    World::unfilled(Setup { page: 2, ..Setup::with(kind) }, keys).await
}

/// Works until nothing is open or the cut comes: `false`.
async fn work(world: &World) -> bool {
    let (worker, stop) = (world.start(), CancellationToken::new());
    let handle = worker.handle.clone();
    let hands = tokio::spawn(world.tasks().clone().run(move |_| Some(handle.clone()), stop.clone()));
    let queue = tokio::spawn(world.backfills().run(stop.clone()));
    let whole = async {
        let done = world.until("the queue to be done", async |world: &World| {
            world.store().backfills().await.unwrap().iter().all(|one| one.state != State::Open)
        });
        tokio::select! {
            () = world.read_for_tasks() => {}
            () = done => {}
        }
        world.until_idle().await;
    };
    let whole = world.survives(whole).await;
    stop.cancel();
    hands.abort();
    queue.abort();
    worker.kill().await;
    whole
}

async fn all(world: &World) -> Vec<Backfill> {
    world.store().backfills().await.unwrap()
}

/// The keys that arrived, in order.
fn arrived(world: &World) -> String {
    world.receiver.effects().iter().map(|effect| effect.key.as_str()).collect()
}

#[tokio::test]
async fn a_backfill_goes_by_date_and_resumes_at_its_step_whatever_is_cut() {
    let cuts = [
        (Kind::Put, "source.scan", Cut::CrashBefore),
        (Kind::Put, "store.published", Cut::CrashAfter),
        (Kind::Put, "store.commit", Cut::CrashAfter),
        (Kind::Blind, "target.deliver", Cut::CrashAfter),
    ];
    for (kind, operation, cut) in cuts {
        let mut world = unfilled(kind, &["a", "b", "c", "d", "e"]).await;
        world.backfills().order(&order(1, 4, 0)).await.unwrap();
        world.cuts.plan(operation, 3, cut);
        assert!(!work(&world).await, "{operation}: the cut comes");
        world.crash().await;
        let reached = all(&world).await[0].reached;
        assert!(reached > order(1, 4, 0).period.from, "{operation}: the first steps are not begun again");
        assert!(work(&world).await, "{kind:?} {operation}");
        let done = all(&world).await.remove(0);
        assert_eq!((done.state, done.progress()), (State::Done, (4, 4)));
        assert!(world.store().tasks().await.unwrap().is_empty(), "steps go with their tasks");
        let mut firsts: Vec<char> = arrived(&world).chars().collect();
        firsts.dedup();
        let letters = usize::try_from(world.counts().await.dead).unwrap();
        assert!(firsts.len() + letters >= 4 && firsts.is_sorted(), "{kind:?} {operation}: {firsts:?} {letters}");
        assert!(!world.receiver.holds().contains_key("e"), "its day was not asked for");
        blind_receivers_see_no_repeat(&world);
        the_receiver_has_no_complaints(&world);
        effects_follow_history(&world);
    }
}

#[tokio::test]
async fn priority_goes_before_date_and_one_priority_goes_forward_together() {
    let world = unfilled(Kind::Put, &["a", "b", "c", "d", "e", "f"]).await;
    world.backfills().order(&order(1, 2, 0)).await.unwrap();
    world.backfills().order(&order(3, 4, 7)).await.unwrap();
    world.backfills().order(&order(5, 5, -3)).await.unwrap();
    // Its first day is between those of the first one, and it was ordered last.
    world.backfills().order(&Order { step: DAY * 2, ..order(6, 6, 0) }).await.unwrap();
    let again = Order { kind: TaskKind::Resend, ..order(2, 2, 0) };
    world.backfills().order(&again).await.unwrap();
    assert!(work(&world).await);
    assert_eq!(arrived(&world), "cdabbfe");
}

#[tokio::test]
async fn a_paused_one_is_left_aside_and_goes_on_at_its_step() {
    let world = unfilled(Kind::Put, &["a", "b", "c"]).await;
    let first = world.backfills().order(&order(1, 2, 5)).await.unwrap();
    world.backfills().order(&order(3, 3, 0)).await.unwrap();
    // The first day is under way, and its receiver does not get on.
    world.store().begin_step(&all(&world).await[0], &all(&world).await[0].next_step()).await.unwrap();
    assert!(world.backfills().set_state(first, State::Paused, "anna@erp1").await.unwrap());
    assert!(world.store().tasks().await.unwrap().is_empty());
    assert!(work(&world).await);
    assert_eq!(arrived(&world), "c");
    assert!(world.backfills().set_state(first, State::Open, "anna@erp1").await.unwrap());
    assert!(work(&world).await);
    assert_eq!(arrived(&world), "cab");
    assert!(!world.backfills().set_state(first, State::Open, "anna@erp1").await.unwrap(), "it is over");
}

#[tokio::test]
async fn one_that_cannot_be_read_fails_alone_and_says_why() {
    let world = unfilled(Kind::Put, &["a", "b"]).await;
    let nobody = bus_core::vocabulary::StreamName::new("никто").unwrap();
    world.backfills().order(&Order { stream: nobody, ..order(1, 1, 9) }).await.unwrap();
    world.backfills().order(&order(1, 2, 0)).await.unwrap();
    assert!(work(&world).await);
    let found = all(&world).await;
    assert_eq!((found[0].state, found[1].state), (State::Failed, State::Done));
    assert!(found[0].error.as_deref().unwrap().contains("does not serve this stream"), "{:?}", found[0].error);
    assert_eq!(arrived(&world), "ab");
}
