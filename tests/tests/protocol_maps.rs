//! Messages that wait for a map: order, time-out, crashes in between.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus_core::ports::shape::{Hold, Shape, ShapeError, Shaped};
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::{Envelope, Moment};
use engine::*;

/// A map that knows "5" only when it is told to.
struct Knowing {
    five: Arc<AtomicBool>,
    within: Option<Duration>,
}

impl Shape for Knowing {
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError> {
        let asks = String::from_utf8_lossy(&envelope.body).contains("\"5\"");
        if asks && !self.five.load(Ordering::SeqCst) {
            let (what, subject) = ("map `m` to know \"5\"".to_owned(), "map `m`".to_owned());
            return Ok(Shaped::Hold(Hold { what, subject, late: None, within: self.within }));
        }
        Ok(Shaped::Send(envelope.body.clone()))
    }
}

fn knowing(within: Option<Duration>) -> (Setup, Arc<AtomicBool>) {
    let five = Arc::new(AtomicBool::new(false));
    let shape = Arc::new(Knowing { five: Arc::clone(&five), within });
    (Setup { shape, ..Setup::default() }, five)
}

#[tokio::test]
async fn a_message_waits_for_its_map_and_its_key_waits_behind_it() {
    let (setup, five) = knowing(Some(Duration::from_secs(3600)));
    let mut world = World::new(setup).await;
    world.publish(&[message("a", 1, 1, "5"), message("a", 1, 2, "7"), message("b", 1, 3, "7")]).await;
    for _life in 0..2 {
        let worker = world.start();
        world
            .until("everything else to be delivered", async |world: &World| {
                world.depth().await == 0 && world.receiver.numbers("b") == [3]
            })
            .await;
        assert_eq!((world.counts().await.waiting, world.counts().await.dead), (2, 0));
        assert_eq!(world.receiver.numbers("a"), Vec::<u64>::new());
        worker.kill().await;
        world.crash().await;
    }
    five.store(true, Ordering::SeqCst);
    assert!(world.deliver_all().await);
    assert_eq!(world.receiver.numbers("a"), [1, 2]);
}

#[tokio::test]
async fn a_message_that_waited_too_long_is_a_dead_letter_and_its_key_goes_on() {
    let (setup, _) = knowing(Some(Duration::from_millis(700)));
    let mut world = World::new(setup).await;
    world.publish(&[message("a", 1, 1, "5"), message("a", 1, 2, "7")]).await;
    let worker = world.start();
    world.until("it to wait", async |world: &World| world.counts().await.waiting == 2).await;
    worker.kill().await;
    // Its time does not begin anew with another life.
    world.crash().await;
    let rows = world.store().waiting(&route(), Moment(i64::MAX), Duration::MAX, 10, usize::MAX).await.unwrap();
    let since: Vec<_> = rows.iter().map(|row| row.held_since).collect();
    assert!(world.deliver_all().await);
    assert!(since.iter().any(Option::is_some), "{since:?}");
    assert_eq!(world.receiver.numbers("a"), [2]);
    let dead = world.dead().await;
    assert_eq!((dead.len(), dead[0].letter.fault.as_str()), (1, "map"));
    assert!(dead[0].letter.message.contains("map `m`") && !dead[0].letter.message.contains('5'));
}
