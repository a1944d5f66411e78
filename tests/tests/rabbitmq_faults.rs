//! Faults of a real RabbitMQ while messages flow: nothing confirmed is lost, order holds, nothing hangs.
//!
//! One node for all, one fault at a time: each test owns the node while it runs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bus_contract::sample;
use bus_core::ports::broker::{Broker, BrokerHealth, Incoming, QueuePlan};
use bus_core::vocabulary::{QueueName, Secret, StreamName};
use bus_rabbitmq::{Options, RabbitMq};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::proxy::{Proxy, Weather};
use bus_tests::receiver::{Receiver, Script};
use bus_tests::servers::{RabbitMq as Node, RabbitMqOptions, VirtualHost, http_client};
use tokio::sync::OnceCell;

/// Recovery within this, on a busy machine: a broker with queues takes up to 20 s to start.
const SOON: Duration = Duration::from_secs(60);

/// No call may take longer while the broker is not blocked: a confirm's limit, the wait for a connection, and a dead
/// connection's two heartbeats.
const NO_HANG: Duration = Duration::from_secs(15);

const HEARTBEAT: Duration = Duration::from_secs(2);

/// Longer than any test but its own holds a delivery, on a slow machine too, and shorter than [`SOON`].
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(30);

async fn node() -> tokio::sync::MutexGuard<'static, Node> {
    static NODE: OnceCell<tokio::sync::Mutex<Node>> = OnceCell::const_new();
    let start = || async {
        let options = RabbitMqOptions { consumer_timeout: Some(CONSUMER_TIMEOUT), ..Default::default() };
        Node::start_with(options).await.map(tokio::sync::Mutex::new)
    };
    NODE.get_or_try_init(start).await.unwrap().lock().await
}

/// One stream with two queues, published, taken from the first queue, and counted.
struct Flow {
    broker: RabbitMq,
    stream: StreamName,
    vhost: VirtualHost,
    /// Messages 1..=confirmed are confirmed.
    confirmed: AtomicU64,
    /// Numbers in the order of their first delivery.
    taken: Mutex<Vec<u64>>,
    deliveries: AtomicU64,
    publish_errors: AtomicU64,
    consume_errors: AtomicU64,
    longest_publish_ms: AtomicU64,
    stop: AtomicBool,
}

impl Flow {
    async fn start(node: &Node) -> Self {
        let vhost = node.vhost().await.unwrap();
        let options = Options { heartbeat: HEARTBEAT, ..Options::new(Secret::new(vhost.url.as_str()), "шина") };
        let flow = Self {
            broker: RabbitMq::connect(options).await.unwrap(),
            stream: sample::stream(),
            vhost,
            confirmed: AtomicU64::new(0),
            taken: Mutex::default(),
            deliveries: AtomicU64::new(0),
            publish_errors: AtomicU64::new(0),
            consume_errors: AtomicU64::new(0),
            longest_publish_ms: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        };
        flow.broker.declare(&flow.plan()).await.unwrap();
        flow
    }

    fn plan(&self) -> [QueuePlan; 2] {
        ["taken", "kept"].map(|name| QueuePlan { queue: queue(name), stream: self.stream.clone(), keep: None })
    }

