//! From a receiver's ledger and the bus's list of dead letters to versions.

use std::collections::HashSet;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Number, Value};

use super::issued::{Version, digest};
use super::verdict::Arrival;
use crate::bus::Bus;
use crate::receiver::{Entry, Ledger, Outcome};
use crate::servers::http_client;

/// What the oracle looks at in a body; the record holds more.
#[derive(Deserialize)]
struct Body {
    key: String,
    version: u64,
    amount: Number,
    payload: String,
}

/// The effects under one path, in their order.
pub(super) fn arrivals(ledger: &Ledger, path: &str) -> Result<Vec<Arrival>> {
    let effect = |entry: &&Entry| entry.outcome == Outcome::Applied && entry.path.starts_with(path);
    ledger.entries.iter().filter(effect).map(request).collect()
}

fn request(entry: &Entry) -> Result<Arrival> {
    let arrival = arrival(&entry.body)?;
    let key = &arrival.version.key;
    ensure!(*key == entry.key, "the request for {} carries the record of {key}", entry.key);
    Ok(Arrival { answered: entry.status.is_some_and(|status| (200..300).contains(&status)), ..arrival })
}

/// What came with this body, as if it was answered.
pub(super) fn arrival(body: &str) -> Result<Arrival> {
    let body: Body = serde_json::from_str(body).with_context(|| format!("a strange body: {body}"))?;
    Ok(Arrival {
        digest: digest(&body.key, body.version, body.amount.as_str(), &body.payload),
        version: Version::new(body.key, body.version),
        answered: true,
    })
}

/// The versions of a route's dead letters.
pub(super) async fn dead(bus: &Bus, route: &str) -> Result<HashSet<Version>> {
    let list = get(bus, &format!("/dead?route={route}&limit=10000")).await?;
    let mut versions = HashSet::new();
    for row in list.as_array().context("the list of dead letters is not a list")? {
        let whole = get(bus, &format!("/dead/{}", row["id"])).await?;
        let record = whole["record"].as_str().context("a dead letter without its record")?;
        let body: Body = serde_json::from_str(record).with_context(|| format!("a strange record: {record}"))?;
        versions.insert(Version::new(body.key, body.version));
    }
    Ok(versions)
}

/// What the bus's own API answers.
pub(super) async fn get(bus: &Bus, path: &str) -> Result<Value> {
    let answer = http_client().get(format!("{}{path}", bus.url())).send().await?.error_for_status()?;
    Ok(serde_json::from_str(&answer.text().await?)?)
}
