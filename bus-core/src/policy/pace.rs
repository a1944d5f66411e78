//! The pace of one system: N(t, t+w) ≤ ∫rate dt + 1 in *every* window, evenly spaced.
//!
//! Why not the crate governor: its GCRA lets a whole burst through after a pause (`per_minute(100)` sends 100 at once), so a
//! window sees up to twice the rate; its quota is one constant, without hours, zones or a boundary between two rates;
//! and its state is a private number of this process, so a restart or a second node begins with a full burst again.
//!
//! Here a permit is *earned*: credit grows with the rate since the last actual grant and never above one. Two grants are
//! therefore at least one whole permit of the integral apart, from which the invariant follows for any window by
//! adding up. Credit is an integer (2⁷⁰ = one permit); a year of rounding adds up to less than a ten-millionth of a permit.

use std::time::Duration;

use super::clock::{Micros, Now, Tick, span};
use super::profile::{Piece, Profile};
use super::rate::Rate;
use super::reservation::last_grant;
use super::slowdown::{FULL, SlowDown, Strain};

/// One permit, in units of credit.
const ONE: u128 = 1 << 70;
/// A profile repeats after a week; a day more covers any clock change. What is not open by then is closed.
const LOOK_AHEAD: i64 = 8 * 24 * 3600 * 1_000_000;
/// How long a successor with a slow profile waits at least; see [`Pacer::resume`].
const CAUTION: Duration = Duration::from_secs(60);
/// 1 % below what was agreed: the receiver's clock and ours differ, and a send takes a little longer at times.
pub const DEFAULT_MARGIN: f64 = 0.01;

/// Jitter never costs more than 10 % of an interval (in parts of [`FULL`]): a fast pace gives up some evenness for speed.
const JITTER_AT_MOST: u128 = FULL as u128 / 10;

/// Grants permits for one system, one at a time. Pure: both clocks are arguments.
///
/// A wall clock that jumps moves the profile's hours, not the elapsed time: that comes from the monotonic clock, and in a
/// stretch with a jump the lower of the two readings of the profile counts.
#[derive(Debug)]
pub struct Pacer {
    profile: Profile,
    /// Parts per million of the profile that the margin leaves.
    usable: u32,
    /// Kept free of each interval, see [`Pacer::leave_for_jitter`].
    jitter: Duration,
    slow_down: SlowDown,
    credit: u128,
    /// Up to where credit has been counted, on both clocks. Ahead of now while a predecessor's reservation lasts.
    counted_wall: i64,
    counted_mono: i64,
    /// No grant before this point of the monotonic clock (`Retry-After`, a takeover).
    not_before: i64,
    memo: Option<(i64, Piece)>,
}

impl Pacer {
    /// For a system to which nothing was ever sent: the first permit is there at once. `margin` is the share of the
    /// profile left unused, 0 to 0.5.
    pub fn new(profile: Profile, margin: f64, now: Now) -> Self {
        let margin = if margin.is_finite() { margin.clamp(0.0, 0.5) } else { DEFAULT_MARGIN };
        Self {
            profile,
            usable: ((1.0 - margin) * f64::from(FULL)).floor() as u32,
            jitter: Duration::ZERO,
            slow_down: SlowDown::none(),
            credit: ONE,
            counted_wall: now.wall.0,
            counted_mono: now.mono.micros(),
            not_before: i64::MIN,
            memo: None,
        }
    }

    /// For a system with a durable horizon: as if the predecessor's last grant had been there (see [`last_grant`]), and not
    /// before now, because only the wall clock says how long no process ran, and it may have been set forward meanwhile.
    ///
    /// So a start costs one interval. Where that is more than a minute (a system that takes one request per hour must not
    /// starve when the bus restarts every half hour) the wall clock is believed after a minute's wait: then a clock set
    /// forward while no process ran may let one request through too early.
    pub fn resume(profile: Profile, margin: f64, now: Now, horizon: Micros) -> Self {
        let slow = profile.slowest_interval().is_some_and(|interval| interval > CAUTION);
        let last = last_grant(horizon, now.wall).0;
        let from = if slow { last } else { last.max(now.wall.0) };
        let mut pacer = Self::new(profile, margin, now);
        if slow {
            pacer.hold(now.mono.after(CAUTION));
        }
        pacer.credit = 0;
        pacer.counted_wall = from;
        pacer.counted_mono = now.mono.micros().saturating_add(from.saturating_sub(now.wall.0));
        pacer
    }

