//! Fences, attempt marks, progress: R13, D3, D7.

use std::collections::HashMap;
use std::time::Duration;

use bus_core::ports::state::{Applied, Change, HoldReason, Settled, Settlement};
use bus_core::vocabulary::{Key, Moment, Seq};

use super::{StateFixture, buried, commit, delivered, fence, hold, one, route, seq, settle};
use crate::sample;

/// R13: a zombie's late flush is ignored.
pub async fn fences_rise_and_never_fall(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let [low, high] = [3, 9].map(|number| sample::envelope(&stream, "ключ", number));
    assert_eq!(fence(fixture.store(), &route, &low.key).await, None);
    assert_eq!(one(fixture.store(), &route, delivered(&high)).await, Applied::Yes);
    assert_eq!(one(fixture.store(), &route, delivered(&low)).await, Applied::Ignored);
    assert_eq!(one(fixture.store(), &route, settle(&low, Settlement::Skipped)).await, Applied::Ignored);
    assert_eq!(one(fixture.store(), &route, buried(&low)).await, Applied::Ignored);
    fixture.reopen().await;
    let expected = Settled { seq: seq(9), id: Some(high.id), present: true, doubt: false, receiver_id: None };
    assert_eq!(fence(fixture.store(), &route, &high.key).await, Some(expected.clone()));

    // D1: the epoch goes first.
    let mut later = sample::envelope(&stream, "ключ", 1);
    later.seq = Seq { epoch: 2, number: 1 };
    assert_eq!(one(fixture.store(), &route, delivered(&later)).await, Applied::Yes);
    assert_eq!(one(fixture.store(), &route, delivered(&high)).await, Applied::Ignored);
    let expected = Settled { seq: later.seq, id: Some(later.id), ..expected };
    assert_eq!(fence(fixture.store(), &route, &high.key).await, Some(expected));
}

/// A skip says nothing about the receiver.
pub async fn skipping_keeps_what_the_receiver_holds(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [first, second, third] = [1, 2, 3].map(|number| sample::envelope(&stream, "ключ", number));
    let outcome = Settlement::Delivered { present: true, receiver_id: Some("42".into()) };
    one(store, &route, settle(&first, outcome)).await;
    one(store, &route, settle(&second, Settlement::Skipped)).await;
    let expected =
        Settled { seq: seq(2), id: Some(first.id), present: true, doubt: false, receiver_id: Some("42".into()) };
    assert_eq!(fence(store, &route, &first.key).await, Some(expected.clone()));
    one(store, &route, buried(&third)).await;
    assert_eq!(fence(store, &route, &first.key).await, Some(Settled { seq: seq(3), ..expected }));

    let never = sample::envelope(&stream, "другой", 5);
    one(store, &route, settle(&never, Settlement::Skipped)).await;
    let expected = Settled { seq: seq(5), id: None, present: false, doubt: false, receiver_id: None };
    assert_eq!(fence(store, &route, &never.key).await, Some(expected));
}

/// An answer without an id does not forget the one known; a delete keeps it too.
pub async fn a_receiver_id_stays_until_a_new_one_comes(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let table = [(true, Some("a"), "a"), (true, None, "a"), (false, None, "a"), (true, Some("ы"), "ы")];
    for (number, (present, given, known)) in (1..).zip(table) {
        let envelope = sample::envelope(&stream, "ключ", number);
        let receiver_id = given.map(str::to_owned);
        one(store, &route, settle(&envelope, Settlement::Delivered { present, receiver_id })).await;
        let now = fence(store, &route, &envelope.key).await.expect("a fence");
        assert_eq!((now.present, now.receiver_id.as_deref()), (present, Some(known)), "step {number}");
    }
}

