//! `batch`, D13: several keys in one request, an outcome for each; one that spoils its request; crashes anywhere.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::collections::BTreeMap;
use std::time::Duration;

use bus_core::engine::worker::{Batch, Command, Delivered, Load};
use bus_core::policy::{BreakerOptions, RetryPolicy};
use bus_core::ports::state::{HoldReason, StateStore};
use bus_core::vocabulary::{Envelope, Moment};
use engine::properties::*;
use engine::*;
use tokio::sync::oneshot;

const HOUR: Duration = Duration::from_secs(3600);

fn batched(kind: Kind, max: usize, wait: Duration) -> Setup {
    Setup { batch: Some(Batch { max, wait, bytes: 1 << 20 }), ..Setup::with(kind) }
}

/// One request at a time. What is published together goes together: it is there long before the wait is over.
fn in_sizes_of(kind: Kind, max: usize) -> Setup {
    let prefetch = u16::try_from(max).unwrap();
    Setup { concurrency: 1, prefetch, ..batched(kind, max, Duration::from_millis(400)) }
}

fn messages(keys: &str) -> Vec<Envelope> {
    (1..).zip(keys.chars()).map(|(number, key)| message(&key.to_string(), 1, number, &number.to_string())).collect()
}

/// Each request as the letters of its keys.
fn carried(world: &World) -> Vec<String> {
    world.receiver.carried().into_iter().map(|keys| keys.concat()).collect()
}

/// How often each key's message was accepted.
fn accepted(world: &World) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for (key, seq, how) in world.receiver.attempts() {
        *times.entry(format!("{key}{seq}")).or_insert(0) += usize::from(how == "accepted");
    }
    times
}

#[tokio::test]
async fn d13_a_request_holds_each_key_once_and_versions_follow_in_order() {
    for kind in KINDS {
        let world = World::new(Setup { concurrency: 1, ..batched(kind, 10, Duration::from_millis(200)) }).await;
        world.publish(&messages("abacb")).await;
        assert!(world.deliver_all().await);
        let requests: Vec<String> = carried(&world);
        assert!(requests.len() == 2 && requests[0] == "abc", "{kind:?}: {requests:?}");
        assert!(requests[1].len() == 2 && requests[1].contains('a') && requests[1].contains('b'), "{requests:?}");
        assert_eq!(world.receiver.numbers("a"), [1, 3]);
        the_receiver_has_no_complaints(&world);
        every_message_has_an_outcome(&world).await;
    }
}

#[tokio::test]
async fn d13_a_request_goes_when_it_is_full_or_no_more_can_come() {
    let world = World::new(Setup { concurrency: 1, prefetch: 5, ..batched(Kind::Put, 3, HOUR) }).await;
    world.publish(&messages("abcdefghij")).await;
    let worker = world.start();
    world.until("three requests", async |world: &World| world.receiver.carried().len() >= 3).await;
    assert_eq!(carried(&world)[..3], ["abc", "def", "ghi"]);
    worker.stop().await;
    // The last one waits for others, for an hour.
    assert_eq!((world.depth().await, world.receiver.carried().len()), (1, 3));
}

/// More than are prepared ahead where each has a request of its own.
#[tokio::test]
async fn d13_a_request_holds_as_many_as_it_may() {
    let world = World::new(Setup { concurrency: 1, prefetch: 1300, ..batched(Kind::Put, 600, HOUR) }).await;
    let all: Vec<_> = (1..=650).map(|number| message(&format!("k{number}"), 1, number, "1")).collect();
    world.publish(&all).await;
    let worker = world.start();
    world.until("a request", async |world: &World| !world.receiver.carried().is_empty()).await;
    assert_eq!(world.receiver.carried()[0].len(), 600);
    worker.stop().await;
}

/// Whether a paused route works again is found out with one message, whatever may go at the same time.
#[tokio::test]
async fn d13_one_message_at_a_time_after_a_pause() {
    for batch in [None, Some(Batch { max: 2, wait: Duration::from_millis(1), bytes: 1 << 20 })] {
        let world = World::new(Setup { batch, pause: Duration::from_millis(20), ..Setup::with(Kind::Put) }).await;
        world.receiver.always(Some(Ending::Misconfigured));
        world.publish(&messages("abcdefgh")).await;
        let worker = world.start();
        // At first as many as may: at most eight. Since then one after each pause.
        world.until("probes", async |world: &World| world.receiver.attempts().len() >= 10).await;
        let under_way = |world: &World| world.receiver.carried().concat().len() - world.receiver.attempts().len();
        let probe = Latch::default();
        world.receiver.always(Some(Ending::Held(probe.clone())));
        probe.reached().await;
        let later = message("i", 1, 9, "1");
        world.publish(&[later]).await;
        world.until("all in hand", async |_: &World| worker.handle.status().in_flight == 9).await;
        assert_eq!(under_way(&world), 1, "{batch:?}");
        probe.open();
        world.until_idle().await;
        assert_eq!(world.receiver.effects().len(), 9, "and then all of them go");
        worker.stop().await;
    }
}

