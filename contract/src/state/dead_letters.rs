//! Dead letters and replay: R9, R10, D6.

use std::time::Duration;

use bus_core::ports::state::{
    Applied, Change, DeadFilter, DeadLetter, HoldReason, Replay, ReplayMode, Replayed, Settlement,
};
use bus_core::vocabulary::{Envelope, Key, Moment};

use super::{StateFixture, buried, bury, commit, delivered, due, fence, hold, letter, line, one, route, seq, settle};
use crate::sample;

fn of(route: &bus_core::vocabulary::RouteName) -> DeadFilter {
    DeadFilter { route: Some(route.clone()), ..DeadFilter::default() }
}

/// Everything a person needs, by number, route, key and label.
pub async fn dead_letters_come_back_whole_and_newest_last(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let messages: Vec<_> = (1..=4).map(|n| sample::envelope(&stream, &format!("к{}", n % 2), n)).collect();
    let mut numbers = Vec::new();
    for message in &messages {
        numbers.push(bury(fixture.store(), &route, message).await);
    }
    fixture.reopen().await;
    let store = fixture.store();
    let rows = store.dead_letters(&of(&route)).await.expect("listing");
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), numbers);
    assert_eq!(rows[0].letter, letter(&messages[0]));
    assert_eq!((rows[0].route.as_ref(), rows[0].stream.as_ref()), (Some(&route), Some(&stream)));
    let table = [
        (DeadFilter { limit: 2, ..of(&route) }, vec![numbers[2], numbers[3]]),
        (DeadFilter { key: Some("к1".into()), ..of(&route) }, vec![numbers[0], numbers[2]]),
        (DeadFilter { key: messages[3].label.clone(), ..of(&route) }, vec![numbers[3]]),
        (DeadFilter { id: Some(numbers[1]), ..DeadFilter::default() }, vec![numbers[1]]),
        (DeadFilter { key: Some("нет".into()), ..of(&route) }, vec![]),
        (of(&super::route()), vec![]),
    ];
    for (filter, expected) in table {
        let found = store.dead_letters(&filter).await.expect("listing");
        assert_eq!(found.iter().map(|row| row.id).collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

/// What a list shows of a letter, without what makes it large.
pub async fn a_brief_list_holds_no_bodies(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let short = sample::envelope(&stream, "к1", 1);
    // As an older program sealed it.
    let long = Envelope { label: Some("я".repeat(100_000)), ..sample::envelope(&stream, "к2", 2) };
    for message in [&short, &long] {
        bury(fixture.store(), &route, message).await;
    }
    let store = fixture.store();
    let brief = store.dead_letters(&DeadFilter { brief: true, ..of(&route) }).await.expect("listing");
    let mut whole = store.dead_letters(&of(&route)).await.expect("listing");
    for row in &mut whole {
        let letter = &mut row.letter;
        letter.envelope.as_mut().expect("an envelope").body = Default::default();
        (letter.transformed, letter.exchange) = (None, Default::default());
    }
    assert_eq!(brief, whole);
}

/// R9: in one transaction.
pub async fn burying_raises_the_fence_and_empties_waiting(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let [first, second] = [1, 2].map(|number| sample::envelope(&stream, "ключ", number));
    commit(fixture.store(), &route, vec![hold(&first, 0), hold(&second, 0)]).await;
    bury(fixture.store(), &route, &first).await;
    fixture.reopen().await;
    assert_eq!(line(fixture.store(), &route).await, [2]);
    let fence = fence(fixture.store(), &route, &first.key).await.expect("a fence");
    assert_eq!((fence.seq, fence.id, fence.present), (seq(1), None, false));
}

/// D6: a redelivered message does not die twice.
pub async fn a_message_is_buried_once(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = sample::envelope(&stream, "ключ", 1);
    let number = bury(store, &route, &message).await;
    assert_eq!(one(store, &route, buried(&message)).await, Applied::Dead(number));
    assert_eq!(store.dead_letters(&of(&route)).await.expect("listing").len(), 1);
    // A zombie that gives up what was delivered meanwhile.
    let other = sample::envelope(&stream, "доставлен", 2);
    one(store, &route, delivered(&other)).await;
    assert_eq!(one(store, &route, buried(&other)).await, Applied::Ignored);
}

/// A foreign message has no key; its letter cannot be replayed.
pub async fn a_foreign_letter_touches_no_fence(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = sample::envelope(&stream, "чужой", 1);
    let foreign = DeadLetter {
        envelope: None,
        raw: Some(b"\x00\xff".as_slice().into()),
        fault: "foreign".into(),
        ..letter(&message)
    };
    let outcome = Settlement::DeadLettered { letter: Box::new(foreign.clone()), keep_mark: false };
    let Applied::Dead(number) = one(store, &route, settle(&message, outcome.clone())).await else {
        panic!("not stored")
    };
    assert_eq!(one(store, &route, settle(&message, outcome)).await, Applied::Dead(number), "D6");
    assert_eq!(store.dead_letters(&of(&route)).await.expect("listing")[0].letter, foreign);
    assert_eq!(fence(store, &route, &message.key).await, None);
    assert_eq!(store.open_route(&route).await.expect("opening").dead, Vec::<Key>::new());
    assert_eq!(store.replay(number, ReplayMode::Forced).await, Ok(Replay::NotFound));
}

/// R10: one transaction, marked as replayed, without its attempt mark, at the end of the line.
pub async fn replay_puts_a_letter_back_in_line(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = sample::envelope(&stream, "ключ", 1);
    one(store, &route, Change::Mark { id: message.id }).await;
    let outcome = Settlement::DeadLettered { letter: Box::new(letter(&message)), keep_mark: true };
    let Applied::Dead(number) = one(store, &route, settle(&message, outcome)).await else { panic!("not stored") };
    one(store, &route, hold(&sample::envelope(&stream, "другой", 2), 0)).await;
    let Envelope { stream, key, label, .. } = message.clone();
    let expected = Replay::Waiting { route: route.clone(), stream, key, seq: message.seq, label };
    assert_eq!(store.replay(number, ReplayMode::Careful).await, Ok(expected));
    fixture.reopen().await;
    let store = fixture.store();
    assert_eq!(store.replay(number, ReplayMode::Careful).await, Ok(Replay::NotFound), "it is not dead any more");
    assert!(store.dead_letters(&of(&route)).await.expect("listing").is_empty());
    assert_eq!(store.marked(&route, &[message.id]).await, Ok(vec![false]));
    let rows = store.waiting(&route, Moment(i64::MAX), Duration::MAX, 10, usize::MAX).await.expect("rows");
    assert_eq!(rows.iter().map(|row| row.envelope.seq.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((rows[1].replayed, rows[1].reason, rows[1].attempts), (Replayed::Asked, HoldReason::Replay, 0));
    assert_eq!(&rows[1].envelope, &message);

    // It goes although the fence stands at its own seq, and then names what was delivered.
    assert_eq!(one(store, &route, delivered(&message)).await, Applied::Yes);
    let fence = fence(store, &route, &message.key).await.expect("a fence");
    assert_eq!((fence.seq, fence.id, fence.present), (seq(1), Some(message.id), true));
    assert_eq!(line(store, &route).await, [2]);
}

/// R10: neither over a newer delivery nor over a newer waiting row, unless forced.
pub async fn replay_is_refused_when_something_newer_is_there(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = |key: &str, number| sample::envelope(&stream, key, number);
    let settled = bury(store, &route, &message("доставлен", 1)).await;
    one(store, &route, delivered(&message("доставлен", 5))).await;
    let waits = bury(store, &route, &message("ждёт", 2)).await;
    one(store, &route, hold(&message("ждёт", 6), 0)).await;
    for (number, newer) in [(settled, 5), (waits, 6)] {
        assert_eq!(store.replay(number, ReplayMode::Careful).await, Ok(Replay::Newer { seq: seq(newer) }));
        let rows = store.dead_letters(&of(&route)).await.expect("listing");
        assert!(rows.iter().any(|row| row.id == number), "a refused replay removed the letter");
        assert!(matches!(store.replay(number, ReplayMode::Forced).await, Ok(Replay::Waiting { .. })));
    }
    assert_eq!(store.replay(-1, ReplayMode::Careful).await, Ok(Replay::NotFound));
}

/// Within a key the order is by seq, also when a person puts an old version back; and it inherits the key's time.
pub async fn a_forced_replay_goes_before_newer_rows_of_its_key(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let message = |key: &str, number| sample::envelope(&stream, key, number);
    let number = bury(store, &route, &message("ключ", 1)).await;
    let holds =
        vec![hold(&message("ключ", 5), i64::MAX - 9), hold(&message("ключ", 6), 0), hold(&message("другой", 7), 0)];
    commit(store, &route, holds).await;
    assert!(matches!(store.replay(number, ReplayMode::Forced).await, Ok(Replay::Waiting { .. })));
    assert_eq!(line(store, &route).await, [7, 1, 5, 6]);
    assert_eq!(due(store, &route, i64::MAX - 10).await, [7], "the replayed row overtook its deferred key");
    one(store, &route, hold(&message("новый", 8), 0)).await;
    assert_eq!(line(store, &route).await, [7, 1, 5, 6, 8], "a place was given twice");
}

/// The fence stays (R13), but the id delivered last is the old one's: the newest content may come back (D5).
pub async fn a_forced_replay_delivered_names_what_the_receiver_holds(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [old, new] = [1, 5].map(|number| sample::envelope(&stream, "ключ", number));
    let number = bury(store, &route, &old).await;
    one(store, &route, delivered(&new)).await;
    store.replay(number, ReplayMode::Forced).await.expect("forcing");
    assert_eq!(one(store, &route, delivered(&old)).await, Applied::Yes);
    let now = fence(store, &route, &old.key).await.expect("a fence");
    assert_eq!((now.seq, now.id), (seq(5), Some(old.id)));
    assert_eq!(line(store, &route).await, Vec::<u64>::new());
    // The row is gone, so a zombie repeating that delivery changes nothing.
    one(store, &route, delivered(&sample::envelope(&stream, "ключ", 6))).await;
    assert_eq!(one(store, &route, delivered(&old)).await, Applied::Ignored);
}

/// Refused again: a new letter, and nothing is lost between.
pub async fn a_replayed_row_may_die_again(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let store = fixture.store();
    let [old, new] = [1, 5].map(|number| sample::envelope(&stream, "ключ", number));
    let mut number = bury(store, &route, &old).await;
    for mode in [ReplayMode::Careful, ReplayMode::Forced] {
        if mode == ReplayMode::Forced {
            one(store, &route, delivered(&new)).await;
        }
        assert!(matches!(store.replay(number, mode).await, Ok(Replay::Waiting { .. })));
        let again = bury(store, &route, &old).await;
        assert!(again > number, "numbers are never used twice");
        number = again;
        assert_eq!(line(store, &route).await, Vec::<u64>::new());
        assert_eq!(store.dead_letters(&of(&route)).await.expect("listing").len(), 1);
    }
    assert_eq!(fence(store, &route, &old.key).await.expect("a fence").seq, seq(5));
}

/// For good.
pub async fn dropped_letters_are_gone(fixture: &mut impl StateFixture) {
    let (route, stream) = (route(), sample::stream());
    let message: Envelope = sample::envelope(&stream, "ключ", 1);
    one(fixture.store(), &route, Change::Mark { id: message.id }).await;
    let outcome = Settlement::DeadLettered { letter: Box::new(letter(&message)), keep_mark: true };
    let Applied::Dead(number) = one(fixture.store(), &route, settle(&message, outcome)).await else {
        panic!("not stored")
    };
    assert_eq!(fixture.store().marked(&route, &[message.id]).await, Ok(vec![true]), "in doubt");
    assert_eq!(fixture.store().drop_dead(number).await, Ok(true));
    fixture.reopen().await;
    assert_eq!(fixture.store().drop_dead(number).await, Ok(false));
    assert_eq!(fixture.store().marked(&route, &[message.id]).await, Ok(vec![false]), "D7: nobody would ever clear it");
    assert_eq!(one(fixture.store(), &route, hold(&message, 0)).await, Applied::Ignored, "D4: the fence stops a repeat");
    assert_eq!(fixture.store().open_route(&route).await.expect("opening").dead, Vec::<Key>::new());
    assert_eq!(fence(fixture.store(), &route, &message.key).await.expect("a fence").seq, seq(1));
}
