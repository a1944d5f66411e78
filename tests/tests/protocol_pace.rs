//! A gate under a pace: what it grants is covered by a durable reservation, and a successor goes on behind that.
//!
//! All bounds are lower ones: a slow machine makes every permit later, and none too early.
#![allow(clippy::unwrap_used)]

#[path = "../src/engine/mod.rs"]
mod engine;

use std::sync::Arc;
use std::time::Duration;

use bus_core::engine::gate::{Further, Gate};
use bus_core::policy::{Micros, Profile};
use bus_core::ports::permits::PermitSource;
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::GateName;
use engine::*;

const PATIENCE: Duration = Duration::from_secs(30);
const DEADLINE: Duration = Duration::from_millis(20);

/// Two a second.
const INTERVAL: i64 = 500_000;

fn paced() -> Setup {
    let profile = Some(Profile::always("120/min".parse().unwrap()));
    Setup { profile, deadline: DEADLINE, waits_for_predecessor: true, ..Setup::with(Kind::Put) }
}

/// When it was asked for, and when it had been given: the grant lies between.
async fn permit(gate: &Arc<Gate>) -> (Micros, Micros) {
    let asked = Micros::now();
    drop(gate.enter(None, PATIENCE).await.unwrap());
    (asked, Micros::now())
}

async fn reserved(world: &World) -> Option<i64> {
    world.store().gate(&GateName::Deliveries(system())).await.unwrap()
}

#[tokio::test]
async fn nothing_is_granted_before_its_reservation_is_durable() {
    let world = World::new(paced()).await;
    let latch = Latch::default();
    world.cuts.plan("store.set_gate", 1, Cut::HoldBefore(latch.clone()));
    let gate = Arc::clone(world.gate());
    let mut asking = tokio::spawn(async move { permit(&gate).await });
    latch.reached().await;
    let early = tokio::time::timeout(Duration::from_millis(100), &mut asking).await;
    assert!(early.is_err(), "granted while the reservation was being written");
    assert_eq!(reserved(&world).await, None);
    latch.open();
    let (asked, _) = asking.await.unwrap();
    assert!(reserved(&world).await.unwrap() > asked.0);
}

#[tokio::test]
async fn a_reservation_that_cannot_be_written_grants_nothing_and_is_tried_again() {
    let world = World::new(paced()).await;
    world.cuts.plan("store.set_gate", 1, Cut::Fail);
    world.cuts.plan("store.set_gate", 2, Cut::Fail);
    let (asked, _) = permit(world.gate()).await;
    assert_eq!(world.cuts.calls("store.set_gate"), 3);
    assert!(reserved(&world).await.unwrap() > asked.0);
}

/// Its last grant may have been as late as its reservation reaches, and lasts for as long as a request may.
#[tokio::test]
async fn a_successor_goes_on_behind_all_that_was_reserved() {
    let mut world = World::new(paced()).await;
    for _ in 0..2 {
        permit(world.gate()).await;
        let horizon = reserved(&world).await.unwrap();
        world.crash().await;
        let (_, given) = permit(world.gate()).await;
        assert!(given.0 >= horizon + INTERVAL, "{} µs after the end of what was reserved", given.0 - horizon);
    }
}

/// The same where the predecessor has heard nothing of its own reservation, and has granted nothing.
#[tokio::test]
async fn a_reservation_that_nobody_heard_of_counts_too() {
    let mut world = World::new(paced()).await;
    world.cuts.plan("store.set_gate", 1, Cut::CrashAfter);
    let gate = Arc::clone(world.gate());
    assert!(
        !world
            .survives(async {
                permit(&gate).await;
            })
            .await
    );
    let horizon = reserved(&world).await.unwrap();
    world.crash().await;
    let (_, given) = permit(world.gate()).await;
    assert!(given.0 >= horizon + INTERVAL, "{} µs after the end of what was reserved", given.0 - horizon);
}

#[tokio::test]
async fn after_an_orderly_stop_the_pace_goes_on_from_its_moment() {
    let mut world = World::new(paced()).await;
    permit(world.gate()).await;
    world.gate().close().await.unwrap();
    let closed = -reserved(&world).await.unwrap();
    assert!(closed > 0, "the moment of an orderly stop is kept");
    world.crash().await;
    let (_, given) = permit(world.gate()).await;
    assert!(given.0 >= closed + INTERVAL, "{} µs after the stop", given.0 - closed);
}

/// Attempts, their further requests, and reads: there is one pace, and each of them takes from it.
#[tokio::test]
async fn every_request_counts_whoever_asks_for_it() {
    let world = World::new(paced()).await;
    let gate = world.gate();
    let (first, _) = permit(gate).await;
    let further = Further { gate: Arc::clone(gate), operation: None };
    drop(further.take().await.unwrap());
    drop(PermitSource::take(&**gate).await.unwrap());
    let (_, last) = permit(gate).await;
    assert!(last.0 - first.0 >= 3 * INTERVAL, "four permits in {} µs", last.0 - first.0);
}
