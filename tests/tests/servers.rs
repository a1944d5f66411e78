//! The harness itself: the servers are real, private, survive `kill -9` with their data, and listen on loopback only.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bus_tests::eventually::eventually;
use bus_tests::servers::{JsonServer, Postgres, RabbitMq, RabbitMqOptions, http_client};
use futures::StreamExt;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions,
};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(30);

async fn connect(url: &str) -> Result<Connection> {
    Ok(tokio::time::timeout(LIMIT, Connection::connect(url, ConnectionProperties::default())).await??)
}

async fn quorum_queue(channel: &Channel, name: &str) -> Result<()> {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(name.into(), QueueDeclareOptions::durable(), arguments).await?;
    Ok(())
}

/// Publishes a durable message and waits for its confirm.
async fn publish(channel: &Channel, queue: &str, body: &str) -> Result<()> {
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let properties = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    let confirm = channel.basic_publish("".into(), queue.into(), options, body.as_bytes(), properties).await?;
    let confirmation = tokio::time::timeout(LIMIT, confirm).await??;
    ensure!(matches!(confirmation, Confirmation::Ack(None)), "not confirmed: {confirmation:?}");
    Ok(())
}

#[tokio::test]
async fn rabbitmq_confirms_delivers_and_lists_a_message() -> Result<()> {
    let rabbit = RabbitMq::shared().await?;
    let vhost = rabbit.vhost().await?;
    let connection = connect(&vhost.url).await?;
    let channel = connection.create_channel().await?;
    quorum_queue(&channel, "заказы").await?;
    publish(&channel, "заказы", "привет").await?;

    let count = eventually("the management API to count the message", LIMIT, || async {
        let queue = rabbit.management().queue(&vhost.name, "заказы").await?;
        Ok(queue.and_then(|queue| queue["messages"].as_u64()).filter(|count| *count > 0))
    })
    .await?;
    assert_eq!(count, 1);

    let mut consumer = channel
        .basic_consume("заказы".into(), "test".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let delivery = tokio::time::timeout(LIMIT, consumer.next()).await?.context("the consumer ended")??;
    assert_eq!(delivery.data, "привет".as_bytes());

    let vhosts = rabbit.ctl(&["list_vhosts", "--quiet"]).await?;
    assert!(vhosts.lines().any(|line| line == vhost.name), "{vhosts}");
    let metrics = http_client().get(format!("http://127.0.0.1:{}/metrics", rabbit.prometheus_port())).send().await?;
    assert!(metrics.text().await?.contains("rabbitmq_identity_info"));
    Ok(())
}

#[tokio::test]
async fn rabbitmq_speaks_tls_to_who_trusts_its_authority_only() -> Result<()> {
    let rabbit = RabbitMq::shared().await?;
    let trusting = OwnedTLSConfig { identity: None, cert_chain: Some(rabbit.authority().to_owned()) };
    let url = rabbit.tls_url();
    for (config, trusted) in [(trusting, true), (OwnedTLSConfig::default(), false)] {
        let runtime = lapin::runtime::default_runtime()?;
        let connected = Connection::connect_with_config(&url, ConnectionProperties::default(), config, runtime);
        let connected = tokio::time::timeout(LIMIT, connected).await?;
        assert_eq!(connected.is_ok(), trusted, "{:?}", connected.err());
    }
    Ok(())
}

#[tokio::test]
async fn a_confirmed_message_survives_kill_9_and_an_orderly_stop() -> Result<()> {
    let mut rabbit = RabbitMq::start().await?;
    {
        let connection = connect(&rabbit.url()).await?;
        let channel = connection.create_channel().await?;
        quorum_queue(&channel, "kept").await?;
        publish(&channel, "kept", "confirmed").await?;
    }
    rabbit.settle().await?;
    rabbit.kill9();
    assert!(connect(&rabbit.url()).await.is_err(), "a killed node answers");
    rabbit.restart().await?;
    rabbit.stop().await?;
    rabbit.restart().await?;

    rabbit.sigstop();
    let silent = tokio::time::timeout(Duration::from_secs(1), connect(&rabbit.url())).await;
    assert!(silent.is_err(), "a stopped node answers: {:?}", silent.map(|done| done.map(drop)));
    rabbit.sigcont();

    let body = eventually("the message to be readable after the restart", LIMIT, || async {
        let connection = connect(&rabbit.url()).await?;
        let channel = connection.create_channel().await?;
        let message = channel.basic_get("kept".into(), BasicGetOptions::default()).await?;
        Ok(message.map(|message| message.delivery.data.clone()))
    })
    .await?;
    assert_eq!(body, b"confirmed");
    Ok(())
}

#[tokio::test]
async fn a_delivery_kept_too_long_closes_the_channel() -> Result<()> {
    let timeout = Some(Duration::from_secs(1));
    let rabbit = RabbitMq::start_with(RabbitMqOptions { consumer_timeout: timeout, ..Default::default() }).await?;
    let connection = connect(&rabbit.url()).await?;
    let channel = connection.create_channel().await?;
    quorum_queue(&channel, "slow").await?;
    publish(&channel, "slow", "never acknowledged").await?;
    let mut consumer = channel
        .basic_consume("slow".into(), "test".into(), BasicConsumeOptions::default(), FieldTable::default())
        .await?;
    let first = tokio::time::timeout(LIMIT, consumer.next()).await?.context("the consumer ended")?;
    first.context("the first delivery")?;
    match tokio::time::timeout(LIMIT, consumer.next()).await? {
        Some(Ok(delivery)) => bail!("delivered again on the same channel: {delivery:?}"),
        Some(Err(error)) => assert!(format!("{error:?}").contains("PRECONDITION"), "{error:?}"),
        None => {}
    }
    assert!(!channel.status().connected());
    assert!(connection.status().connected(), "only the channel is closed");
    Ok(())
}

#[tokio::test]
async fn rabbitmq_listens_on_loopback_only() -> Result<()> {
    let rabbit = RabbitMq::shared().await?;
    let listeners = listeners(rabbit.pid())?;
    assert!(listeners.len() >= 5, "AMQP, AMQPS, management, Prometheus, distribution: {listeners:?}");
    for address in &listeners {
        // 127.0.0.1 and ::1 as the kernel writes them.
        let loopback = ["0100007F", "00000000000000000000000001000000"];
        assert!(loopback.contains(&address.as_str()), "{listeners:?}");
    }
    Ok(())
}

/// The addresses that a process listens on, from `/proc`.
fn listeners(pid: u32) -> Result<Vec<String>> {
    let sockets: HashSet<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))?
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let mut addresses = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in std::fs::read_to_string(table).unwrap_or_default().lines() {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let (Some(local), Some(state), Some(inode)) = (columns.get(1), columns.get(3), columns.get(9)) else {
                continue;
            };
            if *state == "0A" && sockets.contains(*inode) {
                addresses.push(local.split(':').next().unwrap_or_default().to_owned());
            }
        }
    }
    Ok(addresses)
}

