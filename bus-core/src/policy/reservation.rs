//! What may be sent is reserved durably ahead of time, so that a successor knows how far its predecessor may have gone.
//!
//! Rule: a grant at wall time `t` needs a durable horizon that covers `t`. Then whoever starts later with that horizon
//! (a restart, a second node that took the lease) treats it as the time of the last grant and exceeds nothing.

use std::time::Duration;

use super::clock::Micros;

/// How far ahead a reservation reaches: two writes per second at most, and a successor loses at most a second.
/// One interval of a slow rate would be no better: it saves no write, and costs the successor an interval.
pub const AHEAD: Duration = Duration::from_secs(1);

/// No request lasts longer, and no stored number may silence a system for ever.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// In microseconds. No rate has a longer period, and no stored number may make a successor count from an age ago.
const YEAR: i64 = 366 * 24 * 3600 * 1_000_000;

/// The durable horizon of one system, as far as this process knows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reservation {
    horizon: Option<Micros>,
}

impl Reservation {
    /// Nothing reserved yet: the first grant needs a write first. A predecessor's horizon is not ours to use up.
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether a grant at `now` is covered. A horizon far ahead of the clock is none: the clock was set back, and were it
    /// set right again after a crash, the old horizon would lie in the past of our latest grants.
    pub fn covers(&self, now: Micros) -> bool {
        self.horizon.is_some_and(|horizon| now <= horizon && horizon <= now.after(2 * AHEAD))
    }

    /// The horizon to write durably (overwriting, not the greater of two), once half of the current one is used up. Grants may
    /// go on while it is written, as long as [`covers`](Self::covers) holds. Call [`reserved`](Self::reserved) when it is
    /// durable.
    pub fn needed(&self, now: Micros) -> Option<Micros> {
        let enough = self.covers(now) && self.covers(now.after(AHEAD / 2));
        (!enough).then(|| now.after(AHEAD))
    }

    /// `horizon` is durable.
    pub fn reserved(&mut self, horizon: Micros) {
        self.horizon = Some(horizon);
    }
}

/// When the predecessor's last grant may have been, at the latest: its horizon, but no further ahead than it could have
/// reserved (a horizon in the far future only says that the clock went back since). More than a year ago is a year ago.
pub fn last_grant(horizon: Micros, now: Micros) -> Micros {
    horizon.max(Micros(now.0.saturating_sub(YEAR))).min(now.after(AHEAD))
}

/// Until when nothing may be sent after a kill or a takeover (protocol R11): the predecessor's sends may have begun up to its
/// horizon, and each may last for as long as a request was allowed to then (`theirs`), whatever it is allowed to now (`ours`).
pub fn quiet_until(horizon: Micros, now: Micros, theirs: Duration, ours: Duration) -> Micros {
    last_grant(horizon, now).after(theirs.min(A_DAY).max(ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn nothing_is_granted_beyond_the_durable_horizon() {
        let mut reservation = Reservation::none();
        assert!(!reservation.covers(Micros(0)));
        assert_eq!(reservation.needed(Micros(0)), Some(Micros(SECOND)));
        assert!(!reservation.covers(Micros(0)), "needed is not yet reserved");
        reservation.reserved(Micros(SECOND));
        assert_eq!(reservation.needed(Micros(SECOND / 2)), None);
        assert_eq!(reservation.needed(Micros(SECOND / 2 + 1)), Some(Micros(SECOND + SECOND / 2 + 1)));
        assert!(reservation.covers(Micros(SECOND)));
        assert!(!reservation.covers(Micros(SECOND + 1)));
    }

    #[test]
    fn after_the_clock_went_back_the_old_horizon_covers_nothing() {
        let mut reservation = Reservation::none();
        reservation.reserved(Micros(3600 * SECOND));
        assert!(!reservation.covers(Micros(0)));
        assert_eq!(reservation.needed(Micros(0)), Some(Micros(SECOND)));
    }

    #[test]
    fn a_successor_waits_for_the_horizon_and_the_last_request_but_not_for_a_clock_that_was_wrong() {
        let timeout = Duration::from_secs(10);
        for (theirs, ours) in [(timeout, timeout), (timeout, Duration::ZERO), (Duration::ZERO, timeout)] {
            assert_eq!(quiet_until(Micros(5 * SECOND), Micros(5 * SECOND), theirs, ours), Micros(15 * SECOND));
            assert_eq!(quiet_until(Micros(3600 * SECOND), Micros(0), theirs, ours), Micros(11 * SECOND));
        }
        let damaged = quiet_until(Micros(0), Micros(0), Duration::MAX, timeout);
        assert_eq!(damaged, Micros(0).after(A_DAY), "a damaged number silences nobody for ever");
        assert_eq!(last_grant(Micros(-5), Micros(0)), Micros(-5));
        assert_eq!(last_grant(Micros(i64::MIN), Micros(0)), Micros(-YEAR));
    }
}