    /// Publishes in batches until told to stop; after an error again from the first unconfirmed message.
    async fn publish(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let confirmed = self.confirmed.load(Ordering::Relaxed);
            let batch = sample::run(&self.stream, confirmed + 1, confirmed + 100);
            let start = Instant::now();
            let results = self.broker.publish(&self.stream, &batch).await;
            let took = u64::try_from(start.elapsed().as_millis()).unwrap();
            self.longest_publish_ms.fetch_max(took, Ordering::Relaxed);
            assert_eq!(results.len(), batch.len());
            let good = results.iter().take_while(|result| result.is_ok()).count();
            if let Some(Err(error)) = results.get(good) {
                println!("after {took} ms: {error}");
                self.publish_errors.fetch_add(1, Ordering::Relaxed);
            }
            self.confirmed.fetch_add(u64::try_from(good).unwrap(), Ordering::Relaxed);
        }
    }

    /// Takes and acks until everything confirmed has come and publishing has stopped.
    async fn take(&self) {
        let mut seen = BTreeSet::new();
        let done = |seen: &BTreeSet<u64>| {
            let confirmed = self.confirmed.load(Ordering::Relaxed);
            self.stop.load(Ordering::Relaxed) && (1..=confirmed).all(|number| seen.contains(&number))
        };
        while !done(&seen) {
            let Ok(mut deliveries) = self.broker.consume(&queue("taken"), 64).await else {
                self.consume_errors.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            while !done(&seen) {
                // The deadline only lets `done` be asked again.
                let Ok(next) = tokio::time::timeout(Duration::from_millis(200), deliveries.next()).await else {
                    continue;
                };
                let Some(Ok(delivery)) = next else {
                    self.consume_errors.fetch_add(1, Ordering::Relaxed);
                    assert!(deliveries.next().await.is_none(), "after its end a consumer gives nothing");
                    break;
                };
                let Incoming::Sealed(envelope) = &delivery.message else { panic!("a message of ours came as foreign") };
                self.deliveries.fetch_add(1, Ordering::Relaxed);
                if seen.insert(envelope.seq.number) {
                    self.taken.lock().unwrap().push(envelope.seq.number);
                }
                // An error means that it comes again.
                let _ = delivery.ack().await;
            }
        }
    }

    /// Runs `fault` while messages flow, then drains and judges. Returns what the fault returned.
    async fn through<T>(&self, fault: impl Future<Output = T>) -> T {
        let faulty = async {
            self.more(500).await;
            let result = fault.await;
            self.more(500).await;
            self.stop.store(true, Ordering::Relaxed);
            result
        };
        let all = async { tokio::join!(faulty, self.publish(), self.take()).0 };
        let result = tokio::time::timeout(SOON * 4, all).await.expect("messages flow again and all come");
        let (confirmed, taken) = (self.confirmed.load(Ordering::Relaxed), self.taken.lock().unwrap());
        println!(
            "confirmed {confirmed}, deliveries {}, publish errors {}, consume errors {}, longest publish {} ms",
            self.deliveries.load(Ordering::Relaxed),
            self.publish_errors.load(Ordering::Relaxed),
            self.consume_errors.load(Ordering::Relaxed),
            self.longest_publish_ms.load(Ordering::Relaxed)
        );
        assert!(taken.is_sorted(), "the order of first deliveries is the order of publishing");
        result
    }

    /// The queue that nobody takes from holds every confirmed message too.
    async fn kept_all(&self) {
        let confirmed = self.confirmed.load(Ordering::Relaxed);
        // They are only looked at: thousands of acks would take longer than the fault.
        let mut deliveries = self.broker.consume(&queue("kept"), u16::MAX).await.unwrap();
        let mut seen = BTreeSet::new();
        // Each of 1..=confirmed; counted, because looking through them for each message would take longer than the fault.
        while (seen.len() as u64) < confirmed {
            let next = tokio::time::timeout(SOON, deliveries.next()).await.expect("a confirmed message is missing");
            let delivery = next.unwrap().unwrap();
            let Incoming::Sealed(envelope) = &delivery.message else { panic!("a message of ours came as foreign") };
            if envelope.seq.number <= confirmed {
                seen.insert(envelope.seq.number);
            }
        }
    }

    /// Waits until `count` more messages are confirmed and as many have been taken.
    async fn more(&self, count: u64) {
        let progress = || (self.confirmed.load(Ordering::Relaxed), self.deliveries.load(Ordering::Relaxed));
        let (confirmed, delivered) = progress();
        eventually("messages to flow", SOON, || async {
            let now = progress();
            let enough = now.0 >= confirmed + count && now.1 >= delivered + count;
            let health = self.broker.health().borrow().clone();
            if enough {
                return Ok(Some(()));
            }
            anyhow::bail!("from {:?} to {now:?}, {health:?}", (confirmed, delivered))
        })
        .await
        .unwrap();
    }

    async fn healthy(&self, what: &str, good: impl Fn(&BrokerHealth) -> bool) {
        let mut health = self.broker.health();
        let waiting = health.wait_for(|state| good(state));
        tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_| panic!("health never became {what}")).unwrap();
    }

    fn longest_publish(&self) -> Duration {
        Duration::from_millis(self.longest_publish_ms.load(Ordering::Relaxed))
    }
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_is_killed_and_comes_back() {
    let mut node = node().await;
    let flow = Flow::start(&node).await;
    flow.through(async {
        // A queue of 3.10.8 that was made seconds before may come back empty: see ADR 0004. This test is about queues
        // that have existed for a while.
        node.settle().await.unwrap();
        node.kill9();
        flow.healthy("disconnected", |health| matches!(health, BrokerHealth::Disconnected(_))).await;
        node.restart().await.unwrap();
        flow.healthy("connected", |health| *health == BrokerHealth::Connected).await;
    })
    .await;
    flow.kept_all().await;
    assert!(flow.longest_publish() < NO_HANG, "{:?}", flow.longest_publish());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_closed_by_an_operator_again_and_again() {
    let node = node().await;
    let flow = Flow::start(&node).await;
    flow.through(async {
        for _ in 0..5 {
            node.ctl(&["close_all_connections", "--global", "a test"]).await.unwrap();
            flow.more(100).await;
        }
        let consumers = || async {
            let taken = node.management().queue(&flow.vhost.name, "taken").await?.unwrap();
            Ok((taken["consumers"] == 1).then_some(()))
        };
        eventually("one consumer, not one per reconnect", SOON, consumers).await.unwrap();
    })
    .await;
    flow.kept_all().await;
    assert!(flow.consume_errors.load(Ordering::Relaxed) >= 5, "the consumer's end was told");
    assert!(flow.longest_publish() < NO_HANG, "{:?}", flow.longest_publish());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_hangs_with_open_connections() {
    let mut node = node().await;
    let flow = Flow::start(&node).await;
    flow.through(async {
        node.sigstop();
        let frozen = Instant::now();
        flow.healthy("disconnected", |health| matches!(health, BrokerHealth::Disconnected(_))).await;
        let noticed = frozen.elapsed();
        node.sigcont();
        assert!(noticed < HEARTBEAT * 2 + Duration::from_secs(4), "noticed only after {noticed:?}");
        flow.healthy("connected", |health| *health == BrokerHealth::Connected).await;
    })
    .await;
    flow.kept_all().await;
    assert!(flow.longest_publish() < NO_HANG, "{:?}", flow.longest_publish());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_alarm_is_a_state_and_not_an_error() {
    let node = node().await;
    let flow = Flow::start(&node).await;
    flow.through(async {
        node.ctl(&["set_disk_free_limit", "1000000000000000"]).await.unwrap();
        flow.healthy("blocked", |health| matches!(health, BrokerHealth::Blocked(why) if !why.is_empty())).await;
        // Acknowledgements pass: the consumer empties its queue while the publisher waits.
        let drained = || async {
            let counts = (flow.confirmed.load(Ordering::Relaxed), flow.broker.depth(&queue("taken")).await?.messages);
            let taken = u64::try_from(flow.taken.lock().unwrap().len())?;
            Ok((taken >= counts.0 && counts.1 == 0).then_some(()))
        };
        eventually("the queue to be emptied while publishing is blocked", SOON, drained).await.unwrap();
        // Longer than the confirm's limit of 10 s: the clock must stand still.
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert!(matches!(*flow.broker.health().borrow(), BrokerHealth::Blocked(_)));
        node.ctl(&["set_disk_free_limit", "50MB"]).await.unwrap();
        flow.healthy("connected", |health| *health == BrokerHealth::Connected).await;
    })
    .await;
    assert_eq!(flow.publish_errors.load(Ordering::Relaxed), 0, "blocked is no error");
    flow.kept_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_takes_nothing_for_long_is_an_incident_until_it_does() {
    let node = node().await;
    let receiver = Receiver::start(&Script::default()).await.unwrap();
    let mut bus = Bus::new().unwrap();
    bus.env("PUSH_KEY", "push-secret");
    // A minute is two seconds.
    bus.env("BUS_HURRY", "30");
    let broker = bus.on(Some(node.vhost().await.unwrap().url));
    bus.routes(&format!(
        r#"
        [bus]
        {broker}
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [routes.out]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/{{key}}" }}
        "#,
        bus.listen(),
        receiver.url()
    ))
    .unwrap();
    bus.start().await.unwrap();
    bus.pushed("orders", r#"{"id":1}"#).await.unwrap();
    let open = || async {
        let (_, out, _) = bus.says(&["incidents", "--json", "--past", "0"]).await?;
        Ok::<serde_json::Value, anyhow::Error>(serde_json::from_str::<serde_json::Value>(&out)?["open"].take())
    };
    node.ctl(&["set_disk_free_limit", "1000000000000000"]).await.unwrap();
    let told = async {
        let told = eventually("the incident", SOON, || async {
            let open = open().await?;
            Ok(open.as_array().and_then(|all| all.iter().find(|one| one["kind"] == "broker-down")).cloned())
        });
        let told = told.await.unwrap();
        assert_eq!(told["severity"], "critical");
        assert!(told["message"].as_str().is_some_and(|words| words.contains("disk")), "{told}");
        node.ctl(&["set_disk_free_limit", "50MB"]).await.unwrap();
        let over = || async { Ok(open().await?.as_array().is_some_and(Vec::is_empty).then_some(())) };
        eventually("its end", SOON, over).await.unwrap();
    };
    // It is answered when the broker takes it, or told to come again.
    let (_answer, ()) = tokio::join!(bus.push("orders", r#"{"id":2}"#), told);
}

/// With as many routes as would each wait for seconds, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn status_answers_while_the_broker_does_not() {
    const ROUTES: usize = 8;
    let node = node().await;
    let receiver = Receiver::start(&Script::default()).await.unwrap();
    let proxy = Proxy::start(node.port()).await.unwrap();
    let url = node.vhost().await.unwrap().url.replace(&format!(":{}/", node.port()), &format!(":{}/", proxy.port()));
    let mut bus = Bus::new().unwrap();
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(Some(url));
    let route = |number: usize| {
        format!("[routes.r{number}]\nstream = \"orders\"\nto = \"shop\"\nsend = {{ path = \"/{number}/{{key}}\" }}\n")
    };
    let routes: String = (0..ROUTES).map(route).collect();
    bus.routes(&format!(
        r#"
        [bus]
        {broker}
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        {routes}"#,
        bus.listen(),
        receiver.url()
    ))
    .unwrap();
    bus.start().await.unwrap();
    let status = || async {
        let (code, out, err) = bus.says(&["status", "--json"]).await?;
        anyhow::ensure!(code == 0, "{err}");
        Ok::<serde_json::Value, anyhow::Error>(serde_json::from_str(&out)?)
    };
    let queued = |status: &serde_json::Value| -> Vec<serde_json::Value> {
        status["routes"].as_array().unwrap().iter().map(|route| route["queued"].clone()).collect()
    };
    assert_eq!(queued(&status().await.unwrap()), vec![serde_json::json!(0); ROUTES]);

    proxy.set(Weather { stall: true, ..Weather::default() });
    assert_eq!(queued(&status().await.unwrap()), vec![serde_json::Value::Null; ROUTES], "it hangs");

    proxy.set(Weather { refuse: true, ..Weather::default() });
    proxy.cut();
    let ready = format!("{}/readyz", bus.url());
    let away = eventually("it says that the broker is away", SOON, || async {
        let answer = http_client().get(&ready).send().await?;
        let (status, words) = (answer.status(), answer.text().await?);
        Ok((status == 503 && words.contains("no connection to the broker")).then_some(()))
    });
    away.await.unwrap();
    let seen = status().await.unwrap();
    assert_eq!(queued(&seen), vec![serde_json::Value::Null; ROUTES], "it is gone");
    assert!(seen["broker"].as_str().is_some_and(|words| words.starts_with("disconnected: ")), "{seen}");
    let metrics = bus.metrics().await.unwrap();
    assert!(metrics.contains(r#"bus_broker_state{state="disconnected"} 1"#), "{metrics}");

    proxy.set(Weather::default());
    let back = || async {
        Ok((bus.is_ready().await && queued(&status().await?) == vec![serde_json::json!(0); ROUTES]).then_some(()))
    };
    eventually("it is known again", SOON, back).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_is_deleted_while_messages_flow() {
    let node = node().await;
    let flow = Flow::start(&node).await;
    flow.through(async {
        for _ in 0..3 {
            node.management().delete(&format!("queues/{}/kept", flow.vhost.name)).await.unwrap();
            flow.more(300).await;
        }
    })
    .await;
    assert!(flow.publish_errors.load(Ordering::Relaxed) >= 3, "no message was confirmed into nowhere");
    assert!(flow.broker.depth(&queue("kept")).await.unwrap().messages > 0, "the queue was made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_held_too_long_ends_the_consumer_and_comes_again() {
    let node = node().await;
    let flow = Flow::start(&node).await;
    assert!(flow.broker.publish(&flow.stream, &sample::run(&flow.stream, 1, 5)).await.iter().all(Result::is_ok));
    let mut deliveries = flow.broker.consume(&queue("taken"), 2).await.unwrap();
    let held = deliveries.next().await.unwrap().unwrap();
    let second = deliveries.next().await.unwrap().unwrap();
    let end = tokio::time::timeout(SOON, deliveries.next()).await.expect("the broker closes the channel").unwrap();
    let error = end.err().unwrap().to_string();
    assert!(error.contains("406") && error.contains("timed out"), "{error}");
    assert!(deliveries.next().await.is_none());
    assert!(held.ack().await.is_err() && second.ack().await.is_err());
    let mut deliveries = flow.broker.consume(&queue("taken"), 10).await.unwrap();
    for number in 1..=5 {
        let delivery = deliveries.next().await.unwrap().unwrap();
        let Incoming::Sealed(envelope) = &delivery.message else { panic!("foreign") };
        assert_eq!((envelope.seq.number, delivery.redelivered), (number, number <= 2));
        delivery.ack().await.unwrap();
    }
}