#[tokio::test]
async fn d13_a_request_is_bounded_by_bytes() {
    let one = table::content("1").len() + 1;
    let batch = Some(Batch { max: 10, wait: HOUR, bytes: one * 2 });
    let world = World::new(Setup { batch, prefetch: 8, concurrency: 1, ..Setup::with(Kind::Put) }).await;
    world.publish(&messages("abcde")).await;
    let worker = world.start();
    world.until("two requests", async |world: &World| world.receiver.carried().len() >= 2).await;
    assert_eq!(carried(&world), ["ab", "cd"]);
    worker.stop().await;
}

#[tokio::test]
async fn d13_each_has_its_own_outcome_and_what_was_accepted_is_not_sent_again() {
    for kind in KINDS {
        let world = World::new(in_sizes_of(kind, 5)).await;
        world.receiver.script("b", [Ending::Busy, Ending::Busy]);
        world.receiver.script("c", [Ending::Rejected]);
        world.receiver.script("d", [Ending::SilentLost]);
        world.publish(&messages("abcde")).await;
        let worker = world.start();
        world
            .until("all outcomes", async |world: &World| {
                let dead = world.dead().await.len();
                world.depth().await == 0 && dead + world.receiver.effects().len() >= 5
            })
            .await;
        worker.stop().await;
        assert_eq!(carried(&world)[0], "abcde");
        assert!(accepted(&world).values().all(|times| *times <= 1), "{kind:?}: {:?}", accepted(&world));
        assert_eq!(world.dead().await.len(), if kind == Kind::Blind { 2 } else { 1 });
        the_receiver_has_no_complaints(&world);
        every_message_has_an_outcome(&world).await;
    }
}

#[tokio::test]
async fn d13_one_that_spoils_its_requests_takes_no_other_with_it() {
    for kind in KINDS {
        let world = World::new(in_sizes_of(kind, 16)).await;
        world.receiver.poison("k");
        world.publish(&messages("abcdefghijklmnop")).await;
        assert!(world.deliver_all().await);
        let dead = world.dead().await;
        let letters: Vec<&str> = dead.iter().map(|row| row.letter.envelope.as_ref().unwrap().key.as_str()).collect();
        assert_eq!(letters, ["k"], "{kind:?}");
        assert!(dead[0].letter.attempts == 1, "being in a bad request is no attempt of one's own");
        // Halved four times, from one side.
        assert!(carried(&world).len() <= 9, "{:?}", carried(&world));
        let accepted = accepted(&world);
        assert_eq!((accepted.len(), accepted.values().sum::<usize>()), (16, 15), "{accepted:?}");
        the_receiver_has_no_complaints(&world);
        blind_receivers_see_no_repeat(&world);
    }
}

#[tokio::test]
async fn d13_a_request_that_fails_as_a_whole_is_no_dead_letter_of_any() {
    for kind in KINDS {
        for ending in [Ending::Unavailable, Ending::Throttled(Some(Duration::from_millis(1))), Ending::Busy] {
            // The first failure spends the whole budget.
            let retry = RetryPolicy { attempts: 1, ..Setup::default().retry };
            let world = World::new(Setup { retry, ..in_sizes_of(kind, 4) }).await;
            world.receiver.script_requests([ending.clone()]);
            world.publish(&messages("abcd")).await;
            assert!(world.deliver_all().await);
            assert_eq!(world.dead().await.len(), 0, "{kind:?} {ending:?}");
            let all = accepted(&world);
            assert!(all.len() == 4 && all.values().all(|times| *times == 1), "{kind:?} {ending:?}: {all:?}");
            the_receiver_has_no_complaints(&world);
        }
    }
}

