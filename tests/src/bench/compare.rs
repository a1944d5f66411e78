//! `bench memory`: a table of a million rows compared by the program as a whole, and the most memory that it takes.
//!
//! The store's part alone is held by `storage/tests/large_scan.rs`, and fewer rows through the whole bus by
//! `tests/tests/large_table.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;

use super::figures::{Report, number};
use super::{Scale, usage};
use crate::eventually::eventually;
use crate::goods::Goods;
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
    let mut goods = Goods::new(keys, SENT).await?;
    let load = usage::load();
    let began = Instant::now();
    goods.bus.start().await?;
    let pid = goods.bus.pid().context("just started")?;
    arrived(&goods, "PUT", keys / SENT, keys).await?;
    let (first, first_peak) = (began.elapsed(), usage::peak_memory(pid)?);
    let began = Instant::now();
    let gone = keys / DELETED;
    goods.delete("DELETE FROM goods WHERE id <= ?1", gone).await?;
    arrived(&goods, "DELETE", gone / SENT, keys + gone).await?;
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
async fn arrived(goods: &Goods, method: &str, requests: u64, settled: u64) -> Result<()> {
    eventually(&format!("{requests} requests and {settled} outcomes"), LIMIT, || async {
        let status = http_client().get(format!("{}/status", goods.bus.url())).send().await?.text().await?;
        let route = serde_json::from_str::<Value>(&status)?["routes"][0].take();
        let of = |name: &str| route[name].as_u64().unwrap_or(0);
        if of("delivered") + of("skipped") < settled {
            return Ok(None);
        }
        Ok((goods.applied(method)?.len() as u64 >= requests).then_some(()))
    })
    .await
    .with_context(|| goods.bus.log().map_or_else(String::new, |log| log.tail(20)))
}
