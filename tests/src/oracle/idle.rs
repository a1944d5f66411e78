//! Waiting until the bus has nothing left to do.

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::time::Instant;

use super::read;
use crate::bus::Bus;

/// Idle for so long, and every feed has looked meanwhile, means that nothing more will come: the feeds look five times a
/// second, and no retry waits longer without being counted as waiting.
const QUIET: Duration = Duration::from_secs(1);

/// How often the bus is asked.
const PAUSE: Duration = Duration::from_millis(100);

/// Waits until nothing is queued, in flight or waiting, and nothing has moved for a moment.
pub async fn idle(bus: &Bus, limit: Duration) -> Result<()> {
    let deadline = Instant::now() + limit;
    let (mut since, mut before) = (Instant::now(), None);
    // What the feeds had said of their last round when the quiet began.
    let mut rounds = None;
    loop {
        let busy = match read::get(bus, "/status").await {
            Ok(status) => {
                let (moved, left) = (moved(&status), left(&status));
                if left.is_some() || before.as_ref() != Some(&moved) {
                    since = Instant::now();
                    rounds = None;
                }
                before = Some(moved);
                let now = read_at(&status);
                let rounds = rounds.get_or_insert_with(|| now.clone());
                let looked = now.iter().zip(rounds.iter()).all(|(now, then)| now != then);
                match left {
                    None if looked && since.elapsed() >= QUIET => return Ok(()),
                    None => "something still moves".to_owned(),
                    Some(left) => left,
                }
            }
            Err(error) => {
                since = Instant::now();
                rounds = None;
                format!("{error:#}")
            }
        };
        if Instant::now() > deadline {
            let log = bus.log().map_or_else(String::new, |log| log.tail(40));
            bail!("the bus is not idle after {limit:?}: {busy}\n{log}");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What the routes have settled so far: it changes while something moves.
fn moved(status: &Value) -> Vec<(Option<u64>, Option<u64>)> {
    let routes = status["routes"].as_array().into_iter().flatten();
    routes.map(|route| (route["delivered"].as_u64(), route["skipped"].as_u64())).collect()
}

/// When each feed last had a round without an error.
fn read_at(status: &Value) -> Vec<Option<String>> {
    let feeds = status["feeds"].as_array().into_iter().flatten();
    feeds.map(|feed| feed["last_success"].as_str().map(str::to_owned)).collect()
}

/// What is left to do, in words.
fn left(status: &Value) -> Option<String> {
    for route in status["routes"].as_array().into_iter().flatten() {
        for what in ["queued", "in_flight", "waiting"] {
            if route[what].as_u64() != Some(0) {
                return Some(format!("{what} is {}: {route}", route[what]));
            }
        }
    }
    let feeds = status["feeds"].as_array().into_iter().flatten();
    feeds
        .into_iter()
        .find(|feed| feed["error"].is_string())
        .map(|feed| format!("feed {}: {}", feed["name"], feed["error"]))
}