#[tokio::test]
async fn d13_what_failed_takes_nothing_fresh_with_it() {
    let world = World::new(Setup { concurrency: 1, ..batched(Kind::Put, 8, Duration::from_millis(20)) }).await;
    world.receiver.script_requests([Ending::Busy]);
    world.publish(&messages("abcd")).await;
    let worker = world.start();
    world.until("the first request", async |world: &World| !world.receiver.carried().is_empty()).await;
    world.publish(&[message("e", 1, 5, "5"), message("f", 1, 6, "6")]).await;
    world.until_idle().await;
    worker.stop().await;
    for request in &carried(&world)[1..] {
        let fresh = request.chars().filter(|key| "ef".contains(*key)).count();
        assert!(fresh == 0 || fresh == request.len(), "{:?}", carried(&world));
        assert!(fresh > 0 || request.len() <= 2, "a quarter of eight: {:?}", carried(&world));
    }
    every_message_has_an_outcome(&world).await;
}

#[tokio::test]
async fn d13_a_probe_is_one_message() {
    let breaker = BreakerOptions { failures: 1, ..Setup::default().breaker };
    let world = World::new(Setup { breaker, ..in_sizes_of(Kind::Put, 4) }).await;
    world.receiver.script_requests([Ending::Unavailable, Ending::Unavailable]);
    world.publish(&messages("abcd")).await;
    let worker = world.start();
    world.until("the probes", async |world: &World| world.receiver.carried().len() >= 3).await;
    let sizes: Vec<usize> = carried(&world).iter().map(String::len).collect();
    assert_eq!(sizes[..3], [4, 1, 1]);
    worker.stop().await;
}

#[tokio::test]
async fn d13_a_lost_answer_leaves_every_one_of_a_blind_receiver_in_doubt() {
    for ending in [Ending::SilentApplied, Ending::SilentLost] {
        let world = World::new(in_sizes_of(Kind::Blind, 3)).await;
        world.receiver.script_requests([ending]);
        world.publish(&messages("abc")).await;
        assert!(world.deliver_all().await);
        assert_eq!(world.dead().await.len(), 3);
        assert_eq!(carried(&world), ["abc"], "nothing is sent blindly again");
        the_receiver_has_no_complaints(&world);
    }
}

/// All marks are one commit before the request.
#[tokio::test]
async fn d13_a_crash_around_a_request_leaves_every_one_of_a_blind_receiver_in_doubt() {
    for (cut, sent) in [(Cut::CrashBefore, 0), (Cut::CrashAfter, 3)] {
        let mut world = World::new(in_sizes_of(Kind::Blind, 3)).await;
        world.cuts.plan("target.deliver", 1, cut.clone());
        world.publish(&messages("abc")).await;
        assert!(!world.deliver_all().await);
        world.crash().await;
        assert!(world.deliver_all().await);
        let doubts = world.dead().await.iter().filter(|row| row.letter.fault == "ambiguous").count();
        assert_eq!((doubts, world.receiver.effects().len()), (3, sent), "{cut:?}");
        the_receiver_has_no_complaints(&world);
    }
}

#[tokio::test]
async fn d13_deletions_go_alone() {
    let world = World::new(in_sizes_of(Kind::Put, 4)).await;
    world.publish(&[message("a", 1, 1, "1"), deletion("b", 1, 2), message("c", 1, 3, "3"), deletion("d", 1, 4)]).await;
    assert!(world.deliver_all().await);
    let mut requests = carried(&world);
    requests.sort();
    assert_eq!(requests, ["ac", "b", "d"]);
}

/// Else ten bad records in one request of fifty would look like a broken route.
#[tokio::test]
async fn d13_rejects_beside_an_accepted_one_do_not_pause_the_route() {
    for (rejected, paused) in [(11, false), (12, true)] {
        let world = World::new(in_sizes_of(Kind::Put, 12)).await;
        let keys = "abcdefghijkl";
        for key in keys.chars().take(rejected) {
            world.receiver.script(&key.to_string(), [Ending::Rejected]);
        }
        world.publish(&messages(keys)).await;
        let worker = world.start();
        world
            .until("the request to be settled", async |world: &World| {
                let (dead, waiting) = (world.dead().await.len(), world.counts().await.waiting);
                world.depth().await == 0 && dead + waiting as usize >= rejected
            })
            .await;
        world.until("a pause, or none", async |_: &World| worker.handle.status().paused.is_some() == paused).await;
        assert_eq!(world.dead().await.is_empty(), paused, "letters of a run come back");
        worker.stop().await;
    }
}

/// A replaced version inherits how long the one before it has waited.
#[tokio::test]
async fn d13_a_key_that_always_changes_does_not_wait_for_company_for_ever() {
    let setup = batched(Kind::Put, 10, Duration::from_millis(100));
    let world = World::new(Setup { delivery: Delivered::Latest, ..setup }).await;
    let worker = world.start();
    let mut number = 0;
    world
        .until("it to be delivered", async |world: &World| {
            number += 1;
            world.publish(&[message("a", 1, number, &number.to_string())]).await;
            !world.receiver.effects().is_empty()
        })
        .await;
    world.until_idle().await;
    worker.stop().await;
    assert_eq!(world.receiver.numbers("a").last(), Some(&number));
    the_receiver_has_no_complaints(&world);
}

