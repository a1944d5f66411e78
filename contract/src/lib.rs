//! The contracts of the ports as executable suites: every implementation runs the same ones.
//!
//! A suite is a list of properties, each a plain async function over a fixture that knows how to make, reopen and
//! (where it can) damage the implementation. A property panics with what was broken, so it runs under any test
//! harness. Used as a development dependency only.

// The whole crate is test code: a broken expectation is a panic with its reason.
#![allow(clippy::missing_panics_doc)]

pub mod broker;
pub mod places;
pub mod sample;
pub mod state;
pub mod watch;

pub use broker::{BrokerFixture, broker_suite};
pub use places::places_suite;
pub use state::{StateFixture, state_suite};
pub use watch::{WatchFixture, watch_suite};
