//! What people order at any moment (pauses, loads, resends; rules L1 to L5, L8 and L9) against everything else that may happen at that moment.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bus_core::engine::incident::Kind as Incident;
use bus_core::engine::tasks::Whereabouts;
use bus_core::engine::worker::{Command, Delivered, Load};
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::state::StateStore;
use bus_core::ports::tasks::{Kind as TaskKind, Order, Stage, TaskStore};
use bus_core::vocabulary::{Cursor, Envelope, Moment, RouteName, Seq};
use engine::properties::*;
use engine::*;
use futures::StreamExt;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

fn pause(subject: Subject) -> Pause {
    Pause { subject, who: "anna@erp1".into(), why: "инвентаризация".into(), since: Moment::now() }
}

#[tokio::test]
async fn a_paused_route_or_system_sends_nothing_over_a_restart_and_goes_on_in_order() {
    for subject in [Subject::Route(route()), Subject::System(system())] {
        // Messages in hand grow old at once, so the pause also moves them to `waiting`.
        let setup = Setup { hold: Duration::from_millis(20), ..Setup::with(Kind::Put) };
        let mut world = World::new(setup).await;
        let latch = Latch::default();
        world.receiver.script("a", [Ending::Held(latch.clone())]);
        let worker = world.start();
        world.publish(&[message("a", 1, 1, "1"), message("a", 1, 2, "2"), message("b", 1, 3, "1")]).await;
        latch.reached().await;
        world.until("b to be delivered", async |world: &World| world.receiver.numbers("b") == [3]).await;
        world.pauses().pause(pause(subject.clone())).await.unwrap();
        latch.open();
        world.until("the attempt under way to end", async |world: &World| world.receiver.numbers("a") == [1]).await;
        world.publish(&[message("a", 1, 4, "4"), message("c", 1, 5, "1")]).await;
        world.until("what was in hand to wait", async |world: &World| world.counts().await.waiting > 0).await;
        worker.kill().await;
        world.crash().await;
        assert_eq!(world.pauses().of(&subject).unwrap().why, "инвентаризация");
        assert!(world.incidents.list().iter().any(|incident| incident.kind == Incident::PausedByPerson));

        let worker = world.start();
        // Its own pause ends by itself or by a success; a person's does not.
        worker.resume().await;
        world.until("the worker to look around", async |_: &World| worker.handle.status().waiting > 0).await;
        assert_eq!(worker.handle.status().paused.is_some(), matches!(subject, Subject::Route(_)));
        assert_eq!(world.receiver.effects().len(), 2, "{subject}: nothing more was sent");
        assert!(world.pauses().resume(&subject, "anna@erp1").await.unwrap());
        world.until_idle().await;
        assert_eq!(world.receiver.numbers("a"), [1, 2, 4]);
        assert!(world.incidents.list().is_empty());
        every_message_has_an_outcome(&world).await;
        the_receiver_has_no_complaints(&world);
        worker.stop().await;
    }
}

/// A load or a resend of everything.
fn order(kind: TaskKind) -> Order {
    let (feed, stream, route) = (feed(), stream(), route());
    Order {
        kind,
        feed,
        stream,
        route,
        only: Vec::new(),
        part: None,
        backfill: None,
        share: 50,
        who: "anna@erp1".into(),
    }
}

/// A feed, a route whose queue has lost everything that was published, and a source that holds these.
async fn unfilled(kind: Kind, keys: &[&str]) -> World {
    World::unfilled(Setup { page: 2, ..Setup::with(kind) }, keys).await
}

/// Reads for the oldest task, and hands over until the task has ended or the cut comes: `false`.
async fn fill(world: &World) -> bool {
    let worker = world.start();
    let handle = worker.handle.clone();
    let stop = CancellationToken::new();
    let job = tokio::spawn(world.tasks().clone().run(move |_| Whereabouts::Here(handle.clone()), stop.clone()));
    let whole = async {
        let ended = world.until("the task to end", async |world: &World| open_tasks(world) == 0);
        tokio::select! {
            () = world.read_for_tasks() => {}
            () = ended => {}
        }
        world.until_idle().await;
    };
    let whole = world.survives(whole).await;
    stop.cancel();
    job.abort();
    worker.kill().await;
    whole
}

