//! The broker, by its kind.

use std::sync::Arc;

use anyhow::Context;
use bus_config::{Broker as BrokerChoice, Landscape};
use bus_core::ports::broker::Broker;
use bus_core::ports::one_step::OneStep;
use bus_rabbitmq::RabbitMq;
use bus_storage::{Database, EmbeddedBroker};

use super::secrets::secret_url;

/// The broker, and what it can do in one step.
pub type Brokers = (Arc<dyn Broker>, Option<Arc<dyn OneStep>>);

/// The one that the landscape names. RabbitMQ may be away.
pub async fn broker(landscape: &Landscape, database: &Database) -> anyhow::Result<Brokers> {
    Ok(match &landscape.bus.broker {
        BrokerChoice::Embedded => {
            let broker = Arc::new(EmbeddedBroker::open(database.clone()).await?);
            (Arc::clone(&broker) as Arc<dyn Broker>, Some(broker as Arc<dyn OneStep>))
        }
        BrokerChoice::Amqp { .. } => {
            let options = rabbitmq_options(landscape)?.context("the broker is not RabbitMQ")?;
            (Arc::new(RabbitMq::connect(options).await?), None)
        }
    })
}

/// The options of RabbitMQ, if the landscape uses it.
pub fn rabbitmq_options(landscape: &Landscape) -> anyhow::Result<Option<bus_rabbitmq::Options>> {
    let BrokerChoice::Amqp { url, ca } = &landscape.bus.broker else { return Ok(None) };
    let mut options = bus_rabbitmq::Options::new(secret_url(url, "the broker")?, landscape.bus.name.clone());
    options.ca_file.clone_from(ca);
    Ok(Some(options))
}
