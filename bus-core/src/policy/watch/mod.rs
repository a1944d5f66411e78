//! Conditions that need a person: each looks at one thing and says bad, good or unknown. Time is an argument.

mod backlog;
mod broker;
mod consumer;
mod cursor;
mod days;
mod disk;
mod identity;
mod silence;

use std::time::Duration;

use crate::vocabulary::Moment;

pub use backlog::{BacklogWatch, TimeOfDay};
pub use broker::BrokerWatch;
pub use consumer::{ConsumerLook, ConsumerWatch};
pub use cursor::{CursorRound, CursorWatch};
pub use disk::{DiskLook, DiskWatch};
pub use identity::same_base;
pub use silence::{Calendar, Expectation};

/// A certificate that ends within this time needs a person: renewing may take a purchase and a maintenance window.
const CERTIFICATE_WARNING: Duration = Duration::from_secs(21 * 24 * 3600);

/// What a look says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// It is so, in words.
    Bad(String),
    /// It is over, or never was.
    Good,
    /// Nothing that would open or close an incident.
    Unknown,
}

/// Whether a certificate ends soon.
pub fn certificate(ends: Moment, now: Moment) -> Sign {
    if now.until(ends) >= CERTIFICATE_WARNING {
        return Sign::Good;
    }
    let date = ends.to_string().chars().take(10).collect::<String>();
    Sign::Bad(if ends <= now {
        format!("its certificate ended on {date}")
    } else {
        format!("its certificate ends on {date}, in {} days", now.until(ends).as_secs() / 86_400)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_told_of_three_weeks_ahead() {
        let day = |n: i64| Moment(n * 86_400_000);
        assert_eq!(certificate(day(121), day(100)), Sign::Good);
        assert_eq!(
            certificate(day(120), day(100)),
            Sign::Bad("its certificate ends on 1970-05-01, in 20 days".to_owned())
        );
        assert_eq!(certificate(day(99), day(100)), Sign::Bad("its certificate ended on 1970-04-10".to_owned()));
    }
}