#[tokio::test]
async fn a_load_waits_for_a_route_that_a_reload_starts_anew_and_fails_without_one() {
    for comes in [true, false] {
        let world = unfilled(Kind::Put, &["a", "b"]).await;
        world.tasks().order(&order(TaskKind::Load)).await.unwrap();
        let worker = world.start();
        let (handle, asked) = (worker.handle.clone(), Arc::new(AtomicUsize::new(0)));
        let looks = Arc::clone(&asked);
        let find = move |_: &RouteName| match (looks.fetch_add(1, Ordering::Relaxed), comes) {
            (0..3, _) => Whereabouts::Away,
            (_, true) => Whereabouts::Here(handle.clone()),
            (_, false) => Whereabouts::Gone,
        };
        let job = tokio::spawn(world.tasks().clone().run(find, CancellationToken::new()));
        tokio::select! {
            () = world.read_for_tasks() => {}
            () = world.until("the task to end", async |world: &World| open_tasks(world) == 0) => {}
        }
        world.until_idle().await;
        job.abort();
        worker.kill().await;
        assert!(asked.load(Ordering::Relaxed) > 3);
        let stage = world.store().tasks().await.unwrap()[0].stage;
        assert_eq!(stage, if comes { Stage::Done } else { Stage::Failed });
        assert_eq!(world.receiver.holds().len(), if comes { 2 } else { 0 });
    }
}

/// The feed was stopped in the moment in which the end of its reading became durable.
#[tokio::test]
async fn what_was_read_is_sent_though_this_process_does_not_know_that_it_was_read() {
    let world = unfilled(Kind::Put, &["a", "b"]).await;
    let id = world.tasks().order(&order(TaskKind::Load)).await.unwrap();
    // Past the list in memory, as it stands when the look behind the commit was cut off.
    world.store().keep_rows(id, 2, &world.sealed()).await.unwrap();
    assert!(world.store().set_stage(id, Stage::Sending, None).await.unwrap());
    assert!(world.tasks().to_read(&feed()).is_some());
    assert!(fill(&world).await);
    assert!(!world.tasks().is_open(id));
    assert_eq!(world.receiver.holds().len(), 2);
}

fn open_tasks(world: &World) -> usize {
    (1..10).filter(|id| world.tasks().is_open(*id)).count()
}

#[tokio::test]
async fn a_load_fills_a_receiver_whatever_is_cut() {
    let cuts = [
        ("source.scan", 2),
        ("store.published", 2),
        ("store.commit", 1),
        ("store.commit", 2),
        ("target.deliver", 2),
        ("store.waiting", 1),
        ("store.settled", 1),
    ];
    let mut cases = Vec::new();
    for kind in [Kind::Put, Kind::Blind] {
        for (operation, nth) in cuts {
            cases.extend([Cut::CrashBefore, Cut::CrashAfter].map(|cut| (kind, operation, nth, cut)));
        }
    }
    // They mostly wait for the queue to be seen empty.
    let story = |(kind, operation, nth, cut)| async move {
        let mut world = unfilled(kind, &["a", "b", "c", "d", "e"]).await;
        assert!(world.receiver.holds().is_empty());
        world.tasks().order(&order(TaskKind::Load)).await.unwrap();
        world.cuts.plan(operation, nth, cut);
        if !fill(&world).await {
            world.crash().await;
            assert!(fill(&world).await, "{kind:?} {operation} {nth}");
        }
        // A receiver that is not idempotent keeps what is in doubt as a letter, as always.
        nothing_is_lost(&world).await;
        blind_receivers_see_no_repeat(&world);
        the_receiver_has_no_complaints(&world);
        effects_follow_history(&world);
        let published: HashSet<_> = world.sealed().into_iter().map(|message| (message.id, message.seq)).collect();
        let effects = world.receiver.effects();
        assert!(effects.iter().all(|one| published.contains(&(one.id, one.seq))), "L1: the same messages: {effects:?}");
    };
    futures::stream::iter(cases).for_each_concurrent(8, story).await;
}

/// Of two rows with one key only the one that was published last is a version, and it is one message.
#[tokio::test]
async fn l1_a_key_that_stands_twice_in_a_page_is_kept_once_as_it_was_published_last() {
    let world = unfilled(Kind::Put, &["a", "b"]).await;
    world.table.show_twice("a", "1");
    world.table.show_twice("b", "0");
    world.tasks().order(&order(TaskKind::Load)).await.unwrap();
    let task = world.tasks().to_read(&feed()).unwrap();
    world.capture().take_stock(&task).await.unwrap();
    let rows = world.store().rows(task.id, 10, 1 << 20).await.unwrap();
    let kept: Vec<_> = rows.iter().map(|(_, row)| (row.key.as_str(), row.body.clone(), row.seq)).collect();
    let sealed = world.sealed();
    let last = |key: &str| sealed.iter().filter(|one| one.key.as_str() == key).map(|one| one.seq).max().unwrap();
    let content = bytes::Bytes::from(table::content("1"));
    assert_eq!(kept, [("a", content.clone(), last("a")), ("b", content, last("b"))]);
}

