//! `bus check --connect` at real servers: each says its latency, its version and what we may do there.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use bus_simulator::{Options, Simulator};
use bus_tests::bus::Bus;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::{Postgres, RabbitMq};
use serde_json::{Value, json};

fn routes(bus: &Bus, receiver: &str) -> String {
    format!(
        r#"
[bus]
broker = {{ env = "RABBITMQ" }}
listen = "{listen}"
[systems.bank]
kind = "sql"
url = {{ env = "BANK" }}
[systems.shop]
kind = "http"
url = "{receiver}"
headers = {{ X-Api-Key = {{ env = "SHOP_KEY" }} }}
# Nothing uses these two.
[systems.spare]
kind = "sql"
url = "sqlite:spare.db"
[systems.nobody]
kind = "http"
url = "http://127.0.0.1:{closed}"
[streams.accounts]
from = "bank"
query = "SELECT id FROM accounts"
key = "id"
schedule = "1h"
changes = "diff"
[routes.accounts]
stream = "accounts"
to = "shop"
send = {{ method = "PUT", path = "/accounts/{{key}}" }}
"#,
        listen = bus.listen(),
        closed = closed_port(),
    )
}

/// Where nothing listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map_or(1, |address| address.port())
}

/// The rows of `--json` by what they are about, and the exit code.
async fn checked(bus: &Bus) -> Result<(Vec<Value>, Option<i32>)> {
    let output = bus.run(&["check", "--connect", "--json"]).await?;
    let rows = serde_json::from_slice(&output.stdout).context("rows")?;
    Ok((rows, output.status.code()))
}

fn row<'a>(rows: &'a [Value], what: &str) -> Result<&'a Value> {
    rows.iter().find(|row| row["what"] == what).with_context(|| format!("{what} is not among {rows:?}"))
}

/// It answered, with a latency, this version and these rights.
fn answered(rows: &[Value], what: &str, version: &str, rights: &str) -> Result<()> {
    let row = row(rows, what)?;
    let says = |key: &str, part: &str| row[key].to_string().contains(part);
    let latency = row["latency_ms"].as_f64().is_some_and(|latency| latency > 0.0);
    ensure!(row["ok"] == true && latency && says("version", version) && says("rights", rights), "{row}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_system_says_latency_version_and_rights() -> Result<()> {
    let (postgres, node) = (Postgres::shared().await?, RabbitMq::shared().await?);
    let (base, vhost) = (postgres.database().await?, node.vhost().await?);
    let receiver = Receiver::start(&Script::default()).await?;
    postgres
        .execute(
            &base,
            &format!(
                "CREATE TABLE accounts (id int); CREATE TABLE secrets (id int); CREATE ROLE reader_{base} LOGIN; \
                 GRANT SELECT ON accounts TO reader_{base}"
            ),
        )
        .await?;
    let mut bus = Bus::new()?;
    bus.env("SHOP_KEY", "shop-secret");
    bus.env("RABBITMQ", vhost.url.clone());
    bus.env("BANK", postgres.url_of(&base).replace("postgres@", &format!("reader_{base}@")));
    bus.routes(&routes(&bus, &receiver.url()))?;

    let (rows, code) = checked(&bus).await?;
    answered(&rows, "the state store", "SQLite 3.", "may make the file")?;
    answered(&rows, "the broker", "RabbitMQ ", "may configure, write and read")?;
    let rights = format!("user reader_{base} sees 2 tables and views in database {base}: may read 1 and change 0");
    answered(&rows, "system bank", "PostgreSQL ", &rights)?;
    answered(&rows, "stream accounts (bank)", "PostgreSQL ", "may read what the query asks for")?;
    answered(&rows, "system shop", "HTTP", "the credentials are ")?;
    for (what, part) in [("system spare", "spare.db"), ("system nobody", "no connection to the receiver")] {
        let row = row(&rows, what)?;
        ensure!(row["ok"] == false && row["error"].to_string().contains(part), "{row}");
    }
    assert_eq!((rows.len(), code), (7, Some(69)), "{rows:?}");
    ensure!(!bus.directory().join("data").exists(), "it makes nothing");

    // Each of them refuses.
    postgres.execute(&base, &format!("REVOKE SELECT ON accounts FROM reader_{base}")).await?;
    let none = json!({ "configure": "", "write": "", "read": "" });
    node.management().put(&format!("permissions/{}/guest", vhost.name), &none).await?;
    let refuse = Rule::always(Answer::Status { code: 401, retry_after: None });
    receiver.set_script(&Script { rules: vec![refuse], ..Script::default() }).await?;
    let (rows, code) = checked(&bus).await?;
    for (what, part) in [
        ("the broker", "lacks the right to configure"),
        ("stream accounts (bank)", "permission denied for table accounts"),
        ("system shop", "answers 401: the credentials are refused; check `user`, `password`"),
    ] {
        let row = row(&rows, what)?;
        ensure!(row["ok"] == false && row["error"].to_string().contains(part), "{row}");
    }
    assert_eq!(code, Some(69));

    let (_, out, _) = bus.says(&["check", "--connect"]).await?;
    ensure!(out.contains("ok    system bank: PostgreSQL") && out.contains("      rights: user reader_"), "{out}");
    ensure!(out.contains("FAIL  system shop: the base address answers 401"), "{out}");
    Ok(())
}

/// Not even a check asks what its own profile closes now: the base has heard nothing, and nobody is missed where nothing listens.
#[tokio::test]
async fn a_system_that_is_closed_by_its_profile_is_left_alone() -> Result<()> {
    let base = Simulator::start(Options { size: 1, ..Options::default() }).await?;
    let bus = Bus::new()?;
    let open = format!(
        r#"
[bus]
listen = "{listen}"
[systems.erp]
kind = "1c-odata"
url = "{erp}"
reads = {{ rate = "0/min" }}
capacity = {{ rate = "0/min" }}
[systems.shop]
kind = "http"
url = "http://127.0.0.1:{closed}"
capacity = {{ rate = "0/min" }}
[streams.orders]
from = "erp"
entity = "Документ.ЗаказКлиента"
key = "Ref_Key"
schedule = "1h"
changes = "diff"
[routes.orders]
stream = "orders"
to = "shop"
send = {{ method = "PUT", path = "/orders/{{key}}" }}
"#,
        listen = bus.listen(),
        erp = base.url(),
        closed = closed_port(),
    );
    bus.routes(&open)?;
    let (rows, code) = checked(&bus).await?;
    for what in ["system erp", "system shop", "stream orders (erp)"] {
        let row = row(&rows, what)?;
        ensure!(row["ok"].is_null() && row["left"].to_string().contains("is 0/min now, it stays so"), "{row}");
    }
    assert_eq!((code, base.seen().len()), (Some(0), 0), "{rows:?}");
    let (_, out, _) = bus.says(&["check", "--connect"]).await?;
    ensure!(out.contains("left  system shop: not asked: its `capacity` is 0/min now"), "{out}");

    bus.routes(&open.replace("0/min", "1000/min"))?;
    let (rows, code) = checked(&bus).await?;
    ensure!(row(&rows, "system erp")?["ok"] == true && !base.seen().is_empty(), "{rows:?}");
    ensure!(row(&rows, "system shop")?["ok"] == false && code == Some(69), "{rows:?}");
    Ok(())
}
