//! The line of what waits: D2, D3, D4, D8, R12.

use std::time::Duration;

use bus_core::ports::state::{Applied, Change, HoldReason, Replayed, RouteCounts, RouteState};
use bus_core::vocabulary::Moment;
use futures::FutureExt;

use super::{StateFixture, bury, commit, delivered, due, hold, line, one, route, seq};
use crate::sample;

/// In order of arrival, whole, and through a crash.
pub async fn held_messages_wait_in_line(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let messages: Vec<_> = [3, 1, 2].map(|n| sample::envelope(&stream, &format!("к{n}"), n)).into();
    let change = Change::Hold {
        envelope: messages[0].clone(),
        not_before: Moment(70),
        attempts: 4,
        reason: HoldReason::Closed,
        clear_mark: false,
        latest: false,
        doubt: false,
    };
    commit(fixture.store(), &route, vec![change, hold(&messages[1], 50), hold(&messages[2], 60)]).await;
    fixture.reopen().await;
    assert_eq!(due(fixture.store(), &route, 49).await, Vec::<u64>::new());
    assert_eq!(due(fixture.store(), &route, 60).await, [1, 2]);
    let rows = fixture.store().waiting(&route, Moment(70), Duration::MAX, 10, usize::MAX).await.expect("rows");
    assert_eq!(rows.iter().map(|row| &row.envelope).collect::<Vec<_>>(), messages.iter().collect::<Vec<_>>());
    assert_eq!((rows[0].attempts, rows[0].reason, rows[0].replayed), (4, HoldReason::Closed, Replayed::Never));
    let oldest = messages.iter().map(|message| message.time).min();
    assert_eq!(fixture.store().route_counts(&route).await, Ok(RouteCounts { waiting: 3, oldest, held: 0, dead: 0 }));
}

/// D4 and R12, one row each.
pub async fn a_hold_is_ignored_when_it_is_not_needed_any_more(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = |key: &str, number| sample::envelope(&stream, key, number);

    one(store, &route, delivered(&message("settled", 5))).await;
    assert_eq!(one(store, &route, hold(&message("settled", 5), 0)).await, Applied::Ignored, "the fence is as new");
    assert_eq!(one(store, &route, hold(&message("settled", 4), 0)).await, Applied::Ignored, "the fence is newer");
    assert_eq!(one(store, &route, hold(&message("settled", 6), 0)).await, Applied::Yes);

    one(store, &route, hold(&message("waits", 5), 0)).await;
    assert_eq!(one(store, &route, hold(&message("waits", 5), 0)).await, Applied::Ignored, "it waits already");
    assert_eq!(one(store, &route, hold(&message("waits", 4), 0)).await, Applied::Ignored, "R12");
    let mut again = message("waits", 5);
    again.seq.number = 9;
    assert_eq!(one(store, &route, hold(&again, 0)).await, Applied::Ignored, "its id waits already");

    bury(store, &route, &message("dead", 5)).await;
    let mut again = message("dead", 5);
    again.seq.number = 9;
    assert_eq!(one(store, &route, hold(&again, 0)).await, Applied::Ignored, "its id is dead");
    assert_eq!(line(store, &route).await, [6, 5]);
}

/// A key's rows share their time.
pub async fn a_later_version_never_overtakes_a_deferred_one(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [first, second] = [1, 2].map(|number| sample::envelope(&stream, "ключ", number));
    let other = sample::envelope(&stream, "другой", 3);
    commit(store, &route, vec![hold(&first, 500), hold(&second, 10), hold(&other, 10)]).await;
    assert_eq!(due(store, &route, 499).await, [3]);
    assert_eq!(due(store, &route, 500).await, [1, 2, 3]);
}

