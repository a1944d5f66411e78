//! A large table compared by the real program: right deletions after a complete scan, none above the guard, bounded
//! memory. A million keys are compared in `storage/tests/large_scan.rs`; here it is the way through the whole bus.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bench::usage::peak_memory;
use bus_tests::eventually::eventually;
use bus_tests::goods::Goods;

const LIMIT: Duration = Duration::from_secs(120);
const ROWS: u64 = 50_000;
/// Every so many is for the receiver; the others are read, compared and skipped.
const SENT: u64 = 500;
/// Resident, at most, in MiB.
const MOST: f64 = 150.0;

/// The ids that the receiver was told to delete, once there are so many.
async fn deleted(goods: &Goods, count: u64) -> Result<BTreeSet<u64>> {
    eventually("the deletions", LIMIT, || async {
        let gone: BTreeSet<u64> = goods.applied("DELETE")?.into_iter().collect();
        Ok((gone.len() as u64 >= count).then_some(gone))
    })
    .await
}

#[tokio::test]
async fn a_large_table_is_compared_within_bounds() -> Result<()> {
    let mut goods = Goods::new(ROWS, SENT).await?;
    goods.bus.start().await?;
    let wanted = ROWS / SENT;
    eventually("the rows for the receiver", LIMIT, || async {
        Ok((goods.applied("PUT")?.len() as u64 >= wanted).then_some(()))
    })
    .await?;
    // Five in a hundred go, below the guard: of the first half, every tenth.
    goods.delete("DELETE FROM goods WHERE id % 10 = 0 AND id <= ?1", ROWS / 2).await?;
    let gone = deleted(&goods, wanted / 2).await?;
    // Half of the rest go, above it: nothing is deleted, and somebody is told.
    goods.delete("DELETE FROM goods WHERE id > ?1", ROWS / 2).await?;
    eventually("the guard", LIMIT, || async {
        let status = goods.bus.status().await?;
        let incidents = status["incidents"].as_array().context("incidents")?;
        Ok(incidents.iter().any(|one| one["kind"] == "too-many-deletions").then_some(()))
    })
    .await?;
    let expected: BTreeSet<u64> = (SENT..=ROWS / 2).step_by(SENT as usize).collect();
    assert_eq!(gone, expected);
    assert_eq!(deleted(&goods, 0).await?, expected, "the guard let something through");
    let highest = peak_memory(goods.bus.pid().context("it runs")?)?;
    println!("highest resident memory: {highest} MiB");
    ensure!(highest < MOST, "{highest} MiB");
    Ok(())
}
