//! Both ways without echo (E1 to E5), where an attempt of one route meets a message of the other.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;

use bus_core::engine::echo::{By, Echo, Reader, UnderWay};
use bus_core::ports::echo::{Compare, WriteLog};
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{ContentHash, Moment, Operation, RouteName};
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

/// No write of these stories has become durable.
struct Nothing;

impl WriteLog for Nothing {
    fn writes(&self, _reader: &RouteName, _key: &str) -> Result<Vec<(ContentHash, Moment)>, StateError> {
        Ok(Vec::new())
    }
}

/// Two routes that carry one entity between two systems, one each way. What the first one knows as `a`, the second one
/// knows by the id that the receiver gave it with the first delivery.
async fn pair(kind: Kind) -> (World, World) {
    let name = RouteName::new("обратно").unwrap();
    let reader = Arc::new(Reader { name, compare: Arc::new(Whole), by: By::ReceiverId });
    let under_way = Arc::new(UnderWay::default());
    let echo = |own, readers| Some(Echo::new(Arc::new(Nothing), Arc::clone(&under_way), own, readers));
    let there = Setup { echo: echo(None, vec![Arc::clone(&reader)]), ..Setup::with(kind) };
    let back = Setup { echo: echo(Some(reader), Vec::new()), ..Setup::with(Kind::Put) };
    let (there, back) = (World::new(there).await, World::new(back).await);
    there.publish(&[message("a", 1, 1, "первое")]).await;
    assert!(there.deliver_all().await && back.deliver_all().await);
    (there, back)
}

/// The receiver's name of `a`.
const THEIRS: &str = "№a";

#[tokio::test]
async fn e3_a_change_is_not_given_up_for_a_write_that_is_refused() {
    let (there, back) = pair(Kind::Put).await;
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

#[tokio::test]
async fn e5_a_write_that_was_never_sent_is_not_under_way() {
    let (there, back) = pair(Kind::Blind).await;
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
