//! What people order: pauses, tasks, and what becomes of dead letters. Each file implements one port of `bus_core::ports` for [`crate::SqliteState`].

mod backfills;
mod cursors;
mod pauses;
mod tasks;
mod triage;