/// The same key on two routes is two fences, and answers come in the order asked.
pub async fn routes_do_not_share_fences(fixture: &mut impl StateFixture) {
    let (left, right, stream) = (route(), route(), sample::stream());
    let store = fixture.store();
    let [a, b] = ["а", "б"].map(|key| sample::envelope(&stream, key, 4));
    commit(store, &left, vec![delivered(&a), delivered(&b)]).await;
    one(store, &right, delivered(&b)).await;
    let keys = [b.key.clone(), Key::from_stored("нет"), a.key.clone()];
    let found = |list: Vec<Option<Settled>>| list.into_iter().map(|fence| fence.is_some()).collect::<Vec<_>>();
    assert_eq!(found(store.settled(&left, &keys).await.expect("fences")), [true, false, true]);
    assert_eq!(found(store.settled(&right, &keys).await.expect("fences")), [true, false, false]);
}

/// R13 under random histories of two workers, one of them a zombie: no fence ever falls, and the id is that of the
/// delivery at the highest seq delivered.
pub async fn random_histories_keep_fences_monotone(fixture: &mut impl StateFixture) {
    for seed in 0..20 {
        let mut random = fastrand::Rng::with_seed(seed);
        let (route, stream) = (route(), sample::stream());
        let mut highest: HashMap<Key, Seq> = HashMap::new();
        for _ in 0..25 {
            let changes: Vec<_> = (0..random.usize(1..8))
                .map(|_| {
                    let key = format!("к{}", random.u8(..3));
                    let envelope = sample::envelope(&stream, &key, random.u64(1..40));
                    match random.u8(..6) {
                        0 => settle(&envelope, Settlement::Skipped),
                        1 => buried(&envelope),
                        2 => hold(&envelope, 0),
                        _ => delivered(&envelope),
                    }
                })
                .collect();
            let applied = commit(fixture.store(), &route, changes.clone()).await;
            for (change, applied) in changes.iter().zip(&applied) {
                let Change::Settle { key, seq, .. } = change else { continue };
                let fence = highest.get(key).copied().unwrap_or(Seq::ZERO);
                assert!(*seq <= fence || *applied != Applied::Ignored, "seed {seed}: {seq} over {fence} was ignored");
                highest.insert(key.clone(), fence.max(*seq));
            }
            for (key, expected) in &highest {
                let fence = fence(fixture.store(), &route, key).await.expect("a fence");
                assert_eq!(fence.seq, *expected, "seed {seed}");
            }
            // D4, R12: what waits is above the fence of its moment and in order within its key.
            let rows =
                fixture.store().waiting(&route, Moment(i64::MAX), Duration::MAX, 1000, usize::MAX).await.expect("rows");
            for key in highest.keys() {
                let own: Vec<_> = rows.iter().filter(|row| row.envelope.key == *key).map(|r| r.envelope.seq).collect();
                assert!(own.is_sorted(), "seed {seed}: the line of a key is out of order");
            }
        }
    }
}

/// For the gap check.
pub async fn reached_is_monotone(fixture: &mut impl StateFixture) {
    let route = route();
    assert_eq!(fixture.store().open_route(&route).await.expect("opening").reached, None);
    for (number, applied, reached) in [(5, Applied::Yes, 5), (3, Applied::Ignored, 5), (8, Applied::Yes, 8)] {
        assert_eq!(one(fixture.store(), &route, Change::Reached { seq: seq(number) }).await, applied);
        fixture.reopen().await;
        assert_eq!(fixture.store().open_route(&route).await.expect("opening").reached, Some(seq(reached)));
    }
}

