//! A rate: so many events per so much time.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::span::{parse_duration, unit};

/// No receiver takes a thousand million events in any period that is written here; keeps arithmetic exact in 128 bits.
const MAX_EVENTS: u64 = 1_000_000_000;
/// A year. See `span`.
const MAX_PER: Duration = Duration::from_secs(366 * 24 * 3600);
/// At most a thousand events per millisecond; a finer grain than the clock has cannot be spaced.
const MIN_PER: Duration = Duration::from_millis(1);

/// Why a text or a pair of numbers is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not `events/period`.
    #[error(
        "{0:?} is not a rate: write \"100/min\", \"5/s\", \"250/h\", \"1000/day\" or \"10/15s\"; \"0/min\" is closed"
    )]
    Unreadable(String),
    /// Outside of what can be paced.
    #[error("a rate may have at most 1000000000 events and a period from one millisecond to a year")]
    OutOfRange,
    /// Faster than the clock's grain.
    #[error("a rate must not exceed one event per microsecond")]
    TooFast,
}

/// So many events per period; zero events mean closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    events: u64,
    per: Duration,
}

impl Rate {
    /// Nothing may be sent.
    pub const CLOSED: Rate = Rate { events: 0, per: Duration::from_secs(60) };

    /// `events` (at most 10⁹) per `per` (one millisecond to a year), and at most one event per microsecond.
    pub fn new(events: u64, per: Duration) -> Result<Self, RateError> {
        if events > MAX_EVENTS || per < MIN_PER || per > MAX_PER {
            return Err(RateError::OutOfRange);
        }
        if u128::from(events) > per.as_micros() {
            return Err(RateError::TooFast);
        }
        Ok(Self { events, per })
    }

    /// Events per [`per`](Self::per).
    pub fn events(self) -> u64 {
        self.events
    }

    /// The period; also the window in which a receiver with this limit is taken to count.
    pub fn per(self) -> Duration {
        self.per
    }

    /// Whether it allows nothing.
    pub fn is_closed(self) -> bool {
        self.events == 0
    }

    /// Events per microsecond.
    pub fn per_micro(self) -> f64 {
        self.events as f64 / self.per.as_micros() as f64
    }

    /// The time between two events; `None` when closed.
    pub fn interval(self) -> Option<Duration> {
        (self.events > 0).then(|| Duration::from_nanos((self.per.as_nanos() / u128::from(self.events)) as u64))
    }

    /// Whether it allows less than `other`, whatever the periods.
    pub fn is_below(self, other: Rate) -> bool {
        u128::from(self.events) * other.per.as_micros() < u128::from(other.events) * self.per.as_micros()
    }
}

impl FromStr for Rate {
    type Err = RateError;

    /// `100/min`, `5/s`, `250/h`, `1000/day`, `10/15s`.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let unreadable = || RateError::Unreadable(text.to_owned());
        let (events, period) = text.split_once('/').ok_or_else(unreadable)?;
        let (events, period) = (events.trim(), period.trim());
        if events.is_empty() || !events.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unreadable());
        }
        let per = unit(period).or_else(|| parse_duration(period).ok()).ok_or_else(unreadable)?;
        Rate::new(events.parse().map_err(|_| RateError::OutOfRange)?, per)
    }
}

/// As an operator writes it.
impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.per.as_millis();
        let units = [(86_400_000, "day"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];
        let (size, name) = units.into_iter().find(|(size, _)| millis.is_multiple_of(*size)).unwrap_or((1, "ms"));
        match millis / size {
            1 => write!(f, "{}/{name}", self.events),
            count => write!(f, "{}/{count}{}", self.events, if name == "day" { "d" } else { name }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn rates_read_and_print_as_written() {
        for text in ["100/min", "5/s", "250/h", "1000/day", "10/15s", "0/min", "3/2d", "1/250ms"] {
            assert_eq!(text.parse::<Rate>().map(|rate| rate.to_string()), Ok(text.to_owned()));
        }
        assert_eq!(" 5 / sec ".parse::<Rate>(), Rate::new(5, Duration::from_secs(1)));
        assert_eq!("100/min".parse::<Rate>().unwrap().interval(), Some(Duration::from_millis(600)));
        assert_eq!(Rate::CLOSED.interval(), None);
    }

    #[test]
    fn what_is_no_rate_says_so() {
        for text in ["", "100", "/min", "-1/s", "1.5/s", "100/мин", "100 per min", "+1/s", "1/"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Unreadable(text.into())), "{text}");
        }
        assert_eq!("99999999999999999999/s".parse::<Rate>(), Err(RateError::OutOfRange));
        assert_eq!("5/0s".parse::<Rate>(), Err(RateError::OutOfRange));
        assert_eq!("2000000/s".parse::<Rate>(), Err(RateError::TooFast));
    }

    #[test]
    fn rates_of_different_periods_compare() {
        let rate = |text: &str| text.parse::<Rate>().unwrap();
        assert!(rate("250/h").is_below(rate("5/min")) && !rate("5/min").is_below(rate("250/h")));
        assert!(!rate("60/min").is_below(rate("1/s")) && !rate("1/s").is_below(rate("60/min")));
        assert!(rate("0/h").is_below(rate("1/day")));
    }
}
