//! Capture: epochs, sealed batches, cursors, last-published, comparison scans.

use bus_core::ports::state::{DeadFilter, Published, ScanTotals, SealedBatch, StateError};
use bus_core::vocabulary::{Cursor, Envelope, Key, Moment, Operation, Seq, UnreadableRecord};

use super::{StateFixture, feed};
use crate::sample;

fn batch(expected: Option<&str>, next: &str, envelopes: Vec<Envelope>) -> SealedBatch {
    SealedBatch { expected: expected.map(Cursor::new), next: Some(Cursor::new(next)), envelopes }
}

/// R3: every start is above the one before.
pub async fn a_feed_starts_empty_and_its_epoch_rises(fixture: &mut impl StateFixture) {
    let (feed, other) = (feed(), feed());
    let first = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a new feed");
    assert_eq!((first.cursor, first.sealed), (None, None));
    fixture.reopen().await;
    let second = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a known feed");
    assert!(second.epoch > first.epoch, "the epoch did not rise: {} then {}", first.epoch, second.epoch);
    fixture.store().open_feed(&other, Moment(0)).await.expect("opening another feed");
    let sealed = fixture.store().seal(&feed, second.epoch, &batch(None, "1", Vec::new())).await;
    assert_eq!(sealed, Ok(()), "another feed's start changed this one's epoch");
}

/// R15: a stream may come from another feed, and the clock may be set back.
pub async fn an_epoch_is_above_those_of_all_feeds_and_no_less_than_the_clock(fixture: &mut impl StateFixture) {
    let (first, second, third) = (feed(), feed(), feed());
    let mut epochs = Vec::new();
    for (feed, clock) in [(&first, 5_000), (&first, 5_000), (&second, 70), (&first, 0), (&third, -1), (&second, 9_000)]
    {
        fixture.reopen().await;
        epochs.push(fixture.store().open_feed(feed, Moment(clock)).await.expect("opening a feed").epoch);
    }
    assert!(epochs.is_sorted_by(|one, next| one < next), "{epochs:?}");
    assert!(epochs[0] >= 5_000 && epochs[5] >= 9_000, "{epochs:?}");
}

/// R15: the stream has moved while a batch of it was sealed. What the feed that has it now published is newer.
pub async fn what_a_former_feed_finishes_late_is_not_what_was_published_last(fixture: &mut impl StateFixture) {
    let (former, now_its, stream) = (feed(), feed(), sample::stream());
    let store = fixture.store();
    let of = |epoch, number| {
        let envelope = sample::envelope(&stream, "ключ", number);
        Envelope { seq: Seq { epoch, number: 1 }, ..envelope }
    };
    let old = store.open_feed(&former, Moment(0)).await.expect("opening a feed").epoch;
    let (left, newer) = (of(old, 1), store.open_feed(&now_its, Moment(0)).await.expect("opening a feed").epoch);
    let left = batch(None, "1", vec![left]);
    store.seal(&former, old, &left).await.expect("sealing");
    let newest = of(newer, 2);
    let batch = batch(None, "1", vec![newest.clone()]);
    store.seal(&now_its, newer, &batch).await.expect("sealing");
    store.advance(&now_its, newer, &batch).await.expect("advancing");
    store.advance(&former, old, &left).await.expect("advancing what was left");
    let known = Published { generation: newest.generation, hash: newest.hash, deleted: false };
    assert_eq!(store.published(&stream, std::slice::from_ref(&newest.key)).await, Ok(vec![Some(known)]));
}

/// The normal round, three times.
pub async fn a_round_moves_cursor_and_last_published_together(fixture: &mut impl StateFixture) {
    let (feed, stream) = (feed(), sample::stream());
    let epoch = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let mut expected: Option<String> = None;
    for round in 0..3u64 {
        let envelopes = sample::run(&stream, round * 5 + 1, round * 5 + 5);
        let next = format!("{{\"до\":{round}}}");
        let batch = batch(expected.as_deref(), &next, envelopes.clone());
        assert_eq!(fixture.store().seal(&feed, epoch, &batch).await, Ok(()));
        let keys: Vec<_> = envelopes.iter().map(|envelope| envelope.key.clone()).collect();
        let before = fixture.store().published(&stream, &keys).await.expect("looking keys up");
        assert!(before.iter().flatten().all(|known| known.generation <= round * 5), "sealing published something");
        assert_eq!(fixture.store().advance(&feed, epoch, &batch).await, Ok(()));
        let after = fixture.store().published(&stream, &keys).await.expect("looking keys up");
        let wanted = |e: &Envelope| Some(Published { generation: e.generation, hash: e.hash, deleted: false });
        assert_eq!(after, envelopes.iter().map(wanted).collect::<Vec<_>>());
        expected = Some(next);
    }
    fixture.reopen().await;
    let state = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a known feed");
    assert_eq!((state.cursor, state.sealed), (Some(Cursor::new("{\"до\":2}")), None));
}

