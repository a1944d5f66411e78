//! A route's queue, filled before the bus starts: as the bus declares it and with messages as it publishes them
//! (docs/adr/0004-rabbitmq-topology.md and 0005-cloudevents-on-amqp.md).

use anyhow::{Result, ensure};
use futures::stream::{FuturesOrdered, StreamExt};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Confirmation, Connection, ConnectionProperties};
use sha2::{Digest, Sha256};

use super::document;

/// The bus's own; the bare loop uses the same.
pub(super) const PREFETCH: u16 = 256;

/// The stream that the messages belong to.
pub(super) const STREAM: &str = "orders";

/// The header that names the key.
pub(super) const SUBJECT: &str = "cloudEvents:subject";

/// Unconfirmed publishes.
const WINDOW: usize = 1_024;

/// Declares the queue and publishes documents 0 to `count` − 1, each of its own key; returns when all are confirmed.
pub(super) async fn fill(broker: &str, queue: &str, count: u64) -> Result<()> {
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), durable, arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut confirms = FuturesOrdered::new();
    for number in 0..count {
        let body = document::order(number);
        let options = BasicPublishOptions::default();
        confirms.push_back(
            channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties(number, &body)).await?,
        );
        if confirms.len() == WINDOW {
            confirmed(confirms.next().await)?;
        }
    }
    while !confirms.is_empty() {
        confirmed(confirms.next().await)?;
    }
    connection.close(200, "filled".into()).await?;
    Ok(())
}

fn confirmed(confirm: Option<lapin::Result<Confirmation>>) -> Result<()> {
    let confirm = confirm.transpose()?;
    ensure!(matches!(confirm, Some(Confirmation::Ack(None))), "a message was not confirmed: {confirm:?}");
    Ok(())
}

/// An envelope's headers. Nobody checks that id and hash fit the body; they have the right form and are all different.
fn properties(number: u64, body: &str) -> BasicProperties {
    let hash = hex::encode(Sha256::digest(body));
    let id = hash[..32].to_owned();
    let mut headers = FieldTable::default();
    let texts = [
        ("cloudEvents:specversion", "1.0"),
        ("cloudEvents:id", &id),
        ("cloudEvents:source", "bus/bench/orders"),
        ("cloudEvents:type", "orders.upsert"),
        (SUBJECT, &number.to_string()),
        ("cloudEvents:time", "2026-11-22T09:00:00.000Z"),
        ("bus-stream", STREAM),
        ("bus-hash", &hash),
    ];
    for (name, text) in texts {
        headers.insert(name.into(), AMQPValue::LongString(text.into()));
    }
    for (name, value) in [("bus-epoch", 1), ("bus-seq", number + 1), ("bus-generation", 1)] {
        headers.insert(name.into(), AMQPValue::LongLongInt(value.cast_signed()));
    }
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id(id.into())
        .with_headers(headers)
}
