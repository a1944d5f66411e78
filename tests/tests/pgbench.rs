//! Real writes to a real receiver: PostgreSQL under `pgbench`, through RabbitMQ, to npm's `json-server`.
//!
//! Neither the table nor the receiver was made for the bus. When pgbench has stopped and the bus is idle, everything
//! that was published is settled, and both sides agree row by row.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::Context as _;
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::servers::{JsonServer, Postgres, RabbitMq, http_client};
use serde_json::{Value, json};
use tokio::time::Instant;

/// pgbench's smallest scale has 100 000 accounts, which take the receiver some minutes: all of them with
/// `PGBENCH_ACCOUNTS=100000`, a part in every run.
static ACCOUNTS: LazyLock<u64> = LazyLock::new(|| match std::env::var("PGBENCH_ACCOUNTS") {
    Ok(accounts) => accounts.parse().expect("PGBENCH_ACCOUNTS is a number of rows"),
    Err(_) => 5_000,
});

/// Collections at the receiver, which looks for a record by going through its collection.
const SHARDS: u64 = 100;

/// Of pgbench, in seconds.
const LENGTH: &str = "8";

/// The receiver alone takes a few hundred requests a second.
fn drain() -> Duration {
    Duration::from_secs(60 + *ACCOUNTS / 50)
}

/// bid, abalance, filler.
type Rows = BTreeMap<u64, (i64, i64, String)>;

fn routes(bus: &Bus, database: &str, receiver: &str) -> String {
    format!(
        r#"
[bus]
broker = {{ env = "RABBITMQ" }}
state = "bus.db"
listen = "{listen}"

[systems.bank]
kind = "sql"
url = "{database}"

[systems.rest]
kind = "http"
url = "{receiver}"
capacity = {{ concurrency = 8 }}

[streams.accounts]
from = "bank"
query = "SELECT aid, bid, abalance, filler, aid % {SHARDS} AS shard FROM pgbench_accounts WHERE aid <= {accounts}"
key = "aid"
schedule = "500ms"
changes = "diff"

# The receiver answers 404 to PUT of an id that it does not have, so it is filled with all ids before.
[routes.accounts-to-rest]
stream = "accounts"
to = "rest"
send = {{ method = "PUT", path = "/accounts-{{field:/shard}}/{{key}}" }}
concurrency = 8
"#,
        accounts = *ACCOUNTS,
        listen = bus.listen()
    )
}

async fn source(postgres: &Postgres, database: &str) -> Rows {
    // The filler is blanks, which the end of the output loses.
    let select = format!("SELECT aid, bid, filler, abalance FROM pgbench_accounts WHERE aid <= {}", *ACCOUNTS);
    let text = postgres.execute(database, &select).await.unwrap();
    text.lines()
        .map(|line| {
            let cells: Vec<&str> = line.splitn(4, '|').collect();
            let number = |cell: usize| cells[cell].parse::<i64>().unwrap();
            (cells[0].parse().unwrap(), (number(1), number(3), cells[2].to_owned()))
        })
        .collect()
}

/// All ids without a value, in the collections that the route writes to.
fn empty() -> Value {
    let ids = |shard| (1..=*ACCOUNTS).filter(|id| id % SHARDS == shard).map(|id| json!({ "id": id })).collect();
    Value::Object((0..SHARDS).map(|shard| (format!("accounts-{shard}"), ids(shard))).collect())
}

async fn receiver(server: &JsonServer) -> Rows {
    let database = server.database().await.unwrap();
    let accounts = database.as_object().unwrap().values().flat_map(|shard| shard.as_array().unwrap());
    // One that was never written has no balance, and equals no row of the source.
    let cell = |account: &Value, name: &str| account[name].as_i64().unwrap_or(i64::MIN);
    let filler = |account: &Value| account["filler"].as_str().unwrap_or_default().to_owned();
    let row = |one: &Value| (cell(one, "bid"), cell(one, "abalance"), filler(one));
    accounts.map(|one| (one["id"].as_u64().unwrap(), row(one))).collect()
}

async fn route(bus: &Bus) -> anyhow::Result<Value> {
    let status = http_client().get(format!("{}/status", bus.url())).send().await?.text().await?;
    Ok(serde_json::from_str::<Value>(&status)?["routes"][0].take())
}

/// The route, once it has nothing left to do and has delivered as much as the broker has confirmed.
async fn idle(bus: &Bus) -> anyhow::Result<Value> {
    eventually("an idle bus", drain(), || async {
        let (metrics, name) = (bus.metrics().await?, r#"bus_messages_published_total{stream="accounts"} "#);
        let published = metrics.lines().find_map(|line| line.strip_prefix(name)).context("the stream is counted")?;
        let (published, route) = (published.parse::<u64>()?, route(bus).await?);
        let idle = route["queued"] == 0 && route["in_flight"] == 0 && route["delivered"] == published;
        Ok(idle.then_some(route))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rest_server_follows_pgbench_row_by_row() {
    let (postgres, node) = (Postgres::shared().await.unwrap(), RabbitMq::shared().await.unwrap());
    let database = postgres.database().await.unwrap();
    postgres.pgbench(&database, &["-i", "-q", "-s", "1"]).await.unwrap();
    let server = JsonServer::start(&empty()).await.unwrap();
    let mut bus = Bus::new().unwrap();
    bus.env("RABBITMQ", node.vhost().await.unwrap().url);
    bus.routes(&routes(&bus, &postgres.url_of(&database), &server.url())).unwrap();
    bus.start().await.unwrap();

    let before = source(postgres, &database).await;
    let report = postgres
        .pgbench(&database, &["-c", "4", "-T", LENGTH, "-b", "tpcb-like@1", "-b", "simple-update@3"])
        .await
        .unwrap();
    let stopped = Instant::now();
    let expected = source(postgres, &database).await;
    let changed = expected.iter().filter(|(id, row)| before.get(id) != Some(row)).count();
    let agree = || async { Ok((receiver(&server).await == expected).then_some(())) };
    let agreed = eventually("both sides to agree", drain(), agree).await;
    let (took, idle) = (stopped.elapsed(), idle(&bus).await);

    let route = route(&bus).await.unwrap();
    let log = bus.log().map_or_else(String::new, |log| log.tail(20));
    let actual = receiver(&server).await;
    let differ = expected.iter().filter(|(id, row)| actual.get(id) != Some(row)).take(5).collect::<Vec<_>>();
    assert!(agreed.is_ok(), "{} of {} rows: {differ:?}; {route}\n{log}", actual.len(), expected.len());
    let route = idle.unwrap_or_else(|error| panic!("{error:#}: {route}\n{log}"));
    assert!(route["delivered"].as_u64() >= Some(*ACCOUNTS), "each row once at least: {route}");
    assert_eq!((route["dead"].as_u64(), route["waiting"].as_u64()), (Some(0), Some(0)), "{route}");
    assert!(changed > 10, "pgbench changed {changed} of the rows: {report}");
    let writes = report.lines().find(|line| line.contains("actually processed")).unwrap_or_default();
    let mut figures = bus_tests::oracle::Figures::of("pgbench to json-server");
    figures.add("rows", expected.len()).add("changed", changed).add("pgbench", writes);
    figures.add("requests", &route["delivered"]).add("agreed after ms", took.as_millis()).print();
}
