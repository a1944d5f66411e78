//! The engine: what runs. Feeds capture streams, workers deliver routes, gates pace systems, the supervisor starts
//! and stops them all.

pub mod ages;
pub mod arrivals;
pub mod backfills;
pub mod base;
pub mod capture;
pub mod chronicle;
pub mod crash;
pub mod echo;
pub mod gate;
pub mod incident;
pub mod keep;
pub mod metrics;
pub mod outbox;
pub mod part;
pub mod pauses;
pub mod rewind;
pub mod seal;
pub mod supervisor;
pub mod tasks;
mod whole;
pub mod worker;
