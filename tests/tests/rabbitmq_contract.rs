//! RabbitMQ keeps the broker's contract, and what the bus makes there is what ADR 0004 says.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use async_trait::async_trait;
use bus_contract::{BrokerFixture, broker_suite, sample};
use bus_core::ports::broker::{Broker, Keep, QueuePlan};
use bus_core::vocabulary::{QueueName, Secret, StreamName};
use bus_rabbitmq::{Options, RabbitMq};
use bus_tests::eventually::eventually;
use bus_tests::servers::RabbitMq as Node;
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
