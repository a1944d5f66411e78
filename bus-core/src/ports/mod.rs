//! What the engine asks of the outside world. Each trait's comment is the contract: who owns progress, what may
//! repeat, and what each answer permits the caller to do.

pub mod backfills;
pub mod broker;
pub mod cursors;
pub mod echo;
pub mod join;
pub mod journal;
pub mod map;
pub mod one_step;
pub mod pauses;
pub mod permits;
pub mod places;
pub mod recent;
pub mod requires;
pub mod runs;
pub mod shape;
pub mod source;
pub mod state;
pub mod story;
pub mod target;
pub mod tasks;
pub mod triage;
pub mod watch;
