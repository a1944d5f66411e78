//! The breaker, case by case and under random histories.

use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Tick {
    Tick(Duration::from_secs(seconds))
}

fn key(number: u32) -> Key {
    Key::from_stored(&format!("заказ-{number}"))
}

fn flow(breaker: &mut Breaker, now: Tick) -> Pass {
    match breaker.admit(now) {
        Admission::Flow(pass) => pass,
        other => panic!("expected it to flow, got {other:?}"),
    }
}

fn probe(breaker: &mut Breaker, now: Tick) -> Pass {
    match breaker.admit(now) {
        Admission::Probe(pass) => pass,
        other => panic!("expected a probe, got {other:?}"),
    }
}

fn fail(breaker: &mut Breaker, fault: Fault, now: Tick) -> Option<Change> {
    let pass = flow(breaker, now);
    breaker.settle(pass, &key(1), Some(fault), now, 1.0)
}

fn opened() -> Breaker {
    let mut breaker = Breaker::new(Options::default());
    assert_eq!(fail(&mut breaker, Fault::Unavailable, at(0)), None);
    assert_eq!(fail(&mut breaker, Fault::Unavailable, at(0)), None);
    assert_eq!(fail(&mut breaker, Fault::Unavailable, at(0)), Some(Change::Opened { until: at(1), openings: 1 }));
    breaker
}

#[test]
fn three_failures_in_a_row_open_it_and_one_probe_closes_it() {
    let mut breaker = opened();
    assert_eq!(breaker.admit(at(0)), Admission::Wait { until: at(1) });
    let pass = probe(&mut breaker, at(1));
    assert_eq!(breaker.admit(at(1)), Admission::Wait { until: at(61) }, "only one probe");
    assert_eq!(breaker.settle(pass, &key(1), None, at(2), 0.5), Some(Change::Closed));
    assert_eq!(breaker.state(), State::Closed { failures: 0 });
}

#[test]
fn every_failed_probe_waits_longer_up_to_the_bound() {
    let mut breaker = opened();
    let mut waits = Vec::new();
    for _ in 0..8 {
        let State::Open { until, .. } = breaker.state() else { panic!("open") };
        let pass = probe(&mut breaker, until);
        let change = breaker.settle(pass, &key(1), Some(Fault::Unavailable), until, 1.0);
        let Some(Change::Opened { until: next, .. }) = change else { panic!("reopened, got {change:?}") };
        waits.push(next.since(until).as_secs());
    }
    assert_eq!(waits, [2, 4, 8, 16, 32, 60, 60, 60]);
}

#[test]
fn an_answer_of_any_kind_ends_a_row_of_failures() {
    for fault in [None, Some(Fault::Rejected), Some(Fault::Throttled { retry_after: None }), Some(Fault::Busy)] {
        let mut breaker = Breaker::new(Options::default());
        for _ in 0..10 {
            assert_eq!(fail(&mut breaker, Fault::Unavailable, at(0)), None);
            assert_eq!(fail(&mut breaker, Fault::Ambiguous, at(0)), None);
            let pass = flow(&mut breaker, at(0));
            assert_eq!(breaker.settle(pass, &key(1), fault, at(0), 1.0), None);
        }
    }
}

#[test]
fn busy_from_many_distinct_keys_is_an_outage_and_from_one_key_is_not() {
    let mut breaker = Breaker::new(Options::default());
    let busy = |breaker: &mut Breaker, number| {
        let pass = flow(breaker, at(0));
        breaker.settle(pass, &key(number), Some(Fault::Busy), at(0), 1.0)
    };
    assert!((0..100).all(|_| busy(&mut breaker, 1).is_none()), "one poison key");
    assert!((2..20).all(|number| busy(&mut breaker, number).is_none()));
    let pass = flow(&mut breaker, at(0));
    assert_eq!(breaker.settle(pass, &key(1), None, at(0), 1.0), None, "a success starts the count again");
    assert!((101..120).all(|number| busy(&mut breaker, number).is_none()));
    assert_eq!(busy(&mut breaker, 120), Some(Change::Opened { until: at(1), openings: 1 }));
    let pass = probe(&mut breaker, at(1));
    let change = breaker.settle(pass, &key(99), Some(Fault::Busy), at(1), 1.0);
    assert_eq!(change, Some(Change::Opened { until: at(3), openings: 2 }), "still busy: still down");
}

