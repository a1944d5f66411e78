//! The test harness: real servers, a receiver in another process, a bad network, and the real program between them.
//!
//! Everything a test starts lives in a [`sandbox::Sandbox`], listens on 127.0.0.1 on ports of its own, and is gone when the
//! test is, even if the test is killed.

pub mod bench;
pub mod brokers;
pub mod bus;
pub mod eventually;
pub mod goods;
pub mod onec;
pub mod oracle;
pub mod ports;
pub mod process;
pub mod proxy;
pub mod receiver;
pub mod sandbox;
pub mod servers;
pub mod tls;
