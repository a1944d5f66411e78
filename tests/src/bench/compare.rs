//! `bench memory`: a table of a million rows compared by the program as a whole, and the most memory that it takes.
//!
//! SQLite as the source, because it is read inside the program: its cache counts. The store's part alone is held by
//! `storage/tests/large_scan.rs`, and fewer rows through the whole bus by `tests/tests/large_table.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use sqlx::Connection as _;

use super::figures::{Report, number};
use super::{Scale, usage};
use crate::bus::Bus;
use crate::eventually::eventually;
use crate::receiver::{Receiver, Script};
use crate::servers::http_client;

/// One in so many rows is for the receiver; the others are read, compared, published and skipped.
const SENT: u64 = 1000;
/// One in so many is deleted afterwards: below the guard.
const DELETED: u64 = 20;
/// For one comparison; a busy machine takes some minutes.
const LIMIT: Duration = Duration::from_secs(3600);

/// Fills the table, reads it for the first time, and compares it again after deletions.
pub(super) async fn run(scale: Scale) -> Result<Report> {
    let keys: u64 = if scale.quick { 100_000 } else { 1_000_000 };
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    let file = bus.directory().join("base.db");
    let mut base = sqlx::SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", file.display())).await?;
    // The bus reads while we write.
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut base).await?;
    sqlx::query("CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT NOT NULL, price TEXT NOT NULL)")
        .execute(&mut base)
        .await?;
    let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                INSERT INTO goods SELECT i, 'Товар №' || i || ' в упаковке', i || '.50' FROM n";
    sqlx::query(fill).bind(i64::try_from(keys)?).execute(&mut base).await?;
    bus.routes(&routes(&bus.listen(), &receiver.url()))?;
    let load = usage::load();
    let began = Instant::now();
    bus.start().await?;
    let pid = bus.pid().context("just started")?;
    arrived(&bus, &receiver, "PUT", keys / SENT, keys).await?;
    let (first, first_peak) = (began.elapsed(), usage::peak_memory(pid)?);
    let began = Instant::now();
    let gone = keys / DELETED;
    sqlx::query("DELETE FROM goods WHERE id <= ?1").bind(i64::try_from(gone)?).execute(&mut base).await?;
    arrived(&bus, &receiver, "DELETE", gone / SENT, keys + gone).await?;
    let mut report = Report::default();
    report.add("bench", "memory");
    report.add("quick", scale.quick);
    report.add("keys", keys);
    report.add("peak_memory_mib", number(usage::peak_memory(pid)?, 1));
    report.add("first_reading_peak_mib", number(first_peak, 1));
    report.add("first_reading_s", number(first.as_secs_f64(), 1));
    report.add("deletions", gone);
    report.add("deletions_s", number(began.elapsed().as_secs_f64(), 1));
    report.add("cores", std::thread::available_parallelism().map_or(0, usize::from));
    report.add("load_before", number(load, 2));
    Ok(report)
}

/// Waits until the receiver has applied so many requests of a kind, and everything that was published is settled.
async fn arrived(bus: &Bus, receiver: &Receiver, method: &str, requests: u64, settled: u64) -> Result<()> {
    eventually(&format!("{requests} requests and {settled} outcomes"), LIMIT, || async {
        let status = http_client().get(format!("{}/status", bus.url())).send().await?.text().await?;
        let route = serde_json::from_str::<Value>(&status)?["routes"][0].take();
        let of = |name: &str| route[name].as_u64().unwrap_or(0);
        if of("delivered") + of("skipped") < settled {
            return Ok(None);
        }
        let ledger = receiver.ledger()?;
        let applied = ledger.applied().filter(|entry| entry.method == method).count() as u64;
        Ok((applied >= requests).then_some(()))
    })
    .await
    .with_context(|| bus.log().map_or_else(String::new, |log| log.tail(20)))
}

fn routes(listen: &str, receiver: &str) -> String {
    format!(
        r#"
[bus]
name = "bench"
state = "bus.db"
listen = "{listen}"

[systems.base]
kind = "sql"
url = "sqlite:base.db"

[systems.shop]
kind = "http"
url = "{receiver}"

[streams.goods]
from = "base"
query = "SELECT id, name, price FROM goods"
key = "id"
schedule = "1s"
changes = {{ diff = true, guard = "10%" }}

[routes.goods-to-shop]
stream = "goods"
to = "shop"
when = "mod(int!(.id), {SENT}) == 0"
send = {{ method = "PUT", path = "/goods/{{key}}" }}
on_delete = {{ path = "/goods/{{key}}" }}
"#
    )
}
