//! Both ways without echo (E1 to E5), where an attempt of one route meets a message of the other.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bus_core::engine::echo::{By, Echo, Reader, UnderWay};
use bus_core::engine::worker::Batch;
use bus_core::policy::RetryPolicy;
use bus_core::policy::echo::Write;
use bus_core::ports::echo::{Compare, WriteLog};
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{ContentHash, Moment, Operation, RouteName};
use bus_storage::SqliteWrites;
use engine::properties::*;
use engine::*;

struct Whole;

impl Compare for Whole {
    fn sent(&self, operation: Operation, body: &[u8]) -> ContentHash {
        ContentHash::of(operation, body)
    }

    fn read(&self, operation: Operation, body: &[u8]) -> ContentHash {
        ContentHash::of(operation, body)
    }
}

/// What the first route has written; each of the two has a store of its own.
#[derive(Default)]
struct OfTheOther(OnceLock<SqliteWrites>);

impl WriteLog for OfTheOther {
    fn writes(&self, reader: &RouteName, key: &str) -> Result<Vec<Write>, StateError> {
        self.0.get().map_or(Ok(Vec::new()), |writes| writes.writes(reader, key))
    }
}

/// Two routes that carry one entity between two systems, one each way. What the first one knows as `a`, the second one
/// knows by the id that the receiver gave it with the first delivery.
async fn pair(there: Setup) -> (World, World) {
    let name = RouteName::new("обратно").unwrap();
    let reader = Arc::new(Reader { name, compare: Arc::new(Whole), by: By::ReceiverId });
    let under_way = Arc::new(UnderWay::default());
    let log = Arc::new(OfTheOther::default());
    let echo = |own, readers| Some(Echo::new(Arc::clone(&log) as _, Arc::clone(&under_way), own, readers));
    let there = Setup { echo: echo(None, vec![Arc::clone(&reader)]), ..there };
    let back = Setup { echo: echo(Some(reader), Vec::new()), ..Setup::with(Kind::Put) };
    let (there, back) = (World::new(there).await, World::new(back).await);
    there.publish(&[message("a", 1, 1, "первое")]).await;
    assert!(there.deliver_all().await && back.deliver_all().await);
    assert!(log.0.set(there.writes()).is_ok());
    (there, back)
}

/// The receiver's name of `a`.
const THEIRS: &str = "№a";

#[tokio::test]
async fn e3_a_change_is_not_given_up_for_a_write_that_is_refused() {
    let (there, back) = pair(Setup::with(Kind::Put)).await;
    let changed_there = message(THEIRS, 1, 1, "их");
    let latch = Latch::default();
    there.receiver.script("a", [Ending::Rejected]);
    there.cuts.plan("target.deliver", 1, Cut::HoldBefore(latch.clone()));
    let (worker_back, worker_there) = (back.start(), there.start());
    there.publish(&[message("a", 1, 2, "наше")]).await;
    latch.reached().await;
    back.publish(&[changed_there]).await;
    let judged = async |world: &World| world.depth().await == 0;
    back.until("a first verdict", judged).await;
    latch.open();
    back.until_idle().await;
    assert_eq!(back.receiver.numbers(THEIRS), [1], "nobody wrote over it");
    there.until("the letter", async |world: &World| world.counts().await.dead == 1).await;
    worker_there.stop().await;
    worker_back.stop().await;
    the_receiver_has_no_complaints(&back);
}

/// The first attempt got no answer, the second one is refused: the change that met them is all there is.
#[tokio::test]
async fn e3_a_change_is_not_given_up_for_a_write_in_doubt() {
    for (kind, endings) in [
        (Kind::Put, vec![Ending::SilentLost, Ending::Rejected]),
        // It is not sent again, and stays in doubt.
        (Kind::Blind, vec![Ending::SilentLost]),
    ] {
        let (there, back) = pair(Setup::with(kind)).await;
        let changed_there = message(THEIRS, 1, 1, "их");
        there.receiver.script("a", endings);
        there.publish(&[message("a", 1, 2, "наше")]).await;
        assert!(there.deliver_all().await);
        assert_eq!(there.counts().await.dead, 1, "{kind:?}");
        back.publish(&[changed_there]).await;
        assert!(back.deliver_all().await);
        assert_eq!(back.receiver.numbers(THEIRS), [1], "{kind:?}: nobody wrote over it");
    }
}

