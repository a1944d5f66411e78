//! What people order, as the store keeps it: pauses, edits and imports of dead letters, tasks, moved cursors.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bus_contract::sample;
use bus_core::ports::cursors::{CursorStore, Moved};
use bus_core::ports::pauses::{Pause, PauseStore, Subject};
use bus_core::ports::state::{
    Applied, Change, DeadFilter, DeadLetter, Replay, ReplayMode, SealedBatch, Settlement, StateStore,
};
use bus_core::ports::tasks::{Kind, Order, Stage, TaskStore};
use bus_core::ports::triage::{Edit, Imported, TriageStore};
use bus_core::vocabulary::{Cursor, Envelope, Exchange, FeedName, Moment, Operation, RouteName, Seq};
use bus_storage::{Database, SqliteState};
use bytes::Bytes;

struct Store {
    state: SqliteState,
    _directory: tempfile::TempDir,
}

fn store() -> Store {
    let directory = tempfile::tempdir().unwrap();
    let state = SqliteState::new(Database::open(directory.path().join("bus.db")).unwrap());
    Store { state, _directory: directory }
}

fn route() -> RouteName {
    RouteName::new("в-магазин").unwrap()
}

fn letter(envelope: &Envelope) -> DeadLetter {
    DeadLetter {
        envelope: Some(envelope.clone()),
        raw: None,
        transformed: Some(Bytes::from_static(b"{\"sent\":1}")),
        exchange: Exchange::default(),
        fault: "rejected".into(),
        message: "the receiver answered 422".into(),
        attempts: 1,
        at: Moment::now(),
    }
}

