//! Reading a base of 1C with the real program: which base it is, what it publishes and when that changes, what would be read.
#![allow(clippy::unwrap_used)]

use anyhow::Result;
use bus_tests::servers::RabbitMq;

mod base;
mod drift;
mod preview;

/// A virtual host for one test.
async fn rabbit() -> Result<Option<String>> {
    Ok(Some(RabbitMq::shared().await?.vhost().await?.url))
}