#[test]
fn a_busy_probe_after_an_outage_means_the_system_is_back() {
    let mut breaker = opened();
    let pass = probe(&mut breaker, at(1));
    assert_eq!(breaker.settle(pass, &key(1), Some(Fault::Busy), at(1), 1.0), Some(Change::Closed));
}

#[test]
fn a_late_verdict_from_before_the_outage_changes_nothing() {
    let mut breaker = Breaker::new(Options::default());
    let early = flow(&mut breaker, at(0));
    for _ in 0..3 {
        fail(&mut breaker, Fault::Unavailable, at(0));
    }
    let open = breaker.state();
    assert_eq!(breaker.settle(early, &key(1), None, at(0), 1.0), None);
    assert_eq!(breaker.settle(early, &key(1), Some(Fault::Unavailable), at(0), 1.0), None);
    assert_eq!(breaker.state(), open);
    let _probe = probe(&mut breaker, at(1));
    assert_eq!(breaker.settle(early, &key(1), None, at(1), 1.0), None, "half-open listens to its probe only");
    assert!(matches!(breaker.state(), State::HalfOpen { .. }));
}

#[test]
fn a_probe_that_is_dropped_or_lost_makes_room_for_another() {
    let mut breaker = opened();
    let dropped = probe(&mut breaker, at(1));
    breaker.abandon(dropped, at(2));
    let lost = probe(&mut breaker, at(2));
    assert_eq!(breaker.admit(at(61)), Admission::Wait { until: at(62) });
    let second = probe(&mut breaker, at(62));
    assert_eq!(breaker.settle(lost, &key(1), Some(Fault::Unavailable), at(62), 1.0), None);
    assert_eq!(breaker.settle(second, &key(1), None, at(62), 1.0), Some(Change::Closed));
}

fn any_fault() -> impl Strategy<Value = Option<Fault>> {
    prop_oneof![
        2 => Just(None),
        4 => Just(Some(Fault::Unavailable)),
        2 => Just(Some(Fault::Busy)),
        1 => Just(Some(Fault::Ambiguous)),
        1 => Just(Some(Fault::Rejected)),
        1 => Just(Some(Fault::Throttled { retry_after: None })),
    ]
}

proptest! {
    /// Whatever happens: nothing flows while open, at most one live probe, and it is never shut for longer than `max`.
    #[test]
    fn it_never_leaks_and_never_sticks(
        steps in prop::collection::vec((0_u64..5_000, any_fault(), 0_u32..30, 0.0..1.0, 0_u8..4), 1..300),
    ) {
        let mut breaker = Breaker::new(Options { busy_keys: 5, ..Options::default() });
        let (mut now, mut passes, mut live_probe) = (Tick::default(), Vec::new(), None::<Pass>);
        for (millis, fault, number, jitter, order) in steps {
            now = now.after(Duration::from_millis(millis));
            let before = breaker.state();
            match breaker.admit(now) {
                Admission::Flow(pass) => {
                    let was_closed = matches!(before, State::Closed { .. });
                    prop_assert!(was_closed);
                    passes.push(pass);
                }
                Admission::Probe(pass) => {
                    if let State::HalfOpen { lost_at, .. } = before { prop_assert!(now >= lost_at) }
                    let was_closed = matches!(before, State::Closed { .. });
                    prop_assert!(!was_closed);
                    live_probe = Some(pass);
                    passes.push(pass);
                }
                Admission::Wait { until } => prop_assert!(until > now && until.since(now) <= Duration::from_secs(60)),
            }
            if order == 0 || passes.is_empty() {
                continue; // Leaves requests in flight, so that verdicts overtake each other.
            }
            let pass = passes.swap_remove(number as usize % passes.len());
            let half_open = matches!(breaker.state(), State::HalfOpen { .. });
            let change = breaker.settle(pass, &key(number), fault, now, jitter);
            if half_open && change.is_some() {
                prop_assert_eq!(Some(pass), live_probe);
            }
            if let Some(Change::Opened { until, .. }) = change {
                prop_assert!(until.since(now) <= Duration::from_secs(60));
                prop_assert!(fault.is_some());
            }
        }
    }
}
