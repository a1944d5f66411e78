//! The pacer against the yardstick: random profiles, zones, clock changes, clock jumps, slow-downs and restarts.
#![allow(clippy::unwrap_used)]

use chrono::DateTime;
use chrono_tz::Tz;
use proptest::prelude::*;

use super::super::excess::{max_excess, sends_while_closed};
use super::super::profile::tests::{any_instant, any_profile};
use super::super::reservation::Reservation;
use super::super::window::Window;
use super::*;

const SECOND: i64 = 1_000_000;

fn always(rate: &str) -> Profile {
    Profile::always(rate.parse().unwrap())
}

fn now(wall: i64, mono: i64) -> Now {
    Now { wall: Micros(wall), mono: Tick(Duration::from_micros(mono as u64)) }
}

/// Sends whenever a permit is there, from `start` for `length`, and returns when.
fn greedy(profile: &Profile, margin: f64, start: Micros, length: i64) -> Vec<Micros> {
    let mut pacer = Pacer::new(profile.clone(), margin, now(start.0, 0));
    let (mut mono, mut sends) = (0, Vec::new());
    while let Some(wait) = pacer.next_grant(now(start.0 + mono, mono)) {
        mono += span(wait);
        if mono > length {
            break;
        }
        assert!(pacer.grant(now(start.0 + mono, mono)), "the announced time must hold");
        sends.push(Micros(start.0 + mono));
    }
    sends
}

fn at(text: &str) -> Micros {
    Micros(DateTime::parse_from_rfc3339(text).unwrap().timestamp_micros())
}

fn day_night(zone: Tz) -> Profile {
    let window = |hours: &str, rate: &str| Window {
        days: super::super::window::Days::ALL,
        hours: hours.parse().unwrap(),
        rate: rate.parse().unwrap(),
    };
    let windows =
        [window("03:00-03:20", "0/min"), window("08:00-22:00", "100/min"), Window::always("500/min".parse().unwrap())];
    Profile::new(&windows, zone).unwrap()
}

#[test]
fn permits_are_evenly_spaced_and_an_idle_hour_saves_up_one_only() {
    let mut pacer = Pacer::new(always("100/min"), 0.0, now(0, 0));
    assert_eq!(pacer.next_grant(now(0, 0)), Some(Duration::ZERO));
    assert!(pacer.grant(now(0, 0)));
    assert!(!pacer.grant(now(0, 0)), "no second one at once");
    assert_eq!(pacer.next_grant(now(0, 0)), Some(Duration::from_millis(600)));
    assert!(!pacer.grant(now(599_999, 599_999)));
    let later = 3600 * SECOND;
    assert!(pacer.grant(now(later, later)));
    assert_eq!(pacer.next_grant(now(later, later)), Some(Duration::from_millis(600)), "counted from the actual grant");
}

#[test]
fn a_whole_day_uses_what_there_is_and_no_more() {
    for (zone, start) in [(Tz::UTC, "2026-01-05T00:00:00Z"), (chrono_tz::Europe::Berlin, "2026-10-24T22:00:00Z")] {
        let (profile, start, day) = (day_night(zone), at(start), 24 * 3600 * SECOND);
        let sends = greedy(&profile, 0.0, start, day);
        let allowed = profile.permits_between(start, start.after(Duration::from_secs(24 * 3600)));
        assert!(max_excess(&sends, &profile) <= 1e-6);
        assert_eq!(sends_while_closed(&sends, &profile), 0);
        // What is missing is the shadow that 100/min casts into the minute before 08:00.
        let used = sends.len() as f64;
        assert!(used > allowed - 410.0 && used <= allowed + 1.0, "{used} of {allowed}");
    }
}

#[test]
fn a_receiver_that_counts_the_last_minute_is_content_from_the_first_minute_of_the_lower_rate() {
    let profile = day_night(Tz::UTC);
    let sends = greedy(&profile, 0.0, at("2026-01-05T07:50:00Z"), 900 * SECOND);
    let eight = at("2026-01-05T08:00:00Z").0;
    for end in (eight..eight + 120 * SECOND).step_by(100_000) {
        let in_last_minute = sends.iter().filter(|at| (end - 60 * SECOND..end).contains(&at.0)).count();
        assert!(in_last_minute <= 101, "{in_last_minute} in the minute up to {end}");
    }
}

#[test]
fn a_closed_profile_says_so_and_a_closed_hour_is_waited_for() {
    assert_eq!(Pacer::new(always("0/min"), 0.0, now(0, 0)).next_grant(now(0, 0)), None);
    let profile = day_night(Tz::UTC);
    let closed = at("2026-01-05T03:05:00Z").0;
    let mut pacer = Pacer::new(profile, 0.0, now(closed, 0));
    assert!(!pacer.grant(now(closed, 0)), "a saved permit is no right to send in a closed hour");
    assert_eq!(pacer.next_grant(now(closed, 0)), Some(Duration::from_secs(900)));
}

