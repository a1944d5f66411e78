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
use tokio_util::sync::CancellationToken;

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
    world.store().gate(&GateName::Deliveries(system())).await.unwrap().map(|reserved| reserved.horizon)
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

/// R11: what it had sent may last for as long as it was allowed to then.
#[tokio::test]
async fn r11_nothing_is_sent_while_a_predecessors_request_may_live_although_the_timeout_was_lowered() {
    let (long, short) = (Duration::from_millis(600), Duration::from_millis(1));
    let mut world = World::new(Setup { profile: None, deadline: long, ..paced() }).await;
    permit(world.gate()).await;
    let horizon = reserved(&world).await.unwrap();
    world.reconfigure(|setup| setup.deadline = short);
    world.crash().await;
    // One that was stopped before it could send anything leaves the next one as much to wait for.
    world.gate().close().await.unwrap();
    world.crash().await;
    let (_, given) = permit(world.gate()).await;
    let ends = horizon + i64::try_from(long.as_micros()).unwrap();
    assert!(given.0 >= ends, "{} µs before the predecessor's request has ended", ends - given.0);
}

/// A reload that cuts an attempt off leaves the gate open: other routes go through it.
#[tokio::test]
async fn r11_nothing_is_sent_while_a_request_may_live_that_was_cut_off() {
    let deadline = Duration::from_millis(600);
    let world = World::new(Setup { profile: None, deadline, ..paced() }).await;
    let (_, sent) = permit(world.gate()).await;
    world.gate().cut_off();
    let (_, given) = permit(world.gate()).await;
    assert!(given.0 - sent.0 >= 600_000, "{} µs after the request that was cut off", given.0 - sent.0);
}

/// `Retry-After` of a source: no feed of its system asks before that, nor tells it anything, whether or not that takes a permit.
#[tokio::test]
async fn a_source_that_asks_for_less_is_left_alone_by_everybody() {
    const LESS: Duration = Duration::from_millis(1500);
    let world = World::new(Setup::default()).await;
    world.table.put("а", "1");
    world.table.ask_for_less(LESS);
    let (capture, mut status) = world.watched_capture();
    let stop = CancellationToken::new();
    let feed = tokio::spawn(capture.run(stop.clone()));
    status.wait_for(|status| status.error.is_some()).await.unwrap();
    let (refused, _) = world.table.refused().unwrap();
    drop(PermitSource::take(&**world.reads()).await.unwrap());
    assert!(refused.elapsed() >= LESS, "another feed has asked after {:?}", refused.elapsed());
    status.wait_for(|status| status.error.is_none()).await.unwrap();
    stop.cancel();
    feed.await.unwrap();
    let (refused, asked) = world.table.refused().unwrap();
    assert!(asked.unwrap() - refused >= LESS, "the feed itself has asked after {:?}", asked.unwrap() - refused);
}

/// Half of the pace for one refusal; reads that go well give it back.
#[tokio::test]
async fn reads_that_are_asked_for_less_go_slower_until_they_go_well() {
    let world = World::new(paced()).await;
    let gate = world.gate();
    gate.asks_for_less(Some(Duration::ZERO));
    assert_eq!((gate.share(), gate.held()), (Some(0.5), Duration::ZERO));
    for _ in 0..50 {
        gate.reads_well();
    }
    assert_eq!(gate.share(), Some(1.0));
    gate.asks_for_less(None);
    assert!(gate.held() > Duration::ZERO, "a moment, where no time is named");
    gate.asks_for_less(Some(Duration::from_secs(365 * 24 * 3600)));
    assert!(gate.held() <= Duration::from_secs(24 * 3600), "a mistaken header silences nobody for a year");
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
