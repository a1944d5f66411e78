//! A backfill's steps, as the store keeps them: whoever comes late with a step changes nothing (L6).
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bus_core::ports::backfills::{BackfillStore, Order, State};
use bus_core::ports::tasks::{Kind, TaskStore};
use bus_core::vocabulary::{FeedName, Period, RouteName, StreamName};
use bus_storage::{Database, SqliteState};

fn order() -> Order {
    let day = |day: u32| chrono::NaiveDate::from_ymd_opt(2026, 1, day).unwrap().and_hms_opt(0, 0, 0).unwrap();
    Order {
        kind: Kind::Load,
        feed: FeedName::new("склад").unwrap(),
        stream: StreamName::new("остатки").unwrap(),
        routes: ["в-магазин", "в-архив"].map(|route| RouteName::new(route).unwrap()).to_vec(),
        period: Period { from: day(1), to: day(3) },
        step: Duration::from_secs(24 * 3600),
        priority: 0,
        share: 50,
        who: "anna@erp1".into(),
    }
}

#[tokio::test]
async fn a_step_of_one_that_was_paused_meanwhile_neither_begins_nor_ends() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteState::new(Database::open(directory.path().join("bus.db")).unwrap());
    let id = store.order_backfill(&order()).await.unwrap();
    let seen = store.backfills().await.unwrap().remove(0);
    let step = seen.next_step();
    store.begin_step(&seen, &step).await.unwrap();
    assert_eq!(store.tasks().await.unwrap().len(), 2, "one for each route");

    assert!(store.set_state(id, State::Paused, None).await.unwrap());
    assert!(store.tasks().await.unwrap().is_empty());
    store.end_step(id, step.to).await.unwrap();
    store.begin_step(&seen, &step).await.unwrap();
    assert!(store.tasks().await.unwrap().is_empty(), "it is paused");
    assert_eq!(store.backfills().await.unwrap()[0].reached, seen.reached, "what was forgotten was not done");

    assert!(store.set_state(id, State::Open, None).await.unwrap());
    let again = store.backfills().await.unwrap().remove(0);
    assert_eq!(again.next_step(), step);
    store.begin_step(&again, &step).await.unwrap();
    store.end_step(id, step.to).await.unwrap();
    let one_day_on = store.backfills().await.unwrap().remove(0);
    assert_eq!((one_day_on.reached, one_day_on.state), (step.to, State::Open));
    assert!(store.tasks().await.unwrap().is_empty(), "its end and its date are one transaction");
}
