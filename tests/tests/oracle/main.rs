//! The conservation oracle over the real program: kills, dead brokers, dead receivers, closed windows, planted bugs.
//!
//! The scenes take turns (see `bus_tests::oracle::turn`), except for two that only wait.
#![allow(clippy::unwrap_used)]

mod brokers;
mod ending;
mod harder;
mod kills;
mod outages;
mod plants;
mod servers;
mod together;
