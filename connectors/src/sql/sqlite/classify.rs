//! Whose fault a failed statement is: SQLite's result code to fault.

use std::time::Duration;

use bus_core::ports::source::{SourceError, SourceFault};
use rusqlite::{Error, ErrorCode};

/// A busy file or a failing disk passes; a missing file, table or right needs a person.
pub(super) fn error(error: &Error) -> SourceError {
    use SourceFault::{Misconfigured, Unavailable};
    let (code, message) = match error {
        Error::SqliteFailure(failure, message) => (failure.code, message.clone()),
        Error::SqlInputError { error, msg, .. } => (error.code, Some(msg.clone())),
        _ => return SourceError::new(Misconfigured, "the query does not fit: it must be one SELECT"),
    };
    let (fault, words) = match code {
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => (Unavailable, "another process holds the file"),
        ErrorCode::OperationInterrupted => (Unavailable, "the statement was cut off"),
        ErrorCode::SchemaChanged | ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory | ErrorCode::DiskFull => {
            (Unavailable, "the system failed")
        }
        ErrorCode::CannotOpen => (Misconfigured, "the file cannot be opened: does it exist, may it be read?"),
        ErrorCode::NotADatabase => (Misconfigured, "the file is no SQLite database"),
        ErrorCode::DatabaseCorrupt => (Misconfigured, "the file is damaged: restore it from a backup"),
        ErrorCode::PermissionDenied | ErrorCode::ReadOnly | ErrorCode::AuthorizationForStatementDenied => {
            (Misconfigured, "the right is missing (the bus only reads)")
        }
        _ => (Misconfigured, "the query is not valid"),
    };
    // SQLite's own text names tables, columns and tokens of the query, never a value of a row.
    let quoted = message.map_or_else(String::new, |message| format!(": {message}"));
    SourceError::new(fault, format!("sqlite: {words}{quoted}"))
}

/// A statement took longer than allowed.
pub(super) fn timed_out(limit: Duration) -> SourceError {
    SourceError::new(
        SourceFault::Unavailable,
        format!("sqlite did not answer within {} s: is there an index on the cursor column?", limit.as_secs_f32()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::ffi;

    #[test]
    fn each_code_has_its_fault() {
        use SourceFault::{Misconfigured, Unavailable};
        for (code, expected) in [
            (ffi::SQLITE_BUSY, Unavailable),
            (ffi::SQLITE_LOCKED, Unavailable),
            (ffi::SQLITE_IOERR, Unavailable),
            (ffi::SQLITE_INTERRUPT, Unavailable),
            (ffi::SQLITE_CANTOPEN, Misconfigured),
            (ffi::SQLITE_NOTADB, Misconfigured),
            (ffi::SQLITE_CORRUPT, Misconfigured),
            (ffi::SQLITE_ERROR, Misconfigured),
        ] {
            assert_eq!(error(&Error::SqliteFailure(ffi::Error::new(code), None)).fault, expected, "{code}");
        }
    }
}
