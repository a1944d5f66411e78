//! Whose fault a failed statement is: SQLSTATE to fault, one table.

use std::time::Duration;

use bus_core::ports::source::{SourceError, SourceFault};

use crate::certificate;

/// The fault of a SQLSTATE. What is not named here is taken for passing trouble: it is tried again with backoff, and
/// stays visible as long as it lasts.
pub(super) fn fault(state: &str) -> SourceFault {
    use SourceFault::{Misconfigured, Unavailable};
    match (state.get(..2).unwrap_or(""), state) {
        // The server ends or has not begun, or a lock was not to be had; the same statement may work later.
        (_, "57014" | "57P01" | "57P02" | "57P03" | "40001" | "40P01" | "55P03" | "25P03") => Unavailable,
        // connection, resources, server's own trouble, storage
        ("08" | "53" | "58" | "XX", _) => Unavailable,
        // no such database, credentials, syntax and names and rights, data that the query cannot cast, read-only
        ("3D" | "28" | "42" | "22" | "0A" | "25" | "3F" | "2F", _) => Misconfigured,
        _ => Unavailable,
    }
}

/// Any failure of the driver in our words. The server's text is quoted only where it names tables and columns, never
/// where it may quote a value.
pub(super) fn error(error: &sqlx::Error) -> SourceError {
    use SourceFault::{Misconfigured, Unavailable};
    if let Some(reason) = certificate::refusal(error) {
        return SourceError::new(Misconfigured, format!("the certificate of postgresql is not accepted: {reason}"));
    }
    match error {
        sqlx::Error::Database(answer) => {
            let state = answer.code().unwrap_or_default().into_owned();
            let quoted = match state.get(..2) {
                Some("28" | "3D" | "42" | "57" | "53" | "0A" | "3F" | "25") => format!(": {}", answer.message()),
                _ => String::new(),
            };
            let words = words(&state);
            SourceError::new(fault(&state), format!("postgresql answered {state} ({words}){quoted}"))
        }
        sqlx::Error::Configuration(_) | sqlx::Error::InvalidArgument(_) => SourceError::new(
            Misconfigured,
            "the address of the database cannot be read: postgres://user:password@host/base",
        ),
        sqlx::Error::Tls(why) => {
            let reason = why.source().map_or_else(|| why.to_string(), ToString::to_string);
            let fault = if reason.contains("certificate") { Misconfigured } else { Unavailable };
            SourceError::new(fault, format!("no encrypted connection to postgresql: {reason}"))
        }
        sqlx::Error::Io(why) => SourceError::new(Unavailable, format!("no connection to postgresql: {why}")),
        sqlx::Error::Protocol(_) => {
            SourceError::new(Unavailable, "the connection to postgresql was cut within an answer")
        }
        _ => SourceError::new(Unavailable, "reading from postgresql failed within the driver"),
    }
}

/// A statement took longer than allowed.
pub(super) fn timed_out(limit: Duration) -> SourceError {
    SourceError::new(
        SourceFault::Unavailable,
        format!("postgresql did not answer within {} s: is there an index on the cursor column?", limit.as_secs_f32()),
    )
}

fn words(state: &str) -> &'static str {
    match state {
        "57014" => "the statement took longer than the timeout",
        "57P01" | "57P02" => "the server is shutting down",
        "57P03" => "the server is starting",
        "40001" | "40P01" => "it gave way to another transaction",
        "28P01" | "28000" => "the user or the password is wrong",
        "3D000" => "there is no such database",
        "42501" => "the user lacks the right",
        "42P01" => "there is no such table",
        "42703" => "there is no such column",
        "42601" => "the query has a syntax error",
        "53300" => "too many connections",
        _ => match state.get(..2) {
            Some("08") => "the connection failed",
            Some("22") => "a value cannot be converted as the query asks",
            Some("25") => "the query wants to write, but the bus only reads",
            Some("42") => "the query is not valid",
            Some("53") => "it is out of resources",
            _ => "an error of the server",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_has_its_fault() {
        use SourceFault::{Misconfigured, Unavailable};
        for (state, expected) in [
            ("08006", Unavailable),
            ("57P01", Unavailable),
            ("57P03", Unavailable),
            ("57014", Unavailable),
            ("53300", Unavailable),
            ("40001", Unavailable),
            ("40P01", Unavailable),
            ("55P03", Unavailable),
            ("XX000", Unavailable),
            ("28P01", Misconfigured),
            ("3D000", Misconfigured),
            ("42P01", Misconfigured),
            ("42703", Misconfigured),
            ("42501", Misconfigured),
            ("25006", Misconfigured),
            ("22P02", Misconfigured),
            ("99999", Unavailable),
            ("", Unavailable),
        ] {
            assert_eq!(fault(state), expected, "{state}");
        }
    }
}
