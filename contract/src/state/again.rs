//! What a task sends again: L4 as the store has to keep it.

use std::time::Duration;

use bus_core::ports::state::{Applied, Change, HoldReason, Replayed};
use bus_core::vocabulary::{Envelope, Moment, Seq};

use super::{StateFixture, bury, delivered, hold, line, one, route};
use crate::sample;

fn again(envelope: &Envelope) -> Change {
    Change::Again { envelope: envelope.clone() }
}

/// It passes the fence that its own delivery has raised, and no other; what is dead or waits stays as it is.
pub async fn what_is_sent_again_passes_its_own_fence_and_no_newer_one(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let message = |key: &str, number| sample::envelope(&stream, key, number);
    let later = |envelope: &Envelope| Envelope { seq: Seq { epoch: 1, number: 9 }, ..envelope.clone() };
    let store = fixture.store();

    one(store, &route, delivered(&message("settled", 5))).await;
    assert_eq!(one(store, &route, again(&message("settled", 4))).await, Applied::Ignored, "the fence is newer");
    assert_eq!(one(store, &route, again(&message("settled", 5))).await, Applied::Yes, "its own fence");
    assert_eq!(one(store, &route, again(&message("settled", 5))).await, Applied::Ignored, "it waits already");
    assert_eq!(one(store, &route, again(&later(&message("settled", 5)))).await, Applied::Ignored, "its id waits");

    bury(store, &route, &message("dead", 3)).await;
    assert_eq!(
        one(store, &route, again(&message("dead", 3))).await,
        Applied::Ignored,
        "a letter is a person's business"
    );

    one(store, &route, hold(&message("waits", 6), 0)).await;
    assert_eq!(one(store, &route, again(&message("waits", 2))).await, Applied::Ignored, "a newer one waits");
    assert_eq!(one(store, &route, again(&message("new", 7))).await, Applied::Yes);

    fixture.reopen().await;
    assert_eq!(line(fixture.store(), &route).await, [5, 6, 7]);
    let row =
        fixture.store().waiting(&route, Moment(i64::MAX), Duration::MAX, 1, usize::MAX).await.expect("rows").remove(0);
    assert_eq!((row.replayed, row.reason, row.attempts), (Replayed::Asked, HoldReason::Load, 0));
}
