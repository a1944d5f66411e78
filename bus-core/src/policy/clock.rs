//! The two clocks of a decision: the wall clock says *which* rate or schedule holds, the monotonic one *how long* it held.

use std::time::Duration;

use crate::vocabulary::Moment;

/// Time since the process started, from a monotonic clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Tick(pub Duration);

impl Tick {
    /// This tick plus a duration, saturating.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }

    /// How long since `earlier`; zero when it lies ahead.
    pub fn since(self, earlier: Tick) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole microseconds.
    pub(super) fn micros(self) -> i64 {
        span(self.0)
    }
}

/// Microseconds since 1970-01-01T00:00:00Z: a [`Moment`] is too coarse for 1 % of a millisecond's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
pub struct Micros(pub i64);

impl Micros {
    /// The system clock, now.
    pub fn now() -> Self {
        Self(chrono::Utc::now().timestamp_micros())
    }

    /// This instant plus a duration, saturating.
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(span(duration)))
    }

    /// The millisecond it falls into.
    pub fn moment(self) -> Moment {
        Moment(self.0.div_euclid(1000))
    }
}

impl From<Moment> for Micros {
    fn from(moment: Moment) -> Self {
        Self(moment.0.saturating_mul(1000))
    }
}

/// Both clocks, read together. The wall clock may jump; the monotonic one never does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Wall clock.
    pub wall: Micros,
    /// Monotonic clock.
    pub mono: Tick,
}

/// A duration in whole microseconds, saturating.
pub(super) fn span(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