#[tokio::test]
async fn d13_a_stopped_worker_gives_back_what_was_gathering() {
    let mut world = World::new(batched(Kind::Put, 10, HOUR)).await;
    world.publish(&messages("ab")).await;
    let worker = world.start();
    world.until("both in hand", async |_: &World| worker.handle.status().in_flight == 2).await;
    worker.stop().await;
    assert_eq!((world.depth().await, world.receiver.carried().len()), (2, 0));
    world.reconfigure(|setup| setup.batch = None);
    assert!(world.deliver_all().await);
    assert_eq!(world.receiver.effects().len(), 2);
}

/// A replay is one message among others.
#[tokio::test]
async fn d13_a_replay_goes_with_others() {
    let world = World::new(Setup { concurrency: 1, ..batched(Kind::Put, 4, Duration::from_millis(30)) }).await;
    world.receiver.script("b", [Ending::Rejected]);
    world.publish(&messages("ab")).await;
    let worker = world.start();
    world.until("the letter", async |world: &World| world.dead().await.len() == 1).await;
    worker.replay(world.dead().await[0].id, false).await.unwrap();
    world.until_idle().await;
    assert_eq!(world.receiver.numbers("b"), [2]);
    assert_eq!(accepted(&world)["a1"], 1);
    worker.stop().await;
}

/// What of a request is cut is told by nobody: two keys twice, one that is busy and one that is refused.
async fn cut_at(kind: Kind, delivery: Delivered, operation: &'static str, call: usize, cut: Cut) {
    let setup = Setup { delivery, ..batched(kind, 3, Duration::from_millis(5)) };
    let mut world = World::new(setup).await;
    world.receiver.script("b", [Ending::Busy]);
    world.receiver.script("c", [Ending::Rejected]);
    world.receiver.script_requests([Ending::Rejected]);
    world.cuts.plan(operation, call, cut.clone());
    world.publish(&messages("abcdab")).await;
    while !world.deliver_all().await {
        world.crash().await;
    }
    let story = format!("{kind:?} {delivery:?} {operation} {call} {cut:?}");
    the_receiver_has_no_complaints(&world);
    blind_receivers_see_no_repeat(&world);
    if delivery == Delivered::Every {
        every_message_has_an_outcome(&world).await;
    }
    let dead = world.dead().await;
    let most = if kind == Kind::Blind { 1 + 3 } else { 1 };
    assert!(dead.len() <= most, "{story}: {} dead letters", dead.len());
    for (key, last) in [("a", 5), ("b", 6), ("d", 4)] {
        let is_dead = dead.iter().any(|row| row.letter.envelope.as_ref().is_some_and(|e| e.key.as_str() == key));
        assert!(is_dead || world.receiver.numbers(key).last() == Some(&last), "{story}: {key}");
    }
    // Once accepted and not in doubt, a message is sent again only if a crash forgot its outcome.
    let again: usize = accepted(&world).values().map(|times| times.saturating_sub(1)).sum();
    let forgotten = if kind == Kind::Blind { 0 } else { 3 };
    assert!(again <= forgotten, "{story}: {:?}", accepted(&world));
}

#[tokio::test]
async fn d13_a_crash_anywhere_leaves_each_with_its_outcome() {
    let operations = [
        "store.settled",
        "store.marked",
        "store.mark",
        "store.commit",
        "store.waiting",
        "target.deliver",
        "broker.ack",
    ];
    for kind in KINDS {
        for delivery in [Delivered::Every, Delivered::Latest] {
            let mut beside = Vec::new();
            for operation in operations {
                for call in 1..=4 {
                    for cut in [Cut::CrashBefore, Cut::CrashAfter] {
                        beside.push(cut_at(kind, delivery, operation, call, cut));
                    }
                }
            }
            futures::future::join_all(beside).await;
        }
    }
}