#[test]
fn a_jump_of_the_wall_clock_buys_nothing() {
    for jump in [-3600, -1, 1, 3600, 1_000_000] {
        let mut pacer = Pacer::new(always("60/min"), 0.0, now(10_000_000 * SECOND, 0));
        assert!(pacer.grant(now(10_000_000 * SECOND, 0)));
        let jumped = |mono: i64| now((10_000_000 + jump) * SECOND + mono, mono);
        assert_eq!(pacer.next_grant(jumped(400_000)), Some(Duration::from_millis(600)), "jump by {jump} s");
        assert!(!pacer.grant(jumped(SECOND - 1)));
        assert!(pacer.grant(jumped(SECOND)));
        assert!(!pacer.grant(jumped(SECOND)));
    }
}

/// The clock is set from an hour of 500/min into one of 100/min, or back, between two looks at it: nobody can say when in
/// between, so only the lower rate is earned (600 ms, not 120).
#[test]
fn a_stretch_with_a_jump_inside_earns_the_lower_of_both_readings() {
    let (fast, slow) = (at("2026-01-05T07:00:00Z").0, at("2026-01-05T09:00:00Z").0);
    for (before, after) in [(fast, slow), (slow, fast)] {
        let mut pacer = Pacer::new(day_night(Tz::UTC), 0.0, now(before, 0));
        assert!(pacer.grant(now(before, 0)));
        assert!(!pacer.grant(now(after + 300_000, 300_000)), "half of a permit at 100/min");
        let rest = if after == fast { 60 } else { 300 };
        assert_eq!(pacer.next_grant(now(after + 300_000, 300_000)), Some(Duration::from_millis(rest)));
    }
}

#[test]
fn slower_after_a_throttle_and_silent_as_long_as_it_asked() {
    let mut pacer = Pacer::new(always("60/min"), 0.0, now(0, 0));
    assert!(pacer.grant(now(0, 0)));
    pacer.throttled(now(0, 0), Duration::from_secs(30));
    assert_eq!(pacer.share(), 0.5);
    assert_eq!(pacer.next_grant(now(0, 0)), Some(Duration::from_secs(30)));
    assert!(!pacer.grant(now(30 * SECOND - 1, 30 * SECOND - 1)));
    assert!(pacer.grant(now(30 * SECOND, 30 * SECOND)));
    assert_eq!(pacer.next_grant(now(30 * SECOND, 30 * SECOND)), Some(Duration::from_secs(2)), "half the pace");
}

#[test]
fn a_successor_begins_where_the_reservation_ends() {
    let (wall, start) = (1000 * SECOND, now(1000 * SECOND, 5 * SECOND));
    let wait = |rate: &str, horizon: i64| Pacer::resume(always(rate), 0.0, start, Micros(horizon)).next_grant(start);
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    assert_eq!(wait("60/min", wall + SECOND), seconds(2));
    assert_eq!(wait("60/min", wall), seconds(1));
    assert_eq!(wait("60/min", wall - 3600 * SECOND), seconds(1), "the clock may have been set forward");
    assert_eq!(wait("60/min", wall + 3600 * SECOND), seconds(2), "the clock went back: no hour of silence");
    assert_eq!(
        wait("1/h", wall - 1800 * SECOND),
        seconds(1800),
        "a slow system is not kept waiting for a whole interval"
    );
    assert_eq!(wait("1/h", wall - 7200 * SECOND), seconds(60));
}