/// R1, R2, R7: same ids, same seq, same order, same cursors.
pub async fn a_sealed_batch_comes_back_after_a_crash(fixture: &mut impl StateFixture) {
    let (feed, stream) = (feed(), sample::stream());
    let epoch = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let batch = batch(None, "после", sample::run(&stream, 1, 6));
    fixture.store().seal(&feed, epoch, &batch).await.expect("sealing");
    for _ in 0..2 {
        fixture.reopen().await;
        let state = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a known feed");
        assert_eq!(state.sealed.as_ref(), Some(&batch));
        assert_eq!(state.cursor, None);
    }
    let state = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a known feed");
    fixture.store().advance(&feed, state.epoch, &batch).await.expect("advancing a predecessor's batch");
    let state = fixture.store().open_feed(&feed, Moment(0)).await.expect("opening a known feed");
    assert_eq!((state.cursor, state.sealed), (Some(Cursor::new("после")), None));
}

/// R3, R4: an older epoch seals nothing and advances nothing.
pub async fn a_zombie_moves_nothing(fixture: &mut impl StateFixture) {
    let (feed, stream) = (feed(), sample::stream());
    let store = fixture.store();
    let zombie = store.open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let old = batch(None, "зомби", sample::run(&stream, 1, 3));
    store.seal(&feed, zombie, &old).await.expect("sealing");
    let ours = store.open_feed(&feed, Moment(0)).await.expect("taking the feed over").epoch;
    assert_eq!(store.advance(&feed, zombie, &old).await, Err(StateError::Fenced));
    assert_eq!(store.advance(&feed, ours, &old).await, Ok(()));
    let next = batch(Some("зомби"), "дальше", sample::run(&stream, 4, 5));
    assert_eq!(store.seal(&feed, zombie, &next).await, Err(StateError::Fenced));
    assert_eq!(store.advance(&feed, zombie, &next).await, Err(StateError::Fenced));
    let state = store.open_feed(&feed, Moment(0)).await.expect("opening a known feed");
    assert_eq!((state.cursor, state.sealed), (Some(Cursor::new("зомби")), None), "the zombie left something");
    let keys = [Key::from_stored("ключ-4")];
    assert_eq!(store.published(&stream, &keys).await, Ok(vec![None]), "the zombie published something");
}

/// The compare of the compare-and-swap, within one epoch.
pub async fn the_cursor_is_compared(fixture: &mut impl StateFixture) {
    let (feed, stream) = (feed(), sample::stream());
    let store = fixture.store();
    let epoch = store.open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let first = batch(None, "1", sample::run(&stream, 1, 2));
    store.seal(&feed, epoch, &first).await.expect("sealing");
    store.advance(&feed, epoch, &first).await.expect("advancing");
    for wrong in [None, Some("0")] {
        let stale = batch(wrong, "2", sample::run(&stream, 3, 4));
        assert_eq!(store.advance(&feed, epoch, &stale).await, Err(StateError::CursorMoved), "after {wrong:?}");
    }
    let keys = [Key::from_stored("ключ-3")];
    assert_eq!(store.published(&stream, &keys).await, Ok(vec![None]), "a refused batch published something");
}

/// A feed has at most one sealed batch: the open one may be published in part, so it is not forgotten.
pub async fn an_open_batch_is_not_replaced_by_another(fixture: &mut impl StateFixture) {
    let (feed, stream) = (feed(), sample::stream());
    let store = fixture.store();
    let epoch = store.open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let open = batch(None, "1", sample::run(&stream, 1, 2));
    store.seal(&feed, epoch, &open).await.expect("sealing");
    assert_eq!(store.seal(&feed, epoch, &open).await, Ok(()), "sealing the same again after doubt");
    assert!(store.seal(&feed, epoch, &batch(None, "1", sample::run(&stream, 3, 4))).await.is_err());
    assert_eq!(store.open_feed(&feed, Moment(0)).await.expect("opening").sealed, Some(open));
}

