//! The conservation oracle over the real program: kills, dead brokers, dead receivers, closed windows, planted bugs.
//!
//! The scenes take turns (see `bus_tests::oracle::turn`), except for those that mostly wait, which share a test.
#![allow(clippy::unwrap_used)]

mod brokers;
mod ending;
mod harder;
mod kills;
mod outages;
mod pace;
mod plants;
mod servers;
mod together;
