//! Whose fault a failed request is: status and failure to fault, one table.
//!
//! | what happened | fault |
//! |---|---|
//! | no connection: DNS, refused, TLS broken off, connect timeout | unavailable |
//! | certificate not trusted, address or header impossible, 3xx, 401, 407, 511 | misconfigured |
//! | timeout or cut after the request may have been sent | ambiguous |
//! | 429; 503 with `Retry-After` (it named a time; that is respected) | throttled |
//! | 503 without it, 507 | unavailable |
//! | 502, 504 | a gateway does not say whether the request went through: ambiguous where repeating does harm, else unavailable |
//! | 302, 303, 520 to 527 where repeating does harm | the record may have been taken (303 is how forms answer; a proxy says 520 to 527 of an answer that it did not get): ambiguous |
//! | 408, 409, 423, 425, 500 and other 5xx | busy |
//! | other 4xx, 501, 505 | rejected (403 or 404 on everything is recognised by the worker from a run of rejects) |

use std::error::Error as StdError;
use std::time::Duration;

use bus_core::vocabulary::Fault;
use chrono::{DateTime, Utc};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

use crate::certificate;

/// The fault of a status that is no success.
pub(super) fn status(code: u16, headers: &HeaderMap, repeats_harm: bool, now: DateTime<Utc>) -> Fault {
    let retry_after = retry_after(headers, now);
    match code {
        429 => Fault::Throttled { retry_after },
        503 if retry_after.is_some() => Fault::Throttled { retry_after },
        503 | 507 => Fault::Unavailable,
        302 | 303 | 502 | 504 | 520..=527 if repeats_harm => Fault::Ambiguous,
        502 | 504 => Fault::Unavailable,
        300..=399 | 401 | 407 | 511 => Fault::Misconfigured,
        408 | 409 | 423 | 425 => Fault::Busy,
        501 | 505 => Fault::Rejected,
        500.. => Fault::Busy,
        _ => Fault::Rejected,
    }
}

/// `Retry-After` in seconds or as a date; a date is counted from the receiver's own clock where it says what that shows.
pub(crate) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let until = DateTime::parse_from_rfc2822(text).ok()?;
    let theirs = headers.get(DATE).and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    let now = theirs.map_or(now, |theirs| theirs.with_timezone(&Utc));
    Some((until.with_timezone(&Utc) - now).to_std().unwrap_or_default())
}

/// The fault of a request without an answer, and what happened in words without the address.
pub(super) fn failure(error: &reqwest::Error) -> (Fault, String) {
    if let Some(reason) = certificate::refusal(error) {
        return (Fault::Misconfigured, format!("the receiver's certificate is not accepted: {reason}"));
    }
    let reason = innermost(error);
    if error.is_builder() {
        (Fault::Misconfigured, format!("the request cannot be made: {reason}"))
    } else if error.is_connect() && error.is_timeout() {
        (Fault::Unavailable, "the receiver took no connection in time".to_owned())
    } else if error.is_connect() {
        (Fault::Unavailable, format!("no connection to the receiver: {reason}"))
    } else if error.is_timeout() {
        (Fault::Ambiguous, "no answer within the timeout; the receiver may have taken the request".to_owned())
    } else {
        (
            Fault::Ambiguous,
            format!("the connection was cut before the answer ({reason}); the receiver may have taken it"),
        )
    }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut error: &dyn StdError = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn each_status_has_its_fault() {
        use Fault::{Busy, Misconfigured, Rejected, Unavailable};
        for (code, expected) in [
            (302, Misconfigured),
            (303, Misconfigured),
            (400, Rejected),
            (401, Misconfigured),
            (403, Rejected),
            (404, Rejected),
            (407, Misconfigured),
            (408, Busy),
            (409, Busy),
            (413, Rejected),
            (422, Rejected),
            (423, Busy),
            (425, Busy),
            (429, Fault::Throttled { retry_after: None }),
            (500, Busy),
            (501, Rejected),
            (502, Unavailable),
            (503, Unavailable),
            (504, Unavailable),
            (507, Unavailable),
            (520, Busy),
        ] {
            assert_eq!(status(code, &HeaderMap::new(), false, Utc::now()), expected, "{code}");
        }
    }

    /// What may have been taken is not sent again by itself.
    #[test]
    fn where_a_repeat_does_harm_doubt_is_told() {
        use Fault::{Ambiguous, Busy, Misconfigured, Unavailable};
        for (code, expected) in [
            (301, Misconfigured),
            (302, Ambiguous),
            (303, Ambiguous),
            (307, Misconfigured),
            (308, Misconfigured),
            (500, Busy),
            (502, Ambiguous),
            (503, Unavailable),
            (504, Ambiguous),
            (507, Unavailable),
            (519, Busy),
            (520, Ambiguous),
            (522, Ambiguous),
            (527, Ambiguous),
            (528, Busy),
        ] {
            assert_eq!(status(code, &HeaderMap::new(), true, Utc::now()), expected, "{code}");
        }
    }

    #[test]
    fn a_named_time_is_respected_in_both_forms() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T10:00:00Z").unwrap().to_utc();
        let date = "Sun, 22 Nov 2026 10:00:30 GMT";
        for (code, pairs, seconds) in [
            (429, vec![("retry-after", "30")], 30),
            (503, vec![("retry-after", " 5 ")], 5),
            (429, vec![("retry-after", date)], 30),
            (503, vec![("retry-after", date), ("date", "Sun, 22 Nov 2026 10:00:10 GMT")], 20),
            (429, vec![("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")], 0),
        ] {
            let expected = Fault::Throttled { retry_after: Some(Duration::from_secs(seconds)) };
            assert_eq!(status(code, &headers(&pairs), false, now), expected, "{code} {pairs:?}");
        }
        assert_eq!(status(503, &headers(&[("retry-after", "soon")]), false, now), Fault::Unavailable);
    }
}
