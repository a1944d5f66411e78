//! Errors of SQLite in the words of the ports.

use bus_core::ports::state::StateError;
use rusqlite::ErrorCode;

/// What a unit of work may fail with. Exists because `?` must turn SQLite's errors into [`StateError`].
#[derive(Debug)]
pub(crate) struct Failure(pub StateError);

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self(translate(&error))
    }
}

/// Damage is told from everything else, because only damage must never be tried again. SQLite's texts name tables
/// and columns but never values.
pub(crate) fn translate(error: &rusqlite::Error) -> StateError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StateError::Corrupt(error.to_string()),
        Some(ErrorCode::DiskFull) => StateError::Failed("the disk is full".into()),
        Some(ErrorCode::ReadOnly) => StateError::Failed("the file may not be written to".into()),
        Some(ErrorCode::SystemIoFailure) => StateError::Failed(format!("reading or writing the disk failed: {error}")),
        _ => StateError::Failed(error.to_string()),
    }
}

/// A stored value that no version of this program wrote.
pub(crate) fn damaged(what: impl std::fmt::Display) -> Failure {
    Failure(StateError::Corrupt(what.to_string()))
}
