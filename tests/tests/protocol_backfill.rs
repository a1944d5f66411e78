//! The queue of backfills: step by step, by priority and date, whatever is cut.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bus_core::engine::tasks::Whereabouts;
use bus_core::ports::backfills::{Backfill, BackfillStore, MayGo, Order, State};
use bus_core::ports::tasks::{Kind as TaskKind, Stage, TaskStore};
use bus_core::vocabulary::{FeedName, Period, RouteName};
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

/// Routes whose receivers take nothing, and how often somebody asked.
#[derive(Default)]
struct Down {
    routes: Mutex<BTreeSet<RouteName>>,
    asked: AtomicUsize,
}

impl MayGo for Down {
    fn delivers(&self, route: &RouteName) -> bool {
        self.asked.fetch_add(1, Ordering::SeqCst);
        !self.routes.lock().unwrap().contains(route)
    }

    fn reads(&self, _feed: &FeedName) -> bool {
        true
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
    let hands = tokio::spawn(world.tasks().clone().run(move |_| Whereabouts::Here(handle.clone()), stop.clone()));
    let queue = tokio::spawn(world.backfills().run(Arc::new(Down::default()), stop.clone()));
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

/// The backfills whose steps have begun, in the order in which they did.
async fn begun(world: &World) -> Vec<i64> {
    world.store().tasks().await.unwrap().iter().filter_map(|task| task.order.backfill).collect()
}

async fn until_begun(world: &World, expected: &[i64]) {
    world.until(&format!("steps of {expected:?}"), async |world: &World| begun(world).await == expected).await;
}

/// Returns when the queue has been looked at anew, as a whole: three turns ask less than twenty times.
async fn looked_again(world: &World, down: &Down) {
    let before = down.asked.load(Ordering::SeqCst);
    world
        .until("the queue to be looked at", async |world: &World| {
            // There is no such task; whoever waits for changes looks all the same.
            assert!(!world.tasks().set_stage(0, Stage::Done, None).await.unwrap());
            down.asked.load(Ordering::SeqCst) > before + 20
        })
        .await;
}

/// All tasks of the step that is under way have ended.
async fn sent(world: &World, backfill: i64) {
    for task in world.store().tasks().await.unwrap() {
        if task.order.backfill == Some(backfill) && task.stage.is_open() {
            assert!(world.tasks().set_stage(task.id, Stage::Done, None).await.unwrap());
        }
    }
}

#[tokio::test]
async fn l6_a_step_whose_receivers_are_down_steps_aside_and_goes_on_by_itself() {
    let mut world = World::new(Setup::default()).await;
    let name = |name: &&str| RouteName::new(name).unwrap();
    let to = |routes: &[&str], priority| Order { routes: routes.iter().map(name).collect(), ..order(1, 3, priority) };
    let down = Arc::new(Down::default());
    let set_down = |names: &[&str]| *down.routes.lock().unwrap() = names.iter().map(name).collect();
    let (first, second, third) = (1, 2, 3);
    for order in [to(&["a", "b"], 9), to(&["b", "c"], 5), to(&["c"], 0)] {
        world.backfills().order(&order).await.unwrap();
    }
    let run = |world: &World| {
        let stop = CancellationToken::new();
        (tokio::spawn(world.backfills().run(Arc::clone(&down) as _, stop.clone())), stop)
    };
    let (job, stop) = run(&world);
    until_begun(&world, &[first, first]).await;
    // One of its receivers takes messages: it goes on, and nothing else begins.
    set_down(&["a"]);
    looked_again(&world, &down).await;
    assert_eq!(begun(&world).await, [first, first]);
    set_down(&["a", "b"]);
    until_begun(&world, &[first, first, second, second]).await;
    set_down(&["a", "b", "c"]);
    looked_again(&world, &down).await;
    assert_eq!(begun(&world).await, [first, first, second, second], "nobody would get on");

    // A kill forgets nothing of it.
    stop.cancel();
    job.await.unwrap();
    let tasks = world.store().tasks().await.unwrap();
    world.crash().await;
    assert_eq!(world.store().tasks().await.unwrap(), tasks);
    set_down(&["a", "b"]);
    let (job, stop) = run(&world);
    // The second goes on with its next step while the first is aside.
    sent(&world, second).await;
    world.until("its first day", async |world: &World| all(world).await[1].progress().0 == 1).await;
    until_begun(&world, &[first, first, second, second]).await;
    // The receivers are back: both steps go on, and then the queue with the first.
    set_down(&[]);
    looked_again(&world, &down).await;
    sent(&world, second).await;
    world.until("its second day", async |world: &World| all(world).await[1].progress().0 == 2).await;
    looked_again(&world, &down).await;
    assert_eq!(begun(&world).await, [first, first]);
    for days in 1..=3 {
        until_begun(&world, &[first, first]).await;
        // The other route of the step is not done.
        let one = world.store().tasks().await.unwrap().remove(0);
        assert!(world.tasks().set_stage(one.id, Stage::Done, None).await.unwrap());
        looked_again(&world, &down).await;
        assert_eq!((all(&world).await[0].progress().0, begun(&world).await), (days - 1, vec![first, first]));
        sent(&world, first).await;
        world.until("a day of it", async |world: &World| all(world).await[0].progress().0 == days).await;
    }
    until_begun(&world, &[second, second]).await;
    sent(&world, second).await;
    until_begun(&world, &[third]).await;
    assert!(all(&world).await[..2].iter().all(|one| one.state == State::Done));
    stop.cancel();
    job.await.unwrap();
}