/// What happens next in a random history.
#[derive(Debug, Clone)]
enum Step {
    /// Nobody has anything to send for so many microseconds.
    Idle(i64),
    /// So many messages wait; each is sent at the announced time plus a delay of the process.
    Send(u8, i64),
    /// The wall clock is set, by microseconds.
    Jump(i64),
    /// The receiver asks for less.
    Throttle(i64),
    /// So many requests fail.
    Fail(u8),
    /// So many are accepted after so many milliseconds each.
    Took(u8, u16),
    /// Accepted requests.
    Succeed(u8),
    /// kill -9 and a new process after so long; the wall clock may have been set *back* meanwhile.
    Restart { down: i64, back: i64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let hours = 3 * 3600 * SECOND;
    prop_oneof![
        2 => (0..hours).prop_map(Step::Idle),
        2 => (0..2 * SECOND).prop_map(Step::Idle),
        8 => (1_u8..40, prop_oneof![3 => Just(0_i64), 1 => 0..300_000_i64]).prop_map(|(n, late)| Step::Send(n, late)),
        1 => prop_oneof![-hours..hours, -SECOND..SECOND].prop_map(Step::Jump),
        1 => (0..10 * SECOND).prop_map(Step::Throttle),
        1 => (0_u8..30).prop_map(Step::Succeed),
        1 => (0_u8..30).prop_map(Step::Fail),
        2 => (0_u8..30, 0_u16..3000).prop_map(|(n, millis)| Step::Took(n, millis)),
        1 => (0..3 * SECOND, prop_oneof![Just(0), 0..hours]).prop_map(|(down, back)| Step::Restart { down, back }),
    ]
}

/// A world with one true elapsed time, a wall clock that may be wrong, and a durable horizon.
struct World {
    profile: Profile,
    margin: f64,
    pacer: Pacer,
    reservation: Reservation,
    horizon: Option<Micros>,
    /// The wall clock was set forward since the last send: the one thing a slow profile's successor cannot see.
    set_forward: bool,
    elapsed: i64,
    /// The monotonic clock of this process starts here.
    started: i64,
    wall_ahead: i64,
    /// ∫rate over true time, by the wall clock as it was showing.
    allowed: f64,
    /// `allowed` at each send.
    sends: Vec<f64>,
}

impl World {
    fn new(profile: Profile, margin: f64, start: Micros) -> Self {
        let pacer = Pacer::new(profile.clone(), margin, now(start.0, 0));
        Self {
            profile,
            margin,
            pacer,
            reservation: Reservation::none(),
            horizon: None,
            set_forward: false,
            elapsed: 0,
            started: 0,
            wall_ahead: start.0,
            allowed: 0.0,
            sends: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        now(self.elapsed + self.wall_ahead, self.elapsed - self.started)
    }

    fn pass(&mut self, micros: i64) {
        let wall = self.now().wall;
        self.allowed += self.profile.permits_between(wall, Micros(wall.0 + micros));
        self.elapsed += micros;
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Idle(micros) => self.pass(micros),
            Step::Send(count, late) => (0..count).for_each(|_| self.send(late)),
            Step::Jump(micros) => {
                self.wall_ahead += micros;
                self.set_forward |= micros > 0;
            }
            Step::Restart { .. } if self.set_forward && self.profile.slowest_interval() > Some(CAUTION) => {}
            Step::Throttle(micros) => self.pacer.throttled(self.now(), Duration::from_micros(micros as u64)),
            Step::Fail(count) => (0..count).for_each(|_| self.pacer.failed(self.now())),
            Step::Took(count, millis) => (0..count).for_each(|_| {
                self.pacer.took(self.now(), Duration::from_millis(millis.into()));
                self.pacer.succeeded(self.now());
                assert!((0.01..=1.0).contains(&self.pacer.share()), "{}", self.pacer.share());
            }),
            Step::Succeed(count) => (0..count).for_each(|_| self.pacer.succeeded(self.now())),
            Step::Restart { down, back } => {
                self.pass(down);
                self.wall_ahead -= back;
                self.started = self.elapsed;
                self.reservation = Reservation::none();
                let (profile, now) = (self.profile.clone(), self.now());
                self.pacer = match self.horizon {
                    Some(horizon) => Pacer::resume(profile, self.margin, now, horizon),
                    None => Pacer::new(profile, self.margin, now),
                };
            }
        }
    }

    fn send(&mut self, late: i64) {
        let Some(wait) = self.pacer.next_grant(self.now()) else { return };
        if wait > Duration::from_secs(3600) {
            return;
        }
        if wait > Duration::ZERO {
            self.pass(span(wait) - 1);
            assert!(!self.pacer.grant(self.now()), "granted before the announced time");
            self.pass(1);
        }
        self.pass(late);
        if let Some(horizon) = self.reservation.needed(self.now().wall) {
            self.horizon = Some(horizon);
            self.reservation.reserved(horizon);
        }
        assert!(self.reservation.covers(self.now().wall));
        let granted = self.pacer.grant(self.now());
        assert!(granted || late > 0, "refused at the announced time");
        if granted {
            assert!(!self.profile.piece_at(self.now().wall).rate.is_closed(), "sent in a closed hour");
            self.sends.push(self.allowed);
            self.set_forward = false;
        }
    }

    /// As [`max_excess`], over true time.
    fn excess(&self) -> f64 {
        let (mut least, mut worst) = (f64::INFINITY, 0.0_f64);
        for (index, allowed) in self.sends.iter().enumerate() {
            let term = index as f64 - allowed;
            least = least.min(term);
            worst = worst.max(term - least);
        }
        worst
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// The invariant itself, whatever happens.
    #[test]
    fn no_window_ever_sees_more_than_its_integral_and_one(
        (windows, zone) in any_profile(), start in any_instant(), margin in prop::sample::select(vec![0.0, 0.01, 0.3]),
        steps in prop::collection::vec(any_step(), 1..40),
    ) {
        let mut world = World::new(Profile::new(&windows, zone).unwrap(), margin, start);
        for step in steps {
            world.step(step);
        }
        prop_assert!(world.excess() <= 1e-6, "exceeded by {}", world.excess());
    }

    /// No waste either: with messages always waiting, a constant rate is used to the last permit.
    #[test]
    fn a_constant_rate_is_used_in_full(events in 1_u64..2000, per in 1_u64..3600) {
        let profile = Profile::always(Rate::new(events, Duration::from_secs(per)).unwrap());
        let interval = per as f64 / events as f64;
        let length = (interval * 500.0 * 1e6) as i64;
        let sends = greedy(&profile, 0.0, Micros(0), length);
        prop_assert!(sends.len() >= 499, "{}", sends.len());
        prop_assert!(max_excess(&sends, &profile) <= 1e-6);
    }
}