    /// Between the grant and the first byte at our socket lie a task's wake-up and a few system calls: one send may be late
    /// and the next one not. So much of each interval is kept free, that they still are an interval apart.
    #[must_use]
    pub fn leave_for_jitter(mut self, jitter: Duration) -> Self {
        self.jitter = jitter;
        self
    }

    /// How long until the next permit can be granted; zero means now, `None` that the profile is closed for the next eight
    /// days (or so slow). The wall clock may jump meanwhile: wait on the monotonic clock, a minute at most, and ask again.
    pub fn next_grant(&mut self, now: Now) -> Option<Duration> {
        self.count(now);
        let wall_of = |mono: i64| now.wall.0.saturating_add(mono.saturating_sub(now.mono.micros()));
        let earliest = wall_of(self.not_before.max(now.mono.micros()));
        let end = now.wall.0.saturating_add(LOOK_AHEAD);
        let (mut at, mut credit) = (self.counted_wall, self.credit);
        while at <= end {
            let piece = self.piece_at(at);
            let speed = self.speed(piece.rate);
            if speed > 0 {
                let earned = i64::try_from((ONE - credit).div_ceil(speed)).unwrap_or(i64::MAX);
                let ready = at.saturating_add(earned).max(earliest);
                if ready < piece.until.0 {
                    let wait = u64::try_from(ready.saturating_sub(now.wall.0)).unwrap_or(0);
                    return (ready <= end).then_some(Duration::from_micros(wait));
                }
                credit = ONE.min(credit + earnings(speed, piece.until.0 - at));
            }
            at = piece.until.0;
        }
        None
    }

    /// Takes a permit now, at the moment of sending, if it is there; `false` changes nothing. One permit is one request:
    /// permits are never taken together, because several at once are a burst.
    #[must_use]
    pub fn grant(&mut self, now: Now) -> bool {
        self.count(now);
        let open = !self.piece_at(now.wall.0).rate.is_closed();
        let granted = open && self.credit >= ONE && now.mono.micros() >= self.not_before;
        if granted {
            self.credit = 0;
        }
        granted
    }

    /// The system asked for less (429 and the like): half the pace, at most once a second, down to 1 % of the profile; and no
    /// grant at all for `retry_after`.
    pub fn throttled(&mut self, now: Now, retry_after: Duration) {
        self.count(now);
        self.slow_down.throttled(now.mono);
        self.hold(now.mono.after(retry_after));
    }

    /// The system failed (5xx, a time-out): often enough, the pace falls by a third.
    pub fn failed(&mut self, now: Now) {
        self.count(now);
        self.slow_down.failed(now.mono);
    }

    /// How long an accepted request took; answers that take ever longer lower the pace by a fifth.
    pub fn took(&mut self, now: Now, time: Duration) {
        self.count(now);
        self.slow_down.took(now.mono, time);
    }

    /// Whether strain of the system lowers the pace; `Retry-After` is obeyed either way.
    #[must_use]
    pub fn adapt(mut self, adaptive: bool) -> Self {
        self.slow_down.adapt(adaptive);
        self
    }

    /// Why the pace is below the profile, while it is.
    pub fn strain(&self) -> Option<Strain> {
        self.slow_down.strain()
    }

    /// The speed over the week as it is now, for forecasts.
    pub fn plan(&self, now: Now) -> PacePlan {
        let hold = self.not_before.saturating_sub(now.mono.micros()).max(0);
        PacePlan {
            profile: self.profile.clone(),
            usable: self.usable,
            share: self.slow_down.share(),
            jitter: self.jitter,
            not_before: Micros(now.wall.0.saturating_add(hold)),
        }
    }

    /// The system accepted a request: after enough of them a slowed pace rises by 10 % of the profile.
    pub fn succeeded(&mut self, now: Now) {
        self.count(now);
        self.slow_down.succeeded(now.mono);
    }

