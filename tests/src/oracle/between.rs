//! The two ledgers between issued and delivered.

use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use serde_json::value::RawValue;

use super::Together;
use crate::oracle::issued::{Content, Issued, Owed};
use crate::oracle::read;
use crate::oracle::scene::KEY;
use crate::oracle::verdict::{Allowance, Arrival, Verdict};
use crate::servers::http_client;

/// Subscribers have everything within this time once nothing is under way any more.
const SOON: Duration = Duration::from_secs(10);

#[derive(serde::Deserialize)]
struct Page {
    events: Vec<Event>,
    next: u64,
    backlog: u64,
}

#[derive(serde::Deserialize)]
struct Event {
    data: Box<RawValue>,
}

impl Together {
    /// Notes what lies below the durable cursor now: no open transaction can add to it, so the bus has read all of it,
    /// and moved on.
    pub(super) async fn note_handed(&mut self) -> Result<()> {
        let feeds = read::get(&self.scene.bus, "/feeds").await?;
        let feed = feeds.as_array().into_iter().flatten().find(|feed| feed["feed"] == "orders");
        let Some(cursor) = feed.and_then(|feed| feed["cursor"].as_str()) else { return Ok(()) };
        let position: Value = serde_json::from_str(cursor).context("a strange cursor")?;
        let Some(safe) = position["safe"].as_str() else { return Ok(()) };
        self.handed.extend(self.scene.source.below(safe).await?);
        Ok(())
    }

    /// What the subscriber of a stream got, in its order, once that is all of what was issued, or [`SOON`] is over.
    pub(super) async fn confirmed(&self, stream: &str, issued: &Issued) -> Result<Vec<Arrival>> {
        let deadline = tokio::time::Instant::now() + SOON;
        let (mut arrivals, mut after) = (Vec::new(), 0);
        loop {
            let url = format!("{}/out/ledger-of-{stream}?after={after}&limit=1000", self.scene.bus.url());
            let answer = http_client().get(url).header("x-api-key", KEY).send().await?.error_for_status()?;
            let page: Page = serde_json::from_str(&answer.text().await?)?;
            for event in &page.events {
                arrivals.push(read::arrival(event.data.get())?);
            }
            after = page.next;
            if page.backlog > 0 {
                continue;
            }
            let late = tokio::time::Instant::now() > deadline;
            if late || Verdict::judge(issued, &arrivals, &[].into(), Allowance::NONE).lost.is_empty() {
                return Ok(arrivals);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// What was confirmed, as what is owed to a route of the stream.
pub(super) fn owed(confirmed: &[Arrival], issued: &Issued, owed: Owed) -> Issued {
    let mut all = Issued::new(owed);
    for arrival in confirmed {
        let wanted = issued.get(&arrival.version).is_none_or(|content| content.wanted);
        all.add(arrival.version.clone(), Content { digest: arrival.digest.clone(), wanted });
    }
    all
}