/// Deleted keys are remembered as such.
pub async fn last_published_follows_deletes_and_generations(fixture: &mut impl StateFixture) {
    let (feed, stream) = (feed(), sample::stream());
    let store = fixture.store();
    let epoch = store.open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let made = sample::envelope(&stream, "ключ", 1);
    let mut gone = sample::envelope(&stream, "ключ", 2);
    gone.operation = Operation::Delete;
    let back = sample::envelope(&stream, "ключ", 3);
    let mut expected = None;
    for (envelope, next) in [(made, "1"), (gone, "2"), (back, "3")] {
        let batch = batch(expected, next, vec![envelope.clone()]);
        store.seal(&feed, epoch, &batch).await.expect("sealing");
        store.advance(&feed, epoch, &batch).await.expect("advancing");
        expected = Some(next);
        let keys = [Key::from_stored("никто"), envelope.key.clone()];
        let deleted = envelope.operation == Operation::Delete;
        let known = Published { generation: envelope.generation, hash: envelope.hash, deleted };
        assert_eq!(store.published(&stream, &keys).await, Ok(vec![None, Some(known)]));
    }
}

/// Deletions by comparison: existing, not seen, in key order, in pages.
pub async fn a_scan_finds_what_it_has_not_seen(fixture: &mut impl StateFixture) {
    let (feed, stream, other) = (feed(), sample::stream(), sample::stream());
    let store = fixture.store();
    let epoch = store.open_feed(&feed, Moment(0)).await.expect("opening a feed").epoch;
    let key = |number: u64| Key::from_stored(&format!("к{number:03}"));
    let mut envelopes: Vec<_> = (1..=20).map(|n| sample::envelope(&stream, key(n).as_str(), n)).collect();
    envelopes[4].operation = Operation::Delete; // к005 is gone already
    envelopes.push(sample::envelope(&other, "к999", 1));
    let batch = batch(None, "1", envelopes);
    store.seal(&feed, epoch, &batch).await.expect("sealing");
    store.advance(&feed, epoch, &batch).await.expect("advancing");

    for _ in 0..2 {
        store.scan_begin(&stream).await.expect("beginning");
        assert_eq!(store.scan_totals(&stream).await, Ok(ScanTotals { existing: 19, missing: 19 }));
        let seen: Vec<_> = (1..=15).map(key).chain([key(500), key(3)]).collect();
        for part in seen.chunks(6) {
            store.scan_seen(&stream, part).await.expect("noting keys");
        }
        assert_eq!(store.scan_totals(&stream).await, Ok(ScanTotals { existing: 19, missing: 5 }));
        let first = store.scan_missing(&stream, None, 3).await.expect("a page");
        assert_eq!(first, [key(16), key(17), key(18)]);
        assert_eq!(store.scan_missing(&stream, first.last(), 3).await, Ok(vec![key(19), key(20)]));
    }
    assert!(store.scan_totals(&other).await.is_err(), "a scan that has not begun has seen nothing, which says nothing");
    store.scan_begin(&other).await.expect("beginning");
    assert_eq!(store.scan_totals(&other).await.map(|totals| totals.existing), Ok(1));
}

/// The same broken row every round is one letter.
pub async fn unreadable_rows_are_kept_once(fixture: &mut impl StateFixture) {
    let stream = sample::stream();
    let row = |raw: &'static [u8], known: Option<&str>| UnreadableRecord {
        stream: stream.clone(),
        raw: raw.into(),
        reason: "нет ключа".into(),
        key: known.map(Key::from_stored),
        label: known.map(|known| format!("УТ-{known}")),
    };
    for _ in 0..2 {
        fixture
            .store()
            .keep_unreadable(&[row(b"\xff\x00one", None), row(b"two", Some("о-2"))])
            .await
            .expect("keeping rows");
        fixture.reopen().await;
    }
    let letters = fixture.store().dead_letters(&DeadFilter::default()).await.expect("listing");
    let letters: Vec<_> = letters.into_iter().filter(|row| row.stream.as_ref() == Some(&stream)).collect();
    assert_eq!(letters.len(), 2);
    assert_eq!(letters[0].letter.raw.as_deref(), Some(b"\xff\x00one".as_slice()));
    assert!(letters.iter().all(|row| row.route.is_none() && row.letter.fault == "unreadable"));
    let known: Vec<_> = letters.iter().map(|row| (row.key.as_ref().map(Key::as_str), row.label.as_deref())).collect();
    assert_eq!(known, [(None, None), (Some("о-2"), Some("УТ-о-2"))], "as far as they could be read");
    let filter = DeadFilter { key: Some("УТ-о-2".into()), ..DeadFilter::default() };
    assert_eq!(fixture.store().dead_letters(&filter).await.expect("listing").len(), 1);
}