/// D7: kept by an ambiguous dead letter, cleared by everything that knows the outcome, per route.
pub async fn marks_last_until_a_known_outcome(fixture: &mut impl StateFixture) {
    let stream = sample::stream();
    let envelope = sample::envelope(&stream, "ключ", 7);
    let id = envelope.id;
    let dead = |keep_mark| {
        settle(&envelope, Settlement::DeadLettered { letter: Box::new(super::letter(&envelope)), keep_mark })
    };
    let held = |clear_mark| Change::Hold {
        envelope: envelope.clone(),
        not_before: Moment(0),
        attempts: 1,
        reason: HoldReason::Retry,
        clear_mark,
        latest: false,
        doubt: false,
    };
    let table = [
        ("delivered", delivered(&envelope), false),
        ("skipped", settle(&envelope, Settlement::Skipped), false),
        ("dead for good", dead(false), false),
        ("dead, outcome unknown", dead(true), true),
        ("held, not applied", held(true), false),
        ("held, outcome unknown", held(false), true),
        ("unmarked", Change::Unmark { id }, false),
        ("reached", Change::Reached { seq: seq(7) }, true),
    ];
    let bystander = route();
    one(fixture.store(), &bystander, Change::Mark { id }).await;
    for (name, change, marked) in table {
        let route = route();
        assert_eq!(one(fixture.store(), &route, Change::Mark { id }).await, Applied::Yes);
        assert_eq!(one(fixture.store(), &route, Change::Mark { id }).await, Applied::Ignored, "{name}: marked twice");
        fixture.reopen().await;
        assert_eq!(fixture.store().marked(&route, &[id]).await, Ok(vec![true]), "{name}: the mark was not durable");
        one(fixture.store(), &route, change).await;
        assert_eq!(fixture.store().marked(&route, &[id]).await, Ok(vec![marked]), "{name}");
    }
    assert_eq!(fixture.store().marked(&bystander, &[id]).await, Ok(vec![true]), "another route's mark was touched");
    let defer = |clear_mark| Change::Defer {
        key: envelope.key.clone(),
        seq: envelope.seq,
        id,
        not_before: Moment(5),
        attempts: 2,
        reason: HoldReason::Retry,
        clear_mark,
    };
    let route = route();
    commit(fixture.store(), &route, vec![hold(&envelope, 0), Change::Mark { id }, defer(false)]).await;
    assert_eq!(fixture.store().marked(&route, &[id]).await, Ok(vec![true]), "deferred, outcome unknown");
    one(fixture.store(), &route, defer(true)).await;
    assert_eq!(fixture.store().marked(&route, &[id]).await, Ok(vec![false]), "deferred, not applied");
}

/// In order, in one transaction.
pub async fn changes_of_one_call_see_each_other(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let [first, second] = [1, 2].map(|number| sample::envelope(&stream, "ключ", number));
    let changes = vec![
        hold(&first, 0),
        hold(&second, 0),
        delivered(&first),
        hold(&first, 0),
        Change::Mark { id: second.id },
        Change::Unmark { id: second.id },
        Change::Unmark { id: second.id },
    ];
    use Applied::{Ignored, Yes};
    assert_eq!(commit(fixture.store(), &route, changes).await, [Yes, Yes, Yes, Ignored, Yes, Yes, Ignored]);
    assert_eq!(super::line(fixture.store(), &route).await, [2]);
    assert!(commit(fixture.store(), &route, Vec::new()).await.is_empty());
}

/// Calls made at the same time share a flush, and none is lost.
pub async fn concurrent_commits_all_count(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let envelopes: Vec<_> = (1..=64).map(|n| sample::envelope(&stream, &format!("к{n}"), n)).collect();
    let parts: Vec<_> = envelopes.chunks(16).collect();
    let work = async |part: &[bus_core::vocabulary::Envelope]| {
        for envelope in part {
            assert_eq!(one(store, &route, delivered(envelope)).await, Applied::Yes);
        }
    };
    tokio::join!(work(parts[0]), work(parts[1]), work(parts[2]), work(parts[3]));
    fixture.reopen().await;
    let keys: Vec<_> = envelopes.iter().map(|envelope| envelope.key.clone()).collect();
    let fences = fixture.store().settled(&route, &keys).await.expect("fences");
    assert!(fences.iter().all(Option::is_some), "an answered commit is missing");
}
