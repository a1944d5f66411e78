//! What is kept of a gate.

use std::time::Duration;

/// Until when requests to a system may have begun, and how long each of them may last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reserved {
    /// Sends may have begun until then (reserved ahead), in microseconds since 1970; negative after a clean stop, when none of
    /// them can still be under way.
    pub horizon: i64,
    /// The longest that one of them lasts, by the configuration that it was sent under (R11). In whole microseconds.
    pub deadline: Duration,
}

impl Reserved {
    /// Where no request can still be under way after `horizon`, or that does not matter.
    pub fn at(horizon: i64) -> Self {
        Self { horizon, deadline: Duration::ZERO }
    }
}