/// What was taken at last has written over the change, whatever came of the attempts before.
#[tokio::test]
async fn e3_a_write_in_doubt_that_is_taken_when_it_is_repeated_wins() {
    let (there, back) = pair(Setup::with(Kind::Put)).await;
    let changed_there = message(THEIRS, 1, 1, "их");
    there.receiver.script("a", [Ending::SilentLost]);
    there.publish(&[message("a", 1, 2, "наше")]).await;
    assert!(there.deliver_all().await);
    assert_eq!(there.receiver.numbers("a"), [1, 2]);
    back.publish(&[changed_there]).await;
    assert!(back.deliver_all().await);
    assert_eq!(back.receiver.numbers(THEIRS), [0; 0]);
}

/// A shared request without an answer is halved; until its writes are remembered, nobody decides.
#[tokio::test]
async fn e5_a_write_in_doubt_is_under_way_until_it_is_durable() {
    let retry = RetryPolicy { attempts: 1, ..Setup::default().retry };
    let batch = Some(Batch { max: 2, wait: Duration::from_millis(100), bytes: 1 << 20 });
    let (there, back) = pair(Setup { batch, retry, prefetch: 4, concurrency: 1, ..Setup::with(Kind::Put) }).await;
    let changed_there = message(THEIRS, 1, 1, "их");
    let (answer, commit) = (Latch::default(), Latch::default());
    there.receiver.script_requests([Ending::SilentLost]);
    there.cuts.plan("target.deliver", 1, Cut::HoldAfter(answer.clone()));
    there.cuts.plan("store.commit", 1, Cut::HoldBefore(commit.clone()));
    let (worker_back, worker_there) = (back.start(), there.start());
    there.publish(&[message("a", 1, 2, "наше"), message("b", 1, 3, "другое")]).await;
    answer.reached().await;
    // So that the halves are not sent.
    let (subject, since) = (Subject::System(system()), Moment::now());
    there.pauses().pause(Pause { subject, who: "anna".into(), why: "тест".into(), since }).await.unwrap();
    answer.open();
    commit.reached().await;
    back.publish(&[changed_there]).await;
    back.until("a first verdict", async |world: &World| world.depth().await == 0).await;
    assert_eq!(back.receiver.numbers(THEIRS), [0; 0]);
    commit.open();
    back.until("the change", async |world: &World| world.receiver.numbers(THEIRS) == [1]).await;
    worker_there.stop().await;
    worker_back.stop().await;
}

#[tokio::test]
async fn e5_a_write_that_was_never_sent_is_not_under_way() {
    let (there, back) = pair(Setup::with(Kind::Blind)).await;
    there.cuts.plan("store.mark", 1, Cut::Fail);
    let (worker_back, worker_there) = (back.start(), there.start());
    there.publish(&[message("a", 1, 2, "наше")]).await;
    there.until("the mark", async |world: &World| world.cuts.calls("store.mark") == 2).await;
    // So that it is not tried again.
    let (subject, since) = (Subject::System(system()), Moment::now());
    there.pauses().pause(Pause { subject, who: "anna".into(), why: "тест".into(), since }).await.unwrap();
    back.publish(&[message(THEIRS, 1, 1, "их")]).await;
    back.until("the change", async |world: &World| world.receiver.numbers(THEIRS) == [1]).await;
    assert_eq!(there.receiver.numbers("a"), [1]);
    worker_there.stop().await;
    worker_back.stop().await;
}
