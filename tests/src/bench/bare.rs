//! The bare loop: the least that moves messages from a queue to a receiver without losing one. No map, no order, no
//! fence, no pace, no state: consume, POST, ack after a 2xx.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Connection, ConnectionProperties};
use tokio::sync::Semaphore;

use super::queue::{PREFETCH, SUBJECT};

/// `bench bare BROKER QUEUE RECEIVER CONCURRENCY`: forwards until it is killed.
pub(super) async fn forward(broker: &str, queue: &str, receiver: &str, concurrency: usize) -> Result<()> {
    // The client asks for a provider of TLS without using it; an error means that there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build()?;
    let connection = Connection::connect(broker, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    channel.basic_qos(PREFETCH, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume(queue.into(), "bare".into(), options, FieldTable::default()).await?;
    let places = Arc::new(Semaphore::new(concurrency));
    while let Some(delivery) = consumer.next().await {
        let delivery = delivery?;
        let place = places.clone().acquire_owned().await?;
        let url = format!("{receiver}/orders/{}", subject(&delivery)?);
        let client = client.clone();
        // A task for each, so that both cores send; in one task it is slower.
        tokio::spawn(async move {
            if let Err(error) = post_and_ack(&client, url, delivery).await {
                eprintln!("bare loop: {error:#}");
                std::process::exit(1);
            }
            drop(place);
        });
    }
    Ok(())
}

async fn post_and_ack(client: &reqwest::Client, url: String, delivery: Delivery) -> Result<()> {
    let request = client.post(url).header("content-type", "application/json").body(delivery.data);
    let response = request.send().await?;
    let status = response.status();
    // To its end, or the connection cannot be used again.
    response.bytes().await?;
    ensure!(status.is_success(), "the receiver answered {status}");
    delivery.acker.ack(BasicAckOptions::default()).await?;
    Ok(())
}

fn subject(delivery: &Delivery) -> Result<&str> {
    let headers = delivery.properties.headers().as_ref().context("a message without headers")?;
    let Some(AMQPValue::LongString(subject)) = headers.inner().get(SUBJECT) else {
        anyhow::bail!("a message without a subject")
    };
    Ok(std::str::from_utf8(subject.as_bytes())?)
}