/// A clock that was ahead has left times far ahead. They have come, but never before that of an earlier version.
pub async fn a_row_further_ahead_than_any_wait_is_due(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let longest = Duration::from_secs(300);
    let year = 365 * 24 * 3_600_000;
    let message = |key: &str, number| sample::envelope(&stream, key, number);
    let holds = vec![
        hold(&message("спит", 1), 1000 + year),
        hold(&message("спит", 2), 1000),
        hold(&message("скоро", 3), 2000),
        hold(&message("скоро", 4), 1000 + year),
        hold(&message("далеко", 5), 301_000),
        hold(&message("дальше", 6), 301_001),
    ];
    commit(store, &route, holds).await;
    let due = async |now| {
        let rows = store.waiting(&route, Moment(now), longest, 10, usize::MAX).await.expect("rows");
        rows.iter().map(|row| row.envelope.seq.number).collect::<Vec<_>>()
    };
    assert_eq!(due(1000).await, [1, 2, 6]);
    assert_eq!(due(2000).await, [1, 2, 3, 4]);
    commit(store, &route, vec![delivered(&message("скоро", 3))]).await;
    assert_eq!(due(1000).await, [1, 2, 4, 6], "nothing of its key is before it any more");
}

/// The row that failed counts the attempt, all rows of its key wait.
pub async fn deferring_counts_attempts_and_moves_the_whole_key(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let [first, second] = [1, 2].map(|number| sample::envelope(&stream, "ключ", number));
    let other = sample::envelope(&stream, "другой", 3);
    commit(fixture.store(), &route, vec![hold(&first, 0), hold(&second, 0), hold(&other, 0)]).await;
    let defer = |envelope: &bus_core::vocabulary::Envelope, not_before| Change::Defer {
        key: envelope.key.clone(),
        seq: envelope.seq,
        id: envelope.id,
        not_before: Moment(not_before),
        attempts: 2,
        reason: HoldReason::Retry,
        clear_mark: false,
    };
    assert_eq!(one(fixture.store(), &route, defer(&first, 900)).await, Applied::Yes);
    fixture.reopen().await;
    let store = fixture.store();
    assert_eq!(due(store, &route, 899).await, [3]);
    let rows = store.waiting(&route, Moment(900), Duration::MAX, 10, usize::MAX).await.expect("rows");
    let seen: Vec<_> = rows.iter().map(|r| (r.envelope.seq.number, r.attempts, r.reason)).collect();
    assert_eq!(seen, [(1, 2, HoldReason::Retry), (2, 0, HoldReason::Behind), (3, 0, HoldReason::Behind)]);
    let absent = sample::envelope(&stream, "ключ", 9);
    assert_eq!(one(store, &route, defer(&absent, 5000)).await, Applied::Ignored);
    assert_eq!(due(store, &route, 900).await, [1, 2, 3], "a message that does not wait deferred its key");
}

/// D3: `latest` may have put a newer row there meanwhile.
pub async fn settling_removes_exactly_its_own_row(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [first, second, third] = [1, 2, 3].map(|number| sample::envelope(&stream, "ключ", number));
    commit(store, &route, vec![hold(&first, 0), hold(&second, 0), hold(&third, 0)]).await;
    one(store, &route, delivered(&second)).await;
    assert_eq!(line(store, &route).await, [1, 3]);
    let skipped = super::settle(&first, bus_core::ports::state::Settlement::Skipped);
    assert_eq!(one(store, &route, skipped).await, Applied::Yes, "a row below the fence can be ended");
    assert_eq!(line(store, &route).await, [3]);
    assert_eq!(super::fence(store, &route, &first.key).await.expect("a fence").seq, seq(2));
}

/// D8: what the worker's index is loaded from.
pub async fn an_opened_route_knows_its_keys(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    assert_eq!(fixture.store().open_route(&route).await, Ok(RouteState::default()));
    let message = |key: &str, number| sample::envelope(&stream, key, number);
    let held = vec![hold(&message("а", 1), 0), hold(&message("а", 2), 900), hold(&message("б", 3), 0)];
    commit(fixture.store(), &route, held).await;
    bury(fixture.store(), &route, &message("в", 4)).await;
    bury(fixture.store(), &route, &message("в", 5)).await;
    one(fixture.store(), &super::route(), hold(&message("чужой", 6), 0)).await;
    fixture.reopen().await;
    let mut state = fixture.store().open_route(&route).await.expect("opening");
    state.waiting.sort();
    assert_eq!(state.waiting, [(message("а", 1).key, 2), (message("б", 1).key, 1)]);
    assert_eq!(state.dead, [message("в", 1).key]);
    let counts = fixture.store().route_counts(&route).await.expect("counts");
    assert_eq!((counts.waiting, counts.dead), (3, 2));
}

