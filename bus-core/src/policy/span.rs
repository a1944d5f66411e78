//! Durations as operators write them: `500ms`, `15s`, `5min`, `1h`, `7d`.

use std::time::Duration;

/// A year: beyond it a duration is a typing error, and sums of two can never overflow.
const MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Not a whole number and a unit.
    #[error("{0:?} is not a duration: write a whole number and ms, s, min, h or d, for example \"15s\"")]
    Unreadable(String),
    /// More than a year.
    #[error("{0:?} is longer than a year")]
    TooLong(String),
}

/// Reads a whole number and a unit, with or without a space between. Zero is allowed: the caller knows whether it may be.
pub fn parse_duration(text: &str) -> Result<Duration, SpanError> {
    let unreadable = || SpanError::Unreadable(text.to_owned());
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).ok_or_else(unreadable)?;
    let (number, word) = trimmed.split_at(digits);
    let unit = unit(word.trim_start()).ok_or_else(unreadable)?;
    if number.is_empty() {
        return Err(unreadable());
    }
    let too_long = || SpanError::TooLong(text.to_owned());
    let number: u32 = number.parse().map_err(|_| too_long())?;
    unit.checked_mul(number).filter(|span| *span <= MAX).ok_or_else(too_long)
}

/// The duration of one unit.
pub(super) fn unit(word: &str) -> Option<Duration> {
    Some(match word {
        "ms" => Duration::from_millis(1),
        "s" | "sec" => Duration::from_secs(1),
        "m" | "min" => Duration::from_secs(60),
        "h" | "hour" => Duration::from_secs(3600),
        "d" | "day" => Duration::from_secs(24 * 3600),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_operators_write() {
        for (text, millis) in [("500ms", 500), ("15s", 15_000), ("5 min", 300_000), ("1h", 3_600_000), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_so() {
        for text in ["", "s", "15", "-1s", "1.5h", "1 век", "1s1", "15 s s"] {
            assert_eq!(parse_duration(text), Err(SpanError::Unreadable(text.into())), "{text}");
        }
        for text in ["400d", "99999999999999999999s"] {
            assert_eq!(parse_duration(text), Err(SpanError::TooLong(text.into())), "{text}");
        }
    }
}
