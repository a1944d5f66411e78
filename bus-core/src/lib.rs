//! The engine of Entity Bus: captures entity streams and delivers each to its receivers without losing anything.
//!
//! Layers, each may use only those before it:
//! [`vocabulary`] (names, envelope, fault; no I/O, no async), [`policy`] (pure decisions; `now` and jitter are
//! arguments), [`ports`] (what the engine asks of the outside world), [`engine`] (capture, worker, gates, supervisor).
//! The crate knows no external system: brokers, stores and connectors implement the ports elsewhere.

pub mod engine;
pub mod policy;
pub mod ports;
pub mod vocabulary;
