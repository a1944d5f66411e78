//! The contract of [`Places`]: a name is all that a renaming changes.

use std::time::Duration;

use bus_core::policy::places::{Place, Step};
use bus_core::ports::places::{Known, Places};
use bus_core::ports::state::{Change, HoldReason, Settlement, StateStore};
use bus_core::vocabulary::{Moment, QueueName, RouteName};

use crate::sample;

/// Runs the properties on one store.
pub async fn places_suite(store: &(impl Places + StateStore)) {
    a_renamed_route_keeps_everything(store).await;
    what_is_given_up_is_remembered_until_it_is_gone(store).await;
    a_queue_that_nobody_entered_is_given_up(store).await;
}

fn route() -> RouteName {
    RouteName::new(&format!("маршрут-{}", sample::fresh())).expect("a name")
}

fn place(route: &RouteName) -> Place {
    let queue = QueueName::new(route.as_str()).expect("a name");
    Place { route: route.clone(), stream: sample::stream(), queue: Some(queue) }
}

async fn known(store: &impl Places) -> Known {
    store.places().await.expect("reading the places")
}

async fn a_renamed_route_keeps_everything(store: &(impl Places + StateStore)) {
    let (old, new) = (route(), route());
    let entered = place(&old);
    store.arrange(&[Step::Enter(entered.clone())]).await.expect("entering");
    let messages = sample::run(&entered.stream, 1, 2);
    let settle = Change::Settle {
        key: messages[0].key.clone(),
        seq: messages[0].seq,
        id: messages[0].id,
        outcome: Settlement::Delivered { present: true, receiver_id: Some("77".into()) },
    };
    let hold = Change::Hold {
        envelope: messages[1].clone(),
        not_before: Moment(0),
        attempts: 2,
        reason: HoldReason::Retry,
        clear_mark: false,
        latest: false,
        doubt: false,
    };
    let reached = Change::Reached { seq: messages[1].seq };
    store.commit(&old, vec![settle, hold, reached]).await.expect("a commit");
    let before = (
        store.open_route(&old).await.expect("its state"),
        store.settled(&old, &[messages[0].key.clone()]).await.expect("its fence"),
        store.waiting(&old, Moment::now(), Duration::MAX, 10, usize::MAX).await.expect("its rows"),
    );
    assert_eq!(before.2.len(), 1);
    store.arrange(&[Step::Rename { from: old.clone(), to: new.clone() }]).await.expect("renaming");
    let after = (
        store.open_route(&new).await.expect("its state"),
        store.settled(&new, &[messages[0].key.clone()]).await.expect("its fence"),
        store.waiting(&new, Moment::now(), Duration::MAX, 10, usize::MAX).await.expect("its rows"),
    );
    assert_eq!(before, after);
    assert!(store.open_route(&old).await.expect("its state").waiting.is_empty(), "the old name has nothing");
    let renamed = Place { route: new.clone(), ..entered };
    assert!(known(store).await.places.contains(&renamed), "the queue keeps its name");

    store.arrange(&[Step::Forget(new.clone())]).await.expect("forgetting");
    assert!(store.settled(&new, &[messages[0].key.clone()]).await.expect("its fence")[0].is_none());
    assert!(store.open_route(&new).await.expect("its state").waiting.is_empty());
}

async fn what_is_given_up_is_remembered_until_it_is_gone(store: &impl Places) {
    let (retired, forgotten) = (place(&route()), place(&route()));
    store.arrange(&[Step::Enter(retired.clone()), Step::Enter(forgotten.clone())]).await.expect("entering");
    let steps = [Step::Retire(retired.route.clone()), Step::Forget(forgotten.route.clone())];
    store.arrange(&steps).await.expect("giving up");
    let now = known(store).await;
    for queue in retired.queue.iter().chain(&forgotten.queue) {
        assert!(now.given_up.contains(queue), "{queue} is to be removed");
        store.queue_removed(queue).await.expect("removed");
    }
    let now = known(store).await;
    assert!(now.places.contains(&Place { queue: None, ..retired.clone() }), "its memory stays");
    assert!(now.places.iter().all(|place| place.route != forgotten.route));
    assert!(retired.queue.iter().chain(&forgotten.queue).all(|queue| !now.given_up.contains(queue)));
}

async fn a_queue_that_nobody_entered_is_given_up(store: &impl Places) {
    let (used, vain) = (place(&route()), place(&route()));
    let make = |place: &Place| Step::Make(place.queue.clone().expect("a queue"));
    store.arrange(&[make(&used), make(&vain)]).await.expect("noting");
    store.arrange(&[Step::Enter(used.clone())]).await.expect("entering");
    let given_up = known(store).await.given_up;
    assert!(vain.queue.iter().all(|queue| given_up.contains(queue)));
    assert!(used.queue.iter().all(|queue| !given_up.contains(queue)));
}
