//! A subscriber with a queue of its own at RabbitMQ: the bus says how much waits there, and since when.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::servers::{RabbitMq, http_client};
use futures::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions};
use lapin::types::FieldTable;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(30);

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

#[tokio::test]
async fn backlog_and_oldest_age_of_a_queue_that_others_take_from() -> Result<()> {
    let vhost = RabbitMq::shared().await?.vhost().await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.env("RABBITMQ", &vhost.url);
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{}"
        broker = {{ env = "RABBITMQ" }}
        [streams.users]
        listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [subscriptions."bi.users"]
        stream = "users"
        "#,
        bus.listen()
    ))?;
    let started = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    bus.start().await?;
    let empty = has(&bus, 0).await?;
    assert_eq!((empty["name"].as_str(), &empty["oldest"]), (Some("bi.users"), &Value::Null));
    for id in 1..=2 {
        let push = http_client().post(format!("{}/in/users", bus.url())).header("x-api-key", "push-secret");
        assert_eq!(push.body(format!("{{\"id\":{id}}}")).send().await?.status(), 204);
    }
    let full = has(&bus, 2).await?;
    assert_eq!(full["oldest_is"], "about");
    let oldest: chrono::DateTime<chrono::Utc> = full["oldest"].as_str().context("a time")?.parse()?;
    let now = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    assert!(oldest >= started - chrono::TimeDelta::seconds(1) && oldest <= now, "{oldest}");
    assert!(bus.metrics().await?.contains(r#"bus_subscription_oldest_age_seconds{queue="bi.users"}"#));
    // Another process would find it there, and say so: it has not published it.
    bus.terminate(LIMIT).await?;
    bus.start().await?;
    assert_eq!(has(&bus, 2).await?["oldest_is"], "before");

    let connection = lapin::Connection::connect(&vhost.url, lapin::ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel.basic_consume("bi.users".into(), "bi".into(), options, FieldTable::default()).await?;
    for _ in 0..2 {
        consumer.next().await.context("a message")??.acker.ack(BasicAckOptions::default()).await?;
    }
    assert_eq!(has(&bus, 0).await?["oldest"], Value::Null);
    Ok(())
}
