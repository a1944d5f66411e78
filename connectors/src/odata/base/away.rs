//! Whether the base may have been updated while nobody could read it.
//!
//! An update of a configuration that changes attributes needs the base for itself: it is closed for maintenance, or its server is stopped. When
//! the base answers again, what was known of `$metadata` is asked for again before a record is handed on.

use std::time::{Duration, Instant};

use super::{Cause, Failed};

/// No update is done sooner than this; a network that blinks is no reason to ask for megabytes.
const LEAST: Duration = Duration::from_secs(60);

/// What the requests of all who work in one base have met.
#[derive(Debug, Default)]
pub(super) struct Away {
    /// Since when nobody answers.
    since: Option<Instant>,
    /// It was closed, and said so.
    closed: bool,
    /// It answers again, and `$metadata` was not read since.
    back: bool,
}

impl Away {
    /// A request has ended.
    pub(super) fn heard(&mut self, failed: Option<&Failed>, now: Instant) {
        match failed {
            None => {
                let long = self.since.is_some_and(|since| now.duration_since(since) >= LEAST);
                self.back |= self.closed || long;
                (self.since, self.closed) = (None, false);
            }
            Some(Failed::Trouble(trouble)) if trouble.cause == Cause::Maintenance => self.closed = true,
            Some(Failed::Trouble(trouble)) if !trouble.may_be_away() => {}
            Some(Failed::Broken(_)) => {}
            Some(Failed::Trouble(_) | Failed::Wire { .. }) => drop(self.since.get_or_insert(now)),
        }
    }

    /// Whether `$metadata` has to be read again.
    pub(super) fn is_back(&self) -> bool {
        self.back
    }

    /// It was.
    pub(super) fn described(&mut self) {
        self.back = false;
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::trouble::Trouble;
    use super::*;
    use crate::echo::Credentials;

    fn trouble(status: u16, body: &str) -> Failed {
        Failed::Trouble(Trouble::read(status, None, body.as_bytes(), &Credentials::default()))
    }

    #[test]
    fn closed_for_a_moment_or_down_for_long_is_a_reason_and_a_blink_is_none() {
        let closed = trouble(403, "Начало сеанса с информационной базой запрещено.");
        let (down, busy) = (trouble(502, ""), trouble(406, ""));
        let begin = Instant::now();
        for (failed, after, expected) in [
            (&closed, 1, true),
            (&down, 61, true),
            (&super::super::cut("no connection", false), 61, true),
            (&down, 59, false),
            (&busy, 600, false),
        ] {
            let mut away = Away::default();
            away.heard(Some(failed), begin);
            away.heard(Some(failed), begin + Duration::from_secs(after - 1));
            assert!(!away.is_back(), "not before it answers");
            away.heard(None, begin + Duration::from_secs(after));
            assert_eq!(away.is_back(), expected, "{failed:?} for {after} s");
            away.described();
            away.heard(None, begin + Duration::from_secs(after + 100));
            assert!(!away.is_back());
        }
    }
}