async fn dies(state: &SqliteState, envelope: &Envelope) -> i64 {
    let outcome = Settlement::DeadLettered { letter: Box::new(letter(envelope)), keep_mark: false };
    let settle = Change::Settle { key: envelope.key.clone(), seq: envelope.seq, id: envelope.id, outcome };
    match state.commit(&route(), vec![settle]).await.unwrap()[0] {
        Applied::Dead(id) => id,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_pause_is_kept_with_its_latest_words_until_it_is_ended() {
    let Store { state, _directory } = store();
    let subject = Subject::Route(route());
    for why in ["первое", "второе"] {
        let pause = Pause { subject: subject.clone(), who: "anna@erp1".into(), why: why.into(), since: Moment(7) };
        state.keep_pause(&pause).await.unwrap();
    }
    let kept = state.pauses().await.unwrap();
    assert_eq!(kept.iter().map(|pause| pause.why.as_str()).collect::<Vec<_>>(), ["второе"]);
    assert!(state.end_pause(&subject).await.unwrap());
    assert!(!state.end_pause(&subject).await.unwrap());
    assert!(state.pauses().await.unwrap().is_empty());
}

#[tokio::test]
async fn an_edit_keeps_the_first_original_and_its_number_goes_with_the_message() {
    let Store { state, _directory } = store();
    let envelope = sample::run(&sample::stream(), 1, 1).remove(0);
    let id = dies(&state, &envelope).await;
    let record = |text: &'static str| Edit::Record(Bytes::from_static(text.as_bytes()));
    assert_eq!(state.edit_dead(id, &record("{\"a\":1}"), "anna").await, Ok(Some(1)));
    let body = Bytes::from_static(b"{\"b\":2}");
    assert_eq!(state.edit_dead(id, &Edit::Body(body.clone()), "boris").await, Ok(Some(2)));
    assert_eq!(state.edit_dead(id + 1, &record("{}"), "anna").await, Ok(None));
    let row = state.dead_letters(&DeadFilter::default()).await.unwrap().remove(0);
    assert_eq!(row.history.original_record, Some(envelope.body.clone()));
    assert_eq!(row.history.original_body, Some(Bytes::from_static(b"{\"sent\":1}")));
    assert_eq!((row.history.edits, row.history.editor.as_deref(), row.history.replays), (2, Some("boris"), 0));
    assert_eq!(row.letter.envelope.as_ref().unwrap().id, envelope.id, "it is the same message");

    assert!(matches!(state.replay(id, ReplayMode::Careful).await, Ok(Replay::Waiting { .. })));
    let waiting = state.waiting(&route(), Moment::now(), Duration::MAX, 10, usize::MAX).await.unwrap().remove(0);
    let edited = waiting.edited.unwrap();
    assert_eq!((edited.number, edited.body, &waiting.envelope.body[..]), (2, Some(body), &b"{\"a\":1}"[..]));
    // Dead again, its history goes on; delivered, nobody asks any more.
    let again = dies(&state, &waiting.envelope).await;
    let row = state.dead_letters(&DeadFilter::default()).await.unwrap().remove(0);
    assert_eq!((row.id, row.history.replays, row.history.edits), (again, 1, 2));
    state.replay(again, ReplayMode::Careful).await.unwrap();
    let outcome = Settlement::Delivered { present: true, receiver_id: None };
    let settle = Change::Settle { key: envelope.key.clone(), seq: envelope.seq, id: envelope.id, outcome };
    state.commit(&route(), vec![settle]).await.unwrap();
    assert_eq!(state.import_dead(&route(), &letter(&envelope), "anna").await, Ok(Imported::Delivered));
}

#[tokio::test]
async fn an_import_edits_restores_or_is_refused() {
    let Store { state, _directory } = store();
    let envelope = sample::run(&sample::stream(), 1, 1).remove(0);
    let import = async |letter: DeadLetter| state.import_dead(&route(), &letter, "anna").await.unwrap();
    assert_eq!(import(letter(&envelope)).await, Imported::Unknown, "nobody has settled that message here");
    let id = dies(&state, &envelope).await;
    assert_eq!(import(letter(&envelope)).await, Imported::Unchanged);
    let other = Envelope { body: Bytes::from_static(b"{\"x\":1}"), ..envelope.clone() };
    assert_eq!(import(letter(&other)).await, Imported::Edited);
    assert!(state.drop_dead(id).await.unwrap());
    assert_eq!(import(letter(&other)).await, Imported::Restored);
    let row = state.dead_letters(&DeadFilter::default()).await.unwrap().remove(0);
    assert_eq!(row.history.edits, 1, "it came back with another record than it was sealed with");
    let newer = Envelope { seq: Seq { epoch: 9, number: 9 }, ..envelope };
    let newer = Envelope { id: bus_core::vocabulary::MessageId::from_bytes([9; 16]), ..newer };
    assert_eq!(import(letter(&newer)).await, Imported::Unknown, "of another bus, or under way");
}

#[tokio::test]
async fn letters_are_chosen_by_group_range_and_time() {
    let Store { state, _directory } = store();
    let mut numbers = Vec::new();
    for envelope in sample::run(&sample::stream(), 1, 4) {
        numbers.push(dies(&state, &envelope).await);
    }
    let groups = state.dead_groups(None).await.unwrap();
    assert_eq!(groups.iter().map(|group| (group.count, group.example)).collect::<Vec<_>>(), [(4, numbers[3])]);
    let ids = async |filter: DeadFilter| {
        let rows = state.dead_letters(&filter).await.unwrap();
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let all = DeadFilter::default;
    assert_eq!(ids(DeadFilter { group: Some(groups[0].id.clone()), limit: 2, ..all() }).await, numbers[2..]);
    assert!(ids(DeadFilter { group: Some("00000000".into()), ..all() }).await.is_empty());
    assert_eq!(ids(DeadFilter { from: Some(numbers[1]), to: Some(numbers[2]), ..all() }).await, numbers[1..3]);
    assert!(ids(DeadFilter { until: Some(Moment(1)), ..all() }).await.is_empty());
    assert_eq!(ids(DeadFilter { since: Some(Moment(1)), ..all() }).await.len(), 4);
}

#[tokio::test]
async fn a_task_forgets_what_it_kept_when_it_ends_and_keeps_nothing_afterwards() {
    let Store { state, _directory } = store();
    let stream = sample::stream();
    let feed = FeedName::new("склад").unwrap();
    let order = Order {
        kind: Kind::Load,
        feed,
        stream: stream.clone(),
        route: route(),
        only: vec![],
        part: None,
        backfill: None,
        share: 50,
        who: "a".into(),
    };
    let id = state.order_task(&order).await.unwrap();
    let rows = sample::run(&stream, 1, 3);
    state.keep_rows(id, 3, &rows).await.unwrap();
    // A scan that begins again begins at nothing.
    assert!(state.begin_reading(id).await.unwrap());
    state.keep_rows(id, 3, &rows[..2]).await.unwrap();
    let kept = state.rows(id, 10, usize::MAX).await.unwrap();
    assert_eq!(kept.iter().map(|(_, envelope)| envelope.clone()).collect::<Vec<_>>(), rows[..2]);
    assert_eq!(state.rows(id, 10, 1).await.unwrap(), kept[..1], "one large row, and never none");
    state.set_stage(id, Stage::Sending, None).await.unwrap();
    assert!(!state.begin_reading(id).await.unwrap(), "it is read, and its rows stay");
    assert_eq!(state.rows(id, 10, usize::MAX).await.unwrap(), kept);
    state.forget_rows(id, &[kept[0].0]).await.unwrap();
    let task = state.tasks().await.unwrap().remove(0);
    assert_eq!((task.order, task.read, task.kept, task.sent), (order, 3, 2, 1));
    assert!(state.set_stage(id, Stage::Cancelled, None).await.unwrap());
    assert!(!state.set_stage(id, Stage::Done, None).await.unwrap(), "it has ended");
    state.keep_rows(id, 1, &rows).await.unwrap();
    assert!(state.rows(id, 10, usize::MAX).await.unwrap().is_empty());
    assert!(state.tasks().await.unwrap()[0].ended.is_some());
}

#[tokio::test]
async fn a_cursor_moves_only_when_nothing_is_sealed_and_fences_who_had_the_feed() {
    let Store { state, _directory } = store();
    let feed = FeedName::new("склад").unwrap();
    let to = Cursor::new("7");
    assert_eq!(state.move_cursor(&feed, &to, false).await, Ok(Moved::Unknown));
    let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    let stream = sample::stream();
    let envelopes = sample::run(&stream, epoch, 1);
    let batch = SealedBatch { expected: None, next: Some(Cursor::new("9")), envelopes: envelopes.clone() };
    state.seal(&feed, epoch, &batch).await.unwrap();
    assert_eq!(state.move_cursor(&feed, &to, false).await, Ok(Moved::Sealed));
    state.advance(&feed, epoch, &batch).await.unwrap();
    let place = state.places(&stream, &[envelopes[0].key.clone()]).await.unwrap()[0].unwrap();
    assert_eq!((place.seq, place.hash), (envelopes[0].seq, envelopes[0].hash));
    assert_eq!(state.move_cursor(&feed, &to, false).await, Ok(Moved::Yes));
    let moved = &state.standings().await.unwrap()[0];
    assert_eq!((moved.cursor.as_ref(), moved.sealed, moved.epoch > epoch), (Some(&to), false, true));
    let stale = SealedBatch { expected: Some(Cursor::new("9")), next: None, envelopes: Vec::new() };
    assert!(state.seal(&feed, epoch, &stale).await.is_err());
}

#[tokio::test]
async fn a_sealed_batch_that_is_given_up_leaves_nothing_that_could_pass_for_published() {
    let Store { state, _directory } = store();
    let (feed, stream) = (FeedName::new("склад").unwrap(), sample::stream());
    let epoch = state.open_feed(&feed, Moment(0)).await.unwrap().epoch;
    let first = sample::run(&stream, epoch, 1);
    let batch = SealedBatch { expected: None, next: Some(Cursor::new("5")), envelopes: first.clone() };
    state.seal(&feed, epoch, &batch).await.unwrap();
    state.advance(&feed, epoch, &batch).await.unwrap();
    let keys = [first[0].key.clone()];
    let before = state.published(&stream, &keys).await.unwrap()[0].unwrap();
    // The next version is sealed and perhaps published, and a person wants to go on without it.
    let next = Envelope { generation: 2, operation: Operation::Delete, ..first[0].clone() };
    let batch = SealedBatch { expected: Some(Cursor::new("5")), next: Some(Cursor::new("9")), envelopes: vec![next] };
    state.seal(&feed, epoch, &batch).await.unwrap();
    let to = Cursor::new("1");
    assert_eq!(state.move_cursor(&feed, &to, false).await, Ok(Moved::Sealed));
    assert_eq!(state.move_cursor(&feed, &to, true).await, Ok(Moved::GivenUp(1)));
    let after = state.published(&stream, &keys).await.unwrap()[0].unwrap();
    assert_eq!((after.generation, after.deleted), (2, false), "its id is never given again, and it is found missing");
    assert_ne!(after.hash, before.hash, "what was before is a change, too: the receiver may have the other one");
    let opened = state.open_feed(&feed, Moment(0)).await.unwrap();
    assert_eq!((opened.sealed, opened.cursor), (None, Some(to)));
}
