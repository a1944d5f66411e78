//! RabbitMQ keeps the broker's contract, and what the bus makes there is what ADR 0004 says.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bus_contract::{BrokerFixture, broker_suite, sample};
use bus_core::ports::broker::{Broker, Keep, QueuePlan};
use bus_core::vocabulary::{QueueName, Secret, StreamName};
use bus_rabbitmq::{Options, RabbitMq};
use bus_tests::eventually::eventually;
use bus_tests::servers::RabbitMq as Node;
use futures::StreamExt;
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Connection, ConnectionProperties};
use serde_json::json;

const SOON: Duration = Duration::from_secs(30);

struct Fixture {
    broker: Option<RabbitMq>,
    url: String,
}

async fn connect(url: &str) -> RabbitMq {
    RabbitMq::connect(Options::new(Secret::new(url), "шина")).await.unwrap()
}

#[async_trait]
impl BrokerFixture for Fixture {
    fn broker(&self) -> &dyn Broker {
        self.broker.as_ref().unwrap()
    }

    async fn reopen(&mut self) {
        drop(self.broker.take());
        self.broker = Some(connect(&self.url).await);
    }

    async fn put_foreign(&self, queue: &QueueName, raw: &[u8]) -> bool {
        let connection = Connection::connect(&self.url, ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(Default::default()).await.unwrap();
        let options = BasicPublishOptions::default();
        let publish = channel.basic_publish("".into(), queue.as_str().into(), options, raw, BasicProperties::default());
        publish.await.unwrap().await.unwrap();
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_of_the_broker() {
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    broker_suite(|| async { Fixture { broker: Some(connect(&vhost.url).await), url: vhost.url.clone() } }).await;
}

fn plan(queue: &str, stream: &StreamName, keep: Option<Keep>) -> QueuePlan {
    QueuePlan { queue: QueueName::new(queue).unwrap(), stream: stream.clone(), keep }
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_are_quorum_queues_with_one_active_consumer() {
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let (broker, stream) = (connect(&vhost.url).await, sample::stream());
    let keep = Keep { age: Duration::from_secs(60), bytes: 1_000_000 };
    broker.declare(&[plan("маршрут", &stream, None), plan("подписчик", &stream, Some(keep))]).await.unwrap();
    let queues = node.management().queues(&vhost.name).await.unwrap();
    let arguments = |name: &str| queues.iter().find(|queue| queue["name"] == name).unwrap()["arguments"].clone();
    assert_eq!(arguments("маршрут"), json!({ "x-queue-type": "quorum", "x-single-active-consumer": true }));
    assert_eq!(
        arguments("подписчик"),
        json!({ "x-queue-type": "quorum", "x-single-active-consumer": true, "x-overflow": "drop-head",
                "x-max-length-bytes": 1_000_000, "x-message-ttl": 60_000 })
    );
    let wider = Keep { bytes: 2_000_000, ..keep };
    broker.declare(&[plan("подписчик", &stream, Some(wider))]).await.expect("changed bounds are no error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_of_another_kind_is_refused_with_a_remedy() {
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let classic = json!({ "durable": true, "arguments": { "x-queue-type": "classic" } });
    node.management().put(&format!("queues/{}/orders", vhost.name.replace('/', "%2F")), &classic).await.unwrap();
    let (broker, stream) = (connect(&vhost.url).await, sample::stream());
    let error = broker.declare(&[plan("orders", &stream, None)]).await.unwrap_err().to_string();
    assert!(error.contains("orders") && error.contains("delete it") && error.contains("quorum"), "{error}");
    // And the connection still serves.
    broker.declare(&[plan("stock", &stream, None)]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_queue_is_an_error_for_its_messages_only_once() {
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let (broker, stream) = (connect(&vhost.url).await, sample::stream());
    let plans = [plan("stays", &stream, None), plan("goes", &stream, None)];
    broker.declare(&plans).await.unwrap();
    let messages = sample::run(&stream, 1, 40);
    assert!(broker.publish(&stream, &messages).await.iter().all(Result::is_ok));
    node.management().delete(&format!("queues/{}/goes", vhost.name)).await.unwrap();
    let results = broker.publish(&stream, &messages).await;
    assert!(results.iter().all(|result| result.as_ref().is_err_and(|error| error.to_string().contains("queue goes"))));
    let results = broker.publish(&stream, &messages).await;
    assert_eq!(results, vec![Ok(()); 40], "the queue was made anew");
    for (queue, depth) in [("goes", 40), ("stays", 120)] {
        let name = QueueName::new(queue).unwrap();
        eventually(queue, SOON, || async { Ok((broker.depth(&name).await?.messages == depth).then_some(())) })
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn before_a_plan_nothing_is_confirmed() {
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let (broker, stream) = (connect(&vhost.url).await, sample::stream());
    assert!(broker.publish(&stream, &sample::run(&stream, 1, 2)).await.iter().all(Result::is_err));
}

/// The bus's own share of the time, beside lapin alone doing the same in the same minute: figures of a debug build on
/// a shared machine say nothing, their ratio does. The benches hold the real figures.
#[tokio::test(flavor = "multi_thread")]
async fn windows_cost_little_more_than_lapin_alone() {
    const COUNT: u64 = 5_000;
    let node = Node::shared().await.unwrap();
    let vhost = node.vhost().await.unwrap();
    let (broker, stream) = (connect(&vhost.url).await, sample::stream());
    broker.declare(&[plan("fast", &stream, None), plan("bare", &sample::stream(), None)]).await.unwrap();
    let messages: Vec<_> =
        (1..=COUNT).map(|number| sample::with_body(&stream, "ключ", number, vec![b' '; 1024])).collect();
    let bare = bare_lapin(&vhost.url, COUNT).await;

    let start = Instant::now();
    for batch in messages.chunks(256) {
        assert!(broker.publish(&stream, batch).await.iter().all(Result::is_ok));
    }
    let published = start.elapsed();
    let mut deliveries = broker.consume(&QueueName::new("fast").unwrap(), 256).await.unwrap();
    let start = Instant::now();
    for _ in 0..COUNT {
        deliveries.next().await.unwrap().unwrap().ack().await.unwrap();
    }
    let taken = start.elapsed();
    println!("{COUNT} of 1 KiB: published in {published:?} (lapin {:?}), taken in {taken:?} ({:?})", bare.0, bare.1);
    assert!(published < bare.0 * 3, "publishing is slow: {published:?}, lapin alone {:?}", bare.0);
    assert!(taken < bare.1 * 3, "taking is slow: {taken:?}, lapin alone {:?}", bare.1);
}

/// How long lapin takes to publish in windows of 256, and to take and ack with a prefetch of 256.
async fn bare_lapin(url: &str, count: u64) -> (Duration, Duration) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(Default::default()).await.unwrap();
    let (body, properties) = (vec![b' '; 1024], BasicProperties::default().with_delivery_mode(2));
    let start = Instant::now();
    for window in (0..count).collect::<Vec<_>>().chunks(256) {
        let mut confirms = Vec::new();
        for _ in window {
            let options = BasicPublishOptions::default();
            let publish = channel.basic_publish("".into(), "bare".into(), options, &body, properties.clone());
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            confirm.await.unwrap();
        }
    }
    let published = start.elapsed();
    channel.basic_qos(256, Default::default()).await.unwrap();
    let consume = channel.basic_consume("bare".into(), "bare".into(), Default::default(), Default::default());
    let mut consumer = consume.await.unwrap();
    let start = Instant::now();
    for _ in 0..count {
        consumer.next().await.unwrap().unwrap().ack(Default::default()).await.unwrap();
    }
    (published, start.elapsed())
}