#[tokio::test]
async fn postgres_runs_statements_and_pgbench() -> Result<()> {
    let postgres = Postgres::shared().await?;
    let database = postgres.database().await?;
    let rows = postgres.execute(&database, "SELECT 'Заказ', 12345678901234567.89::numeric; SELECT 2").await?;
    assert_eq!(rows, "Заказ|12345678901234567.89\n2");
    let error = postgres.execute(&database, "SELECT 1/0").await.expect_err("a division by zero");
    assert!(format!("{error:#}").contains("division by zero"), "{error:#}");

    postgres.pgbench(&database, &["-i", "-s", "1", "-q"]).await?;
    let report = postgres.pgbench(&database, &["-c", "4", "-t", "25"]).await?;
    assert!(report.contains("number of transactions actually processed: 100/100"), "{report}");
    assert_eq!(postgres.execute(&database, "SELECT count(*) FROM pgbench_history").await?, "100");
    assert_eq!(postgres.execute(&database, "SHOW wal_level").await?, "logical");
    Ok(())
}

#[tokio::test]
async fn a_committed_row_survives_kill_9() -> Result<()> {
    let mut postgres = Postgres::start().await?;
    postgres.execute("postgres", "CREATE TABLE kept (id int); INSERT INTO kept VALUES (42)").await?;
    for _ in 0..3 {
        postgres.kill9();
        assert!(postgres.execute("postgres", "SELECT 1").await.is_err(), "a killed server answers");
        postgres.restart().await?;
        assert_eq!(postgres.execute("postgres", "SELECT id FROM kept").await?, "42");
    }
    postgres.sigstop();
    let silent = tokio::time::timeout(Duration::from_secs(1), postgres.execute("postgres", "SELECT 1")).await;
    assert!(silent.is_err(), "a stopped server answers");
    postgres.sigcont();
    postgres.stop().await?;
    postgres.restart().await?;
    assert_eq!(postgres.execute("postgres", "SELECT id FROM kept").await?, "42");
    Ok(())
}

#[tokio::test]
async fn json_server_keeps_what_it_is_sent() -> Result<()> {
    let server = JsonServer::start(&json!({ "accounts": [{ "id": 1, "name": "первый" }] })).await?;
    let send = async |method: reqwest::Method, path: &str, body: serde_json::Value| {
        let request = http_client().request(method, format!("{}/{path}", server.url()));
        request.header("content-type", "application/json").body(body.to_string()).send().await
    };
    let changed = send(reqwest::Method::PUT, "accounts/1", json!({ "name": "другой" })).await?;
    assert_eq!(changed.status(), 200);
    let created = send(reqwest::Method::POST, "accounts", json!({ "id": 2, "name": "второй" })).await?;
    assert_eq!(created.status(), 201);
    let missing = send(reqwest::Method::PUT, "accounts/3", json!({ "name": "третий" })).await?;
    assert_eq!(missing.status(), 404, "a PUT of an unknown id does not create it");
    let expected = json!({ "accounts": [{ "name": "другой", "id": 1 }, { "id": 2, "name": "второй" }] });
    assert_eq!(server.database().await?, expected);
    Ok(())
}
