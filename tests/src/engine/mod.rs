//! The engine in this process, with everything around it scripted, on the real store and the real embedded broker.
//!
//! Included by the `protocol_*` tests with `#[path]`: the harness itself knows no crate of the bus.
#![allow(dead_code, unused_imports, clippy::unwrap_used, reason = "each test takes what it needs; this is test code")]

pub mod broker;
pub mod cuts;
pub mod messages;
pub mod properties;
pub mod receiver;
pub mod route;
pub mod setup;
pub mod store;
pub mod table;
pub mod world;

pub use broker::FOREIGN;
pub use cuts::{Cut, Latch};
pub use messages::{deletion, feed, message, refers_to, route, stream, system};
pub use receiver::{Ending, KINDS, Kind};
pub use route::Route;
pub use setup::Setup;
pub use store::Sabotage;
pub use world::World;