/// Rows of `waiting` that were due together go together.
#[tokio::test]
async fn d13_what_waited_goes_together_too() {
    let world = World::new(Setup { concurrency: 1, ..batched(Kind::Put, 16, Duration::from_millis(300)) }).await;
    world.receiver.script_requests([Ending::Busy]);
    world.publish(&messages("abcd")).await;
    let worker = world.start();
    world
        .until("all to wait", async |world: &World| {
            let rows = world.store().waiting(&route(), Moment(i64::MAX), Duration::MAX, 10, usize::MAX).await.unwrap();
            rows.len() == 4 && rows.iter().all(|row| row.reason == HoldReason::Retry) || world.depth().await == 0
        })
        .await;
    world.until_idle().await;
    worker.stop().await;
    assert_eq!(carried(&world).len(), 2, "{:?}", carried(&world));
    assert_eq!(carried(&world)[1].len(), 4);
}

/// Fewer than a request may hold, and for an hour nothing else can be taken.
#[tokio::test]
async fn d13_a_request_does_not_wait_for_what_cannot_come() {
    let world = World::new(Setup { concurrency: 1, prefetch: 3, ..batched(Kind::Put, 10, HOUR) }).await;
    world.publish(&messages("abcd")).await;
    let worker = world.start();
    world.until("a request", async |world: &World| !world.receiver.carried().is_empty()).await;
    assert_eq!(carried(&world)[0], "abc");
    worker.stop().await;
}

#[tokio::test]
async fn d13_what_was_in_a_request_does_not_wait_again() {
    let world = World::new(Setup { concurrency: 1, ..batched(Kind::Put, 4, HOUR) }).await;
    world.receiver.script("a", [Ending::Throttled(Some(Duration::from_millis(1)))]);
    world.publish(&messages("abcd")).await;
    assert!(world.deliver_all().await);
    assert_eq!(carried(&world), ["abcd", "a"]);
}

/// A verdict of its own is no reason to try it in other company.
#[tokio::test]
async fn d13_what_is_rejected_by_name_is_not_sent_again() {
    for kind in KINDS {
        let world = World::new(in_sizes_of(kind, 4)).await;
        world.receiver.script("b", [Ending::Rejected]);
        world.publish(&messages("abcd")).await;
        assert!(world.deliver_all().await);
        assert_eq!(carried(&world), ["abcd"], "{kind:?}");
        assert_eq!(world.dead().await.len(), 1);
    }
}

/// Whether it works again is found out with one message.
#[tokio::test]
async fn d13_after_a_pause_one_message_goes_first() {
    let setup = Setup { pause: Duration::from_millis(50), ..in_sizes_of(Kind::Put, 4) };
    let world = World::new(setup).await;
    world.receiver.script_requests([Ending::Misconfigured]);
    world.publish(&messages("abcd")).await;
    assert!(world.deliver_all().await);
    let sizes: Vec<usize> = carried(&world).iter().map(String::len).collect();
    assert_eq!(sizes[..2], [4, 1]);
    assert_eq!(world.receiver.effects().len(), 4);
}

/// Rows of a task share no request with live messages, and take no more than their share of the requests.
#[tokio::test]
async fn d13_a_task_has_requests_of_its_own() {
    let world = World::new(Setup { concurrency: 1, prefetch: 16, ..batched(Kind::Put, 2, Duration::ZERO) }).await;
    let latch = Latch::default();
    world.receiver.script("z", [Ending::Held(latch.clone())]);
    let worker = world.start();
    world.publish(&[message("z", 1, 300, "1")]).await;
    latch.reached().await;
    let (reply, answer) = oneshot::channel();
    let envelopes = (0..16).map(|n| message(&format!("L{n:02}"), 1, 100 + n, "1")).collect();
    assert!(
        worker.handle.send(Command::Load(Load { envelopes, again: false, share: 25, who: String::new(), reply })).await
    );
    assert_eq!(answer.await.unwrap(), [true; 16]);
    world.until("the loaded rows to be in hand", async |_: &World| worker.handle.status().in_flight == 17).await;
    let live: Vec<_> = (0..8).map(|n| message(&format!("l{n:02}"), 1, 301 + n, "1")).collect();
    world.publish(&live).await;
    world.until("the live ones to be in hand", async |_: &World| worker.handle.status().in_flight == 25).await;
    latch.open();
    world.until_idle().await;
    worker.stop().await;
    let requests: Vec<String> =
        carried(&world)[1..].iter().map(|keys| keys.chars().filter(|c| c.is_alphabetic()).collect()).collect();
    assert!(requests.iter().all(|kinds| ["LL", "ll", "l"].contains(&kinds.as_str())), "{requests:?}");
    let last_live = requests.iter().rposition(|kinds| kinds.starts_with('l')).unwrap();
    let loaded = requests[..last_live].iter().filter(|kinds| *kinds == "LL").count();
    assert!((1..=2).contains(&loaded), "a quarter of the requests, while live ones were ready: {requests:?}");
}
