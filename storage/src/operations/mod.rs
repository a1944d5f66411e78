//! What people order: pauses, and what becomes of dead letters. Each file implements one port of `bus_core::ports` for [`crate::SqliteState`].

mod pauses;
pub(crate) mod triage;
