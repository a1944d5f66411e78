//! What people order at any moment (pauses) against everything else that may happen at that moment.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::time::Duration;

use bus_core::engine::incident::Kind as Incident;
use bus_core::ports::pauses::{Pause, Subject};
use bus_core::vocabulary::Moment;
use engine::properties::*;
use engine::*;

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
