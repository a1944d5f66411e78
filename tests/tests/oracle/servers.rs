//! The servers that all scenes share.

use std::time::Duration;

use bus_tests::oracle::Landscape;
use bus_tests::servers::{Postgres, RabbitMq, RabbitMqOptions};
use tokio::sync::OnceCell;

/// RabbitMQ closes the channel of whoever keeps a delivery for longer: half an hour by default, here a minute, so that
/// 35 minutes become 75 seconds.
pub const CONSUMER_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn postgres() -> &'static Postgres {
    Postgres::shared().await.unwrap()
}

pub async fn rabbitmq() -> &'static RabbitMq {
    static NODE: OnceCell<RabbitMq> = OnceCell::const_new();
    let start = || async {
        RabbitMq::start_with(RabbitMqOptions { consumer_timeout: Some(CONSUMER_TIMEOUT), ..Default::default() }).await
    };
    NODE.get_or_try_init(start).await.unwrap()
}

/// Both brokers, in turn, with what a scene needs to use them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broker {
    Embedded,
    RabbitMq,
}

impl Broker {
    pub fn name(self) -> &'static str {
        match self {
            Broker::Embedded => "embedded",
            Broker::RabbitMq => "rabbitmq",
        }
    }

    /// A landscape on this broker: with RabbitMQ in a virtual host of its own.
    pub async fn landscape(self) -> Landscape {
        let rabbitmq = match self {
            Broker::Embedded => None,
            Broker::RabbitMq => Some(rabbitmq().await.vhost().await.unwrap().url),
        };
        Landscape { rabbitmq, ..Landscape::default() }
    }
}
