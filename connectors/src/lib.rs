//! Connectors: one folder per kind of system, the same file names in each (`options.rs`, `source.rs` or `target.rs`,
//! `classify.rs`). A connector makes one attempt and classifies what came of it; waiting, retrying, pacing and
//! progress belong to the engine.

mod certificate;
mod closed;
mod echo;
pub mod http;
mod in_turn;
pub mod odata;
mod private;
pub mod push;
mod serves;
pub mod sql;
mod tape;
mod web;

pub use serves::{Served, Serves, Several};
pub use tape::{Heard, Tape};