/// D8: what a worker that was cut off had handed in is done before the next one looks.
pub async fn an_opened_route_knows_what_was_handed_in_before(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = |number| sample::envelope(&stream, &format!("к{number}"), number);
    one(store, &route, hold(&message(1), 0)).await;
    // Enough to be still under way when the next worker asks.
    let many = store.commit(&route, (2..=2000).map(|number| hold(&message(number), 0)).collect());
    assert!(many.now_or_never().is_none(), "it was cut off");
    let state = store.open_route(&route).await.expect("opening");
    assert!(matches!(state.waiting.len(), 1 | 2000), "{} of 2000 rows", state.waiting.len());
    one(store, &super::route(), hold(&message(3000), 0)).await;
    let line = store.route_counts(&route).await.expect("counts");
    assert_eq!(line.waiting, state.waiting.len() as u64, "nothing comes after the route is open");
}

/// A long line is read from its start; a large row is one page, and never none.
pub async fn a_long_line_is_bounded_by_rows_and_bytes(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let holds = (1..=25).map(|n| hold(&sample::envelope(&stream, &format!("к{n}"), n), 0)).collect();
    commit(store, &route, holds).await;
    let size = sample::envelope(&stream, "к1", 1).to_frame().len();
    for (limit, bytes, expected) in [(10, usize::MAX, 10), (100, usize::MAX, 25), (10, 3 * size - 1, 3), (10, 1, 1)] {
        let rows = store.waiting(&route, Moment(0), Duration::MAX, limit, bytes).await.expect("rows");
        let seen: Vec<u64> = rows.iter().map(|row| row.envelope.seq.number).collect();
        assert_eq!(seen, (1..=expected).collect::<Vec<_>>(), "{limit} rows, {bytes} bytes");
    }
}

/// The first moment stands, through another look and a crash; it goes with the row.
pub async fn what_a_message_waits_for_is_noted_with_it(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let message = sample::envelope(&stream, "к", 1);
    let awaits = |since| Change::Await { id: message.id, what: "map `sku` to know \"x\"".into(), since: Moment(since) };
    assert_eq!(one(fixture.store(), &route, awaits(10)).await, Applied::Ignored, "nothing of it waits");
    commit(fixture.store(), &route, vec![hold(&message, 5), awaits(10)]).await;
    commit(fixture.store(), &route, vec![awaits(99)]).await;
    fixture.reopen().await;
    let rows = fixture.store().waiting(&route, Moment(70), Duration::MAX, 10, usize::MAX).await.expect("rows");
    assert_eq!(rows[0].held_since, Some(Moment(10)));
    commit(fixture.store(), &route, vec![delivered(&message)]).await;
    let next = sample::envelope(&stream, "к", 2);
    commit(fixture.store(), &route, vec![hold(&next, 5)]).await;
    let rows = fixture.store().waiting(&route, Moment(70), Duration::MAX, 10, usize::MAX).await.expect("rows");
    assert_eq!(rows[0].held_since, None);
}

/// D11: all rows of the key are due at once, so that they keep their order; a key that retries is left to its time.
pub async fn a_held_key_is_woken_and_no_other(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let far = Moment::now().after(std::time::Duration::from_secs(3600)).0;
    let held = |key: &str, number, reason| {
        let mut change = hold(&sample::envelope(&stream, key, number), far);
        let Change::Hold { reason: why, .. } = &mut change else { unreachable!("a hold is a hold") };
        *why = reason;
        change
    };
    let changes = vec![
        held("a", 1, HoldReason::Requires),
        held("a", 2, HoldReason::Behind),
        held("b", 3, HoldReason::Retry),
        held("c", 4, HoldReason::Map),
    ];
    commit(fixture.store(), &route, changes).await;
    assert_eq!(fixture.store().route_counts(&route).await.expect("counts").held, 2);
    let wake = |key: &str| Change::Wake { key: sample::envelope(&stream, key, 1).key };
    let applied = commit(fixture.store(), &route, ["a", "b", "c", "d"].map(wake).to_vec()).await;
    assert_eq!(applied, [Applied::Yes, Applied::Ignored, Applied::Ignored, Applied::Ignored]);
    let rows = fixture.store().waiting(&route, Moment::now(), Duration::MAX, 10, usize::MAX).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.envelope.seq.number).collect::<Vec<_>>(), [1, 2]);
}