#[tokio::test]
async fn a_load_keeps_no_more_than_its_bound_and_goes_on_at_its_slice() {
    const BOUND: u64 = 1500;
    let keys: Vec<String> = (0..60).map(|number| format!("k{number}")).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    for again in [false, true] {
        let kind = if again { TaskKind::Resend } else { TaskKind::Load };
        let mut world = World::unfilled(Setup { kept: BOUND, page: 5, ..Setup::with(Kind::Put) }, &keys).await;
        let id = world.tasks().order(&order(kind)).await.unwrap();
        // In the third reading or later, with a page more than a reading has.
        world.cuts.plan("source.scan", 40, Cut::CrashAfter);
        assert!(!fill(&world).await);
        world.crash().await;
        let before = world.store().tasks().await.unwrap().remove(0);
        assert!(before.slice.from > 0 && before.sent > 0, "{before:?}");
        let whole = async {
            while world.tasks().is_open(id) {
                let rows = world.store().rows(id, 1000, usize::MAX).await.unwrap();
                let kept: usize = rows.iter().map(|(_, row)| row.to_frame().len()).sum();
                // A page is kept before it is known to be too much.
                assert!(kept < 2 * BOUND as usize, "{kept}");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let (filled, ()) = tokio::join!(fill(&world), whole);
        assert!(filled);
        assert_eq!(world.receiver.holds().len(), keys.len(), "no key is left out");
        let task = world.store().tasks().await.unwrap().remove(0);
        assert_eq!((task.kept, task.sent), (60, 60), "{task:?}");
        let effects = world.receiver.effects().len();
        assert!(effects < 60 + 15, "what was sent is not sent again, but of the slice under way: {effects}");
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn a_loaded_row_takes_the_place_of_an_older_one_that_waits_where_only_the_latest_counts() {
    for (delivery, expected) in [(Delivered::Latest, &[3][..]), (Delivered::Every, &[2, 3][..])] {
        let setup = Setup { delivery, concurrency: 1, hold: Duration::from_millis(300), ..Setup::with(Kind::Put) };
        let world = World::new(setup).await;
        let latch = Latch::default();
        world.receiver.script("z", [Ending::Held(latch.clone())]);
        let worker = world.start();
        // z is newer than all that is loaded, so nothing older is still in the queue (L8).
        world.publish(&[message("z", 1, 9, "1"), message("a", 1, 2, "1")]).await;
        latch.reached().await;
        // What is in hand of a paused route soon waits, and stays there.
        world.pauses().pause(pause(Subject::Route(route()))).await.unwrap();
        world.until("a to wait", async |world: &World| world.counts().await.waiting == 1).await;
        let load = async |envelopes: Vec<Envelope>| {
            let (reply, answer) = oneshot::channel();
            assert!(
                worker
                    .handle
                    .send(Command::Load(Load { envelopes, again: false, share: 50, who: String::new(), reply }))
                    .await
            );
            answer.await.unwrap()
        };
        let newer = async |_: &World| load(vec![message("a", 1, 3, "2")]).await == [true];
        world.until("a to be out of hand", newer).await;
        assert_eq!(load(vec![message("b", 1, 4, "1")]).await, [true]);
        let line = async || {
            let rows = world.store().waiting(&route(), Moment(i64::MAX), Duration::MAX, 10, usize::MAX).await.unwrap();
            rows.iter().map(|row| row.envelope.seq.number).collect::<Vec<u64>>()
        };
        let in_line: &[u64] = if delivery == Delivered::Latest { &[3, 4] } else { &[2, 3, 4] };
        assert_eq!(line().await, in_line, "{delivery:?}: in the oldest place, or behind it");
        // An older version that a task read says nothing: no doubt, no row.
        assert_eq!(load(vec![message("a", 1, 2, "1")]).await, [true]);
        assert_eq!(line().await, in_line);
        latch.open();
        world.pauses().resume(&Subject::Route(route()), "anna@erp1").await.unwrap();
        world.until_idle().await;
        assert_eq!(world.receiver.numbers("a"), expected, "{delivery:?}");
        worker.stop().await;
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn a_key_that_changes_or_goes_during_a_load_ends_as_the_source_has_it() {
    for kind in KINDS {
        let world = unfilled(kind, &["a", "b", "c"]).await;
        world.tasks().order(&order(TaskKind::Load)).await.unwrap();
        let mut capture = world.capture();
        let task = world.tasks().to_read(&feed()).unwrap();
        capture.take_stock(&task).await.unwrap();
        // Read, kept, and now older than what the live flow brings.
        world.table.put("a", "2");
        assert!(world.capture_all(&mut capture).await);
        world.publish(&[deletion("b", 9, 1)]).await;
        let worker = world.start();
        world.until_idle().await;
        worker.stop().await;
        assert!(fill(&world).await);
        assert_eq!(world.receiver.numbers("a").len(), 1, "{kind:?}: the older version was not sent");
        assert_eq!(world.receiver.holds()["b"], None, "{kind:?}: a delete wins");
        assert_eq!(world.receiver.holds()["c"].as_deref(), Some(&*table::content("1")));
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn a_loaded_row_never_makes_a_message_in_hand_vanish() {
    // L2: the message in hand fails for now, and must find its place before the loaded, newer one.
    let world = World::new(Setup::with(Kind::Put)).await;
    let latch = Latch::default();
    world.receiver.script("a", [Ending::Held(latch.clone()), Ending::Accepted]);
    let worker = world.start();
    // What came last is newer than all that is loaded, so nothing older is still in the queue (L8).
    world.publish(&[message("a", 1, 1, "1"), message("z", 1, 9, "1")]).await;
    latch.reached().await;
    world.until("z to be settled", async |world: &World| world.receiver.numbers("z") == [9]).await;
    let load = |envelopes| {
        let (reply, answer) = oneshot::channel();
        (Command::Load(Load { envelopes, again: false, share: 50, who: String::new(), reply }), answer)
    };
    let (command, answer) = load(vec![message("a", 1, 2, "2"), message("b", 1, 3, "1")]);
    assert!(worker.handle.send(command).await);
    assert_eq!(answer.await.unwrap(), [false, true], "a is in hand: ask again");
    latch.open();
    world.until("a to be settled", async |world: &World| world.depth().await == 0).await;
    let (command, answer) = load(vec![message("a", 1, 2, "2"), message("a", 1, 1, "1")]);
    assert!(worker.handle.send(command).await);
    assert_eq!(answer.await.unwrap(), [true, true]);
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a"), [1, 2]);
    worker.stop().await;
    the_receiver_has_no_complaints(&world);
}

/// L8: of a key with three versions in the queue the last is loaded, or sent again, before the first was taken.
#[tokio::test]
async fn a_loaded_row_never_overtakes_what_is_still_in_the_queue() {
    for again in [false, true] {
        let world = World::new(Setup::with(Kind::Put)).await;
        let versions: Vec<_> = (1..=3).map(|number| message("a", 1, number, &number.to_string())).collect();
        world.publish(&versions).await;
        // Nothing is taken as long as the system is paused.
        world.pauses().pause(pause(Subject::System(system()))).await.unwrap();
        let worker = world.start();
        let offer = async || {
            let (reply, answer) = oneshot::channel();
            let load = Load { envelopes: vec![versions[2].clone()], again, share: 50, who: String::new(), reply };
            assert!(worker.handle.send(Command::Load(load)).await);
            answer.await.unwrap() == [true]
        };
        assert!(!offer().await, "two older ones may be in the queue");
        world.pauses().resume(&Subject::System(system()), "anna@erp1").await.unwrap();
        world.until("the row to be taken", async |_: &World| offer().await).await;
        world.until_idle().await;
        worker.stop().await;
        let expected: &[u64] = if again { &[1, 2, 3, 3] } else { &[1, 2, 3] };
        assert_eq!(world.receiver.numbers("a"), expected, "again: {again}");
    }
}

/// L9: version 2 was sent, and the process killed before that was durable; whether it was also killed before the feed
/// knew that 2 was published (its batch is still sealed) makes no difference.
#[tokio::test]
async fn a_row_never_comes_after_a_newer_version_that_was_sent_before_a_crash() {
    for sealed in [false, true] {
        let mut world = World::new(Setup::with(Kind::Put)).await;
        world.table.put("a", "1");
        let mut capture = world.capture();
        assert!(world.capture_all(&mut capture).await);
        assert!(world.deliver_all().await);
        world.tasks().order(&order(TaskKind::Resend)).await.unwrap();
        let task = world.tasks().to_read(&feed()).unwrap();
        capture.take_stock(&task).await.unwrap();
        // Read and kept; then there is a newer one.
        world.table.put("a", "2");
        if sealed {
            world.cuts.plan("store.advance", 1, Cut::CrashBefore);
            assert!(!world.capture_all(&mut capture).await);
            world.crash().await;
        } else {
            assert!(world.capture_all(&mut capture).await);
        }
        world.cuts.plan("target.deliver", 1, Cut::CrashAfter);
        assert!(!world.deliver_all().await);
        world.crash().await;
        // The row is offered before the queue is taken from.
        world.cuts.plan("broker.consume", 1, Cut::Fail);
        let worker = world.start();
        let handle = worker.handle.clone();
        let (stop, tasks) = (CancellationToken::new(), world.tasks().clone());
        let job = tokio::spawn(tasks.run(move |_| Whereabouts::Here(handle.clone()), stop.clone()));
        world.until("version 2 again", async |world: &World| world.depth().await == 0).await;
        assert!(world.capture_all(&mut world.capture()).await);
        world.until("the task to end", async |world: &World| open_tasks(world) == 0).await;
        world.until_idle().await;
        stop.cancel();
        job.await.unwrap();
        worker.stop().await;
        let sent = world.receiver.effects().into_iter().map(|effect| effect.seq).collect::<Vec<_>>();
        assert!(sent.is_sorted() && sent.len() == 3, "sealed: {sealed}: {sent:?}");
    }
}

#[tokio::test]
async fn a_resend_repeats_what_was_delivered_and_nothing_older() {
    for kind in [Kind::Put, Kind::Blind] {
        let world = World::new(Setup::with(kind)).await;
        for key in ["a", "b"] {
            world.table.put(key, "1");
        }
        let mut capture = world.capture();
        assert!(world.capture_all(&mut capture).await);
        assert!(world.deliver_all().await);
        // A load sends nothing again.
        world.tasks().order(&order(TaskKind::Load)).await.unwrap();
        assert!(fill(&world).await);
        assert_eq!(world.receiver.effects().len(), 2);
        for effect in world.receiver.effects() {
            world.receiver.forgive(&effect.id);
        }
        let only = vec!["a".to_owned()];
        world.tasks().order(&Order { only, ..order(TaskKind::Resend) }).await.unwrap();
        assert!(fill(&world).await);
        assert_eq!((world.receiver.numbers("a").len(), world.receiver.numbers("b").len()), (2, 1), "{kind:?}");
        assert_eq!(world.counts().await.waiting, 0);
        the_receiver_has_no_complaints(&world);
        // A newer version was settled between the order and the send: the older one stays where it is.
        let newer = Seq { epoch: 99, number: 1 };
        world.publish(&[Envelope { seq: newer, ..message("a", 99, 1, "9") }]).await;
        assert!(world.deliver_all().await);
        let worker = world.start();
        let (reply, answer) = oneshot::channel();
        let old = world.sealed().into_iter().find(|message| message.key.as_str() == "a").unwrap();
        let load = Load { envelopes: vec![old], again: true, share: 50, who: String::new(), reply };
        assert!(worker.handle.send(Command::Load(load)).await);
        answer.await.unwrap();
        world.until_idle().await;
        worker.stop().await;
        assert_eq!((world.receiver.numbers("a").len(), world.counts().await.dead), (3, 0), "{kind:?}");
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn live_messages_are_not_kept_waiting_by_a_load() {
    let world = World::new(Setup { concurrency: 1, ..Setup::with(Kind::Put) }).await;
    let latch = Latch::default();
    world.receiver.script("first", [Ending::Held(latch.clone())]);
    let worker = world.start();
    world.publish(&[message("first", 1, 300, "1")]).await;
    latch.reached().await;
    let (reply, answer) = oneshot::channel();
    let envelopes = (0..40).map(|n| message(&format!("load-{n}"), 1, 100 + n, "1")).collect();
    assert!(
        worker.handle.send(Command::Load(Load { envelopes, again: false, share: 25, who: String::new(), reply })).await
    );
    assert_eq!(answer.await.unwrap().len(), 40);
    world.until("the loaded rows to be in hand", async |_: &World| worker.handle.status().in_flight > 40).await;
    let live: Vec<_> = (0..20).map(|n| message(&format!("live-{n}"), 1, 200 + n, "1")).collect();
    world.publish(&live).await;
    world.until("the live ones to be in hand", async |_: &World| worker.handle.status().in_flight > 60).await;
    latch.open();
    world.until_idle().await;
    worker.stop().await;
    let order: Vec<bool> =
        world.receiver.effects().iter().skip(1).map(|effect| effect.key.starts_with("load")).collect();
    let last_live = order.iter().rposition(|loaded| !loaded).unwrap();
    let loaded_before = order[..last_live].iter().filter(|loaded| **loaded).count();
    assert!((5..=8).contains(&loaded_before), "a quarter of the sends, while live ones were ready: {order:?}");
}

#[tokio::test]
async fn a_rewind_finishes_what_was_sealed_and_fences_whoever_had_the_feed() {
    for cut in [Cut::CrashBefore, Cut::CrashAfter] {
        let mut world = World::new(Setup::with(Kind::Keyed)).await;
        world.table.put("a", "1");
        let mut capture = world.capture();
        assert!(world.capture_all(&mut capture).await);
        world.table.put("a", "2");
        world.table.put("b", "1");
        // Sealed, and perhaps published: the end of the process comes before the cursor moves.
        world.cuts.plan("broker.publish", 1, cut.clone());
        assert!(!world.capture_all(&mut capture).await);
        world.crash().await;
        // The source has gone on, and a person goes back to the beginning.
        world.table.put("a", "3");
        let (mut zombie, mut capture) = (world.capture(), world.capture());
        assert!(zombie.round(false).await.is_ok());
        let before = capture.rewind(Cursor::new("0")).await.unwrap();
        assert!(before.is_some());
        world.table.put("a", "4");
        assert!(zombie.round(false).await.is_err(), "whoever read before the rewind moves nothing any more");
        let published = world.sealed().len();
        assert!(world.capture_all(&mut capture).await);
        let again: Vec<_> = world.sealed().split_off(published).into_iter().map(|m| m.key.to_string()).collect();
        assert_eq!(again, ["a"], "b has not changed since it was published");
        assert!(world.deliver_all().await);
        nothing_is_lost(&world).await;
        identities_are_kept(&world);
        effects_follow_history(&world);
        the_receiver_has_no_complaints(&world);
    }
}

/// L8: however often the queue is looked at, it holds more than was taken.
#[tokio::test]
async fn a_row_waits_while_the_queue_holds_what_was_not_taken() {
    let world = World::new(Setup { concurrency: 1, prefetch: 1, ..Setup::with(Kind::Put) }).await;
    let latch = Latch::default();
    world.receiver.script("z", [Ending::Held(latch.clone())]);
    let worker = world.start();
    world.publish(&[message("z", 1, 1, "1"), message("a", 1, 2, "1"), message("a", 1, 3, "2")]).await;
    latch.reached().await;
    let offer = async || {
        let (reply, answer) = oneshot::channel();
        let load =
            Load { envelopes: vec![message("a", 1, 3, "2")], again: false, share: 50, who: String::new(), reply };
        assert!(worker.handle.send(Command::Load(load)).await);
        answer.await.unwrap() == [true]
    };
    assert!(!offer().await);
    world.until("looks at the queue", async |world: &World| world.cuts.calls("broker.depth") >= 3).await;
    assert!(!offer().await, "a has an older version there");
    latch.open();
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a"), [2, 3]);
    worker.stop().await;
}

/// L8: what was in hand goes back to the queue with the connection, so it may come again behind a row.
#[tokio::test]
async fn a_row_waits_again_for_what_went_back_to_the_queue() {
    let world = World::new(Setup { concurrency: 1, ..Setup::with(Kind::Put) }).await;
    let latch = Latch::default();
    world.receiver.script("z", [Ending::Held(latch.clone())]);
    let worker = world.start();
    world.publish(&[message("z", 1, 1, "1"), message("a", 1, 2, "1"), message("a", 1, 3, "2")]).await;
    latch.reached().await;
    world.until("all to be in hand", async |_: &World| worker.handle.status().in_flight == 3).await;
    // Until the test says so, there is no other consumer.
    let again = Latch::default();
    world.cuts.plan("broker.consume", 1, Cut::HoldBefore(again.clone()));
    world.breaks.notify_one();
    again.reached().await;
    let offer = async || {
        let (reply, answer) = oneshot::channel();
        let load =
            Load { envelopes: vec![message("a", 1, 3, "2")], again: false, share: 50, who: String::new(), reply };
        assert!(worker.handle.send(Command::Load(load)).await);
        answer.await.unwrap() == [true]
    };
    assert!(!offer().await, "the version before it is in the queue");
    again.open();
    latch.open();
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("a"), [2, 3]);
    worker.stop().await;
}
