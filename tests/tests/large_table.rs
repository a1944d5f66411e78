//! A large table compared by the real program: right deletions after a complete scan, none above the guard, bounded
//! memory. A million keys are compared in `storage/tests/large_scan.rs`; here it is the way through the whole bus.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use serde_json::Value;
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(120);
const ROWS: u32 = 50_000;
/// Every so many is for the receiver; the others are read, compared and skipped.
const SENT: u32 = 500;
/// Resident, at most.
const MOST_KIB: u64 = 150 * 1024;

fn highest(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).context("no VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("no number")?.parse()?)
}

async fn status(bus: &Bus) -> Result<Value> {
    let (_, out, err) = bus.says(&["status", "--json"]).await?;
    serde_json::from_str(&out).context(err)
}

/// The ids that the receiver was told to delete, once there are so many.
async fn deleted(receiver: &Receiver, count: usize) -> Result<BTreeSet<u32>> {
    eventually("the deletions", LIMIT, || async {
        let ledger = receiver.ledger()?;
        let gone = ledger.applied().filter(|entry| entry.method == "DELETE").map(|entry| entry.key.parse());
        let gone = gone.collect::<Result<BTreeSet<u32>, _>>()?;
        Ok((gone.len() >= count).then_some(gone))
    })
    .await
}

#[tokio::test]
async fn a_large_table_is_compared_within_bounds() -> Result<()> {
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
    sqlx::query(fill).bind(ROWS).execute(&mut base).await?;
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{}"
        [systems.base]
        kind = "sql"
        url = "sqlite:base.db"
        [systems.shop]
        kind = "http"
        url = "{}"
        [streams.goods]
        from = "base"
        query = "SELECT id, name, price FROM goods ORDER BY id"
        key = "id"
        schedule = "500ms"
        changes = {{ diff = true, guard = "10%" }}
        [routes.goods-to-shop]
        stream = "goods"
        to = "shop"
        when = "mod(int!(.id), {SENT}) == 0"
        send = {{ method = "PUT", path = "/goods/{{key}}" }}
        on_delete = {{ path = "/goods/{{key}}" }}
        "#,
        bus.listen(),
        receiver.url()
    ))?;
    bus.start().await?;
    let wanted = (ROWS / SENT) as usize;
    eventually("the rows for the receiver", LIMIT, || async {
        let applied = receiver.ledger()?.applied().filter(|entry| entry.method == "PUT").count();
        Ok((applied >= wanted).then_some(()))
    })
    .await?;
    // Five in a hundred go, below the guard: of the first half, every tenth.
    sqlx::query("DELETE FROM goods WHERE id % 10 = 0 AND id <= ?1").bind(ROWS / 2).execute(&mut base).await?;
    let gone = deleted(&receiver, wanted / 2).await?;
    // Half of the rest go, above it: nothing is deleted, and somebody is told.
    sqlx::query("DELETE FROM goods WHERE id > ?1").bind(ROWS / 2).execute(&mut base).await?;
    eventually("the guard", LIMIT, || async {
        let status = status(&bus).await?;
        let incidents = status["incidents"].as_array().context("incidents")?;
        Ok(incidents.iter().any(|one| one["kind"] == "too-many-deletions").then_some(()))
    })
    .await?;
    let expected: BTreeSet<u32> = (SENT..=ROWS / 2).step_by(SENT as usize).collect();
    assert_eq!(gone, expected);
    assert_eq!(deleted(&receiver, 0).await?, expected, "the guard let something through");
    let highest = highest(bus.pid().context("it runs")?)?;
    println!("highest resident memory: {highest} KiB");
    ensure!(highest < MOST_KIB, "{highest} KiB");
    Ok(())
}
