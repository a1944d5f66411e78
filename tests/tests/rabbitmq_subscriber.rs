//! A subscriber with a queue of its own at RabbitMQ: the bus says how much waits there, and since when; and what it
//! finds in a message, with a client that knows nothing of the bus.

use std::time::Duration;

use anyhow::{Context, Result};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::servers::{RabbitMq, VirtualHost, http_client};
use chrono::{DateTime, TimeDelta, Utc};
use futures::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);
const SECOND: TimeDelta = TimeDelta::seconds(1);

async fn subscription(bus: &Bus) -> Result<Value> {
    let text = http_client().get(format!("{}/status", bus.url())).send().await?.text().await?;
    let status: Value = serde_json::from_str(&text)?;
    Ok(status["subscriptions"][0].clone())
}

/// The subscription, once so many messages wait for it.
async fn has(bus: &Bus, messages: u64) -> Result<Value> {
    let look = || async move {
        let found = subscription(bus).await?;
        Ok::<_, anyhow::Error>((found["messages"].as_u64() == Some(messages)).then_some(found))
    };
    eventually("the backlog", LIMIT, look).await
}

/// A key in Cyrillic, more digits than a double holds, and a label that no frame takes as a header.
fn record() -> String {
    format!(r#"{{"id":"Ж-1","Сумма":12345678901234567.89,"имя":"{}"}}"#, "ё".repeat(100_000))
}

const DELETION: &str = r#"{"id":"Ж-1"}"#;

fn header<'a>(message: &'a Delivery, name: &str) -> Result<&'a str> {
    let headers = message.properties.headers().as_ref().context("headers")?;
    match headers.inner().get(name) {
        Some(AMQPValue::LongString(text)) => Ok(std::str::from_utf8(text.as_bytes())?),
        other => anyhow::bail!("{name} is {other:?}"),
    }
}

/// As CloudEvents' binding for AMQP names its attributes, and ADR 0005 fills them. Gives the id.
fn is_a_cloud_event(message: &Delivery, kind: &str, started: DateTime<Utc>) -> Result<String> {
    let properties = &message.properties;
    assert_eq!(properties.content_type().as_ref().map(|text| text.as_str()), Some("application/json"));
    assert_eq!(*properties.delivery_mode(), Some(2), "it survives the broker");
    assert_eq!(header(message, "cloudEvents:specversion")?, "1.0");
    assert_eq!(header(message, "cloudEvents:source")?, "bus/%D1%88%D0%B8%D0%BD%D0%B0/users", "a URI reference");
    assert_eq!(header(message, "cloudEvents:type")?, kind);
    assert_eq!(header(message, "cloudEvents:subject")?, "Ж-1");
    let time = header(message, "cloudEvents:time")?;
    let read: DateTime<Utc> = time.parse()?;
    assert!(time.ends_with('Z') && read >= started - SECOND && read <= Utc::now(), "{time}");
    let id = header(message, "cloudEvents:id")?;
    assert!(id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()), "{id}");
    assert_eq!(properties.message_id().as_ref().map(|text| text.as_str()), Some(id));
    Ok(id.to_owned())
}

/// A bus whose stream of users is pushed, and what else stands below it, on a RabbitMQ of its own.
async fn users(rest: &str) -> Result<(VirtualHost, Bus)> {
    let vhost = RabbitMq::shared().await?.vhost().await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.env("RABBITMQ", &vhost.url);
    bus.routes(&format!(
        r#"
        [bus]
        name = "шина"
        listen = "{}"
        broker = {{ env = "RABBITMQ" }}
        [streams.users]
        listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        {rest}
        "#,
        bus.listen()
    ))?;
    bus.start().await?;
    Ok((vhost, bus))
}

#[tokio::test]
async fn backlog_and_oldest_age_of_a_queue_that_others_take_from() -> Result<()> {
    let started = Utc::now();
    let (vhost, mut bus) = users("label = \"имя\"\n[subscriptions.\"bi.users\"]\nstream = \"users\"").await?;
    let empty = has(&bus, 0).await?;
    assert_eq!((empty["name"].as_str(), &empty["oldest"]), (Some("bi.users"), &Value::Null));
    for (query, body) in [("", record()), ("?operation=delete", DELETION.to_owned())] {
        let url = format!("{}/in/users{query}", bus.url());
        let push = http_client().post(url).header("x-api-key", "push-secret");
        assert_eq!(push.body(body).send().await?.status(), 204);
    }
    let full = has(&bus, 2).await?;
    assert_eq!(full["oldest_is"], "about");
    let oldest: DateTime<Utc> = full["oldest"].as_str().context("a time")?.parse()?;
    assert!(oldest >= started - SECOND && oldest <= Utc::now(), "{oldest}");
    assert!(bus.metrics().await?.contains(r#"bus_subscription_oldest_age_seconds{queue="bi.users"}"#));
    // Another process would find it there, and say so: it has not published it.
    bus.terminate(LIMIT).await?;
    bus.start().await?;
    assert_eq!(has(&bus, 2).await?["oldest_is"], "before");

    let connection = lapin::Connection::connect(&vhost.url, lapin::ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume("bi.users".into(), "bi".into(), options, FieldTable::default()).await?;
    let mut ids = Vec::new();
    for (kind, body) in [("users.upsert", &*record()), ("users.delete", DELETION)] {
        let message = consumer.next().await.context("a message")??;
        ids.push(is_a_cloud_event(&message, kind, started)?);
        assert_eq!(std::str::from_utf8(&message.data)?, body, "byte for byte, with every digit");
        assert_eq!(header(&message, "bus-label").ok(), (body != DELETION).then_some(&*"ё".repeat(256)));
        message.acker.ack(BasicAckOptions::default()).await?;
    }
    assert_ne!(ids[0], ids[1]);
    assert_eq!(has(&bus, 0).await?["oldest"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn rabbitmq_drops_what_is_older_than_keep_and_nothing_else() -> Result<()> {
    let brief = "[subscriptions.brief]\nstream = \"users\"\nkeep = { for = \"1s\" }";
    let (vhost, bus) = users(&format!("{brief}\n[subscriptions.long]\nstream = \"users\"")).await?;
    bus.pushed("users", r#"[{"id":1},{"id":2},{"id":3}]"#).await?;
    let connection = lapin::Connection::connect(&vhost.url, lapin::ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let depth = async |queue: &str| {
        let declared = channel.queue_declare(queue.into(), passive, FieldTable::default()).await?;
        Ok::<_, anyhow::Error>(declared.message_count())
    };
    // The sender has its answer, so all three were there.
    eventually("nothing is left", LIMIT, || async {
        Ok::<_, anyhow::Error>((depth("brief").await? == 0).then_some(()))
    })
    .await?;
    assert_eq!(depth("long").await?, 3);
    Ok(())
}
