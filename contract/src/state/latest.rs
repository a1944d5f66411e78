//! `latest`: D9 and D10 as the store has to keep them.

use std::time::Duration;

use bus_core::ports::state::{Applied, Change, ReplayMode, Settlement};
use bus_core::vocabulary::{Envelope, Moment, Seq};

use super::{StateFixture, bury, commit, delivered, due, fence, hold, line, one, route, seq, settle};
use crate::sample;

fn latest(envelope: &Envelope, at: i64) -> Change {
    match hold(envelope, at) {
        Change::Hold { envelope, not_before, attempts, reason, clear_mark, .. } => {
            Change::Hold { envelope, not_before, attempts, reason, clear_mark, latest: true, doubt: false }
        }
        other => other,
    }
}

/// The oldest place, the newest body; nothing older comes back, and time only grows.
pub async fn the_newest_version_stands_in_the_oldest_place(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let version = |key: &str, number| sample::envelope(&stream, key, number);
    let store = fixture.store();
    commit(store, &route, vec![hold(&version("a", 1), 500), hold(&version("b", 2), 0)]).await;
    let applied = one(store, &route, latest(&version("a", 7), 0)).await;
    assert_eq!(applied, Applied::Replaced { seq: seq(1) });
    assert_eq!(one(store, &route, latest(&version("a", 7), 0)).await, Applied::Ignored, "it waits already");
    assert_eq!(one(store, &route, latest(&version("a", 5), 0)).await, Applied::Outdated, "R12");
    fixture.reopen().await;
    assert_eq!(line(fixture.store(), &route).await, [7, 2]);
    assert_eq!(due(fixture.store(), &route, 499).await, [2], "a key that backs off goes on doing so");
    let row = fixture.store().waiting(&route, Moment(500), Duration::MAX, 1, usize::MAX).await.expect("rows").remove(0);
    assert_eq!(row.envelope, version("a", 7));
}

/// The message under way ends without touching the newer one in its row; its delay counts for that one too.
pub async fn an_attempt_ends_though_its_row_was_written_over(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [first, second] = [1, 2].map(|number| sample::envelope(&stream, "ключ", number));
    commit(store, &route, vec![hold(&first, 0), Change::Mark { id: first.id }, latest(&second, 0)]).await;
    assert_eq!(store.marked(&route, &[first.id]).await, Ok(vec![true]), "it may be in hand, and about to be sent");
    let defer = Change::Defer {
        key: first.key.clone(),
        seq: first.seq,
        id: first.id,
        not_before: Moment(90),
        attempts: 3,
        reason: bus_core::ports::state::HoldReason::Retry,
        clear_mark: true,
    };
    assert_eq!(one(store, &route, defer).await, Applied::Yes);
    assert_eq!(store.marked(&route, &[first.id]).await, Ok(vec![false]));
    assert_eq!(due(store, &route, 89).await, Vec::<u64>::new());
    one(store, &route, delivered(&first)).await;
    assert_eq!(line(store, &route).await, [2]);
    assert_eq!(
        store.waiting(&route, Moment(90), Duration::MAX, 1, usize::MAX).await.expect("rows")[0].attempts,
        0,
        "a budget of its own"
    );
}

/// D10: a superseded upsert leaves a doubt, no fence; what is known of the receiver stays known.
pub async fn a_superseded_version_raises_no_fence_and_leaves_a_doubt(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let version = |key: &str, number| sample::envelope(&stream, key, number);
    let superseded = |key: &str, upsert| settle(&version(key, 5), Settlement::Superseded { upsert });
    one(store, &route, superseded("never", true)).await;
    let never = fence(store, &route, &version("never", 5).key).await.expect("a fence");
    assert_eq!((never.seq, never.present, never.doubt), (Seq::ZERO, false, true));
    one(store, &route, superseded("nothing", false)).await;
    assert_eq!(fence(store, &route, &version("nothing", 5).key).await, None);

    one(store, &route, delivered(&version("there", 1))).await;
    one(store, &route, superseded("there", true)).await;
    let there = fence(store, &route, &version("there", 5).key).await.expect("a fence");
    assert_eq!((there.seq, there.present, there.doubt), (seq(1), true, false));

    let gone = Settlement::Delivered { present: false, receiver_id: None };
    one(store, &route, settle(&version("gone", 1), gone.clone())).await;
    one(store, &route, latest(&version("gone", 2), 0)).await;
    one(store, &route, latest(&version("gone", 3), 0)).await;
    let after = fence(store, &route, &version("gone", 5).key).await.expect("a fence");
    assert_eq!((after.seq, after.present, after.doubt), (seq(1), false, true));
    one(store, &route, settle(&version("gone", 3), gone)).await;
    assert!(!fence(store, &route, &version("gone", 5).key).await.expect("a fence").doubt);

    let marked = version("marked", 5);
    one(store, &route, Change::Mark { id: marked.id }).await;
    one(store, &route, superseded("marked", true)).await;
    assert_eq!(store.marked(&route, &[marked.id]).await, Ok(vec![true]), "its ack may fail, and then it comes again");
}

/// What a person asked for is not written over.
pub async fn a_replayed_row_is_sent_before_what_comes_after_it(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [first, second, third] = [1, 2, 3].map(|number| sample::envelope(&stream, "ключ", number));
    let letter = bury(store, &route, &first).await;
    store.replay(letter, ReplayMode::Careful).await.expect("a replay");
    assert_eq!(one(store, &route, latest(&second, 0)).await, Applied::Yes);
    assert_eq!(one(store, &route, latest(&third, 0)).await, Applied::Replaced { seq: seq(2) });
    assert_eq!(line(store, &route).await, [1, 3]);
}