    /// No grant before `until`; an earlier hold is never shortened.
    pub fn hold(&mut self, until: Tick) {
        self.not_before = self.not_before.max(until.micros());
    }

    /// The share of the profile in use after slow-downs: 0.01 to 1.0.
    pub fn share(&self) -> f64 {
        f64::from(self.slow_down.share()) / f64::from(FULL)
    }

    /// Earns credit from where it was last counted up to now.
    fn count(&mut self, now: Now) {
        let elapsed = now.mono.micros().saturating_sub(self.counted_mono);
        if elapsed <= 0 {
            self.counted_wall = now.wall.0.saturating_sub(elapsed);
            return;
        }
        // Two readings of the same stretch: as the clock was then, and as it is now. They differ after a jump.
        let (then, since) = (self.counted_wall, now.wall.0.saturating_sub(elapsed));
        let mut done = 0;
        while done < elapsed && self.credit < ONE {
            let before = self.piece_at(then.saturating_add(done));
            let after =
                if then == since { before } else { self.profile.paced_piece_at(Micros(since.saturating_add(done))) };
            let speed = self.speed(before.rate).min(self.speed(after.rate));
            let length = (before.until.0 - then).min(after.until.0 - since).min(elapsed) - done;
            self.credit = ONE.min(self.credit + earnings(speed, length));
            done += length;
        }
        self.counted_wall = now.wall.0;
        self.counted_mono = now.mono.micros();
    }

    /// The paced piece at an instant, remembered: most questions are about the same one.
    fn piece_at(&mut self, at: i64) -> Piece {
        if let Some((from, piece)) = self.memo
            && from <= at
            && at < piece.until.0
        {
            return piece;
        }
        let piece = self.profile.paced_piece_at(Micros(at));
        self.memo = Some((at, piece));
        piece
    }

    /// Credit per microsecond, rounded up, so that 100/min is 600 ms and not a microsecond more. At most 2³⁰ events · 2⁷⁰ ·
    /// 2²⁰ fits in 128 bits.
    fn speed(&self, rate: Rate) -> u128 {
        speed(rate, self.usable, self.slow_down.share(), self.jitter)
    }
}

/// How fast a pacer goes over the week, taken out of it at one moment.
#[derive(Debug, Clone)]
pub struct PacePlan {
    profile: Profile,
    usable: u32,
    share: u32,
    jitter: Duration,
    /// Nothing goes before.
    pub not_before: Micros,
}

impl PacePlan {
    /// Permits a second at an instant, and how long that holds.
    pub fn speed_at(&self, at: Micros) -> (f64, i64) {
        let piece = self.profile.paced_piece_at(at);
        let speed = speed(piece.rate, self.usable, self.share, self.jitter) as f64 / ONE as f64 * 1e6;
        (speed, piece.until.0)
    }

    /// Permits from `from` to `to`.
    pub fn permits_between(&self, from: Micros, to: Micros) -> f64 {
        let (mut at, mut sum) = (from.0, 0.0);
        while at < to.0 {
            let (speed, until) = self.speed_at(Micros(at));
            let end = until.min(to.0);
            sum += speed * (end - at) as f64 / 1e6;
            at = end;
        }
        sum
    }
}

fn speed(rate: Rate, usable: u32, share: u32, jitter: Duration) -> u128 {
    let share = u128::from(usable) * u128::from(share) / u128::from(FULL);
    let share = share - share * jitter_share(rate, jitter) / u128::from(FULL);
    let per = u128::try_from(span(rate.per())).unwrap_or(u128::MAX);
    (u128::from(rate.events()) * ONE * share).div_ceil(per * u128::from(FULL))
}

/// The part of an interval (of [`FULL`]) that is kept free for jitter.
fn jitter_share(rate: Rate, jitter: Duration) -> u128 {
    let interval = rate.interval().map_or(i64::MAX, span).max(1);
    let part = jitter.as_micros() * u128::from(FULL) / interval.unsigned_abs() as u128;
    part.min(JITTER_AT_MOST)
}

/// Credit for `micros` at `speed`.
fn earnings(speed: u128, micros: i64) -> u128 {
    speed.saturating_mul(u128::try_from(micros).unwrap_or(0)).min(ONE)
}

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
