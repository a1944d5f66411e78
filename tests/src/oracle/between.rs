//! The two ledgers between issued and delivered. *Handed*: what lay below the durable cursor when somebody looked.
//! *Confirmed*: what a subscriber of the stream got, which is what the broker has confirmed.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use serde_json::value::RawValue;

use super::issued::{Content, Issued, Owed, Version};
use super::read;
use super::scene::{KEY, Scene};
use super::verdict::{Allowance, Arrival, Verdict};
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

/// The subscription whose subscriber keeps the ledger of a stream; for a routes file.
pub(super) fn subscription(stream: &str) -> String {
    format!(
        "[subscriptions.ledger-of-{stream}]\nstream = \"{stream}\"\nvia = \"http\"\nkey = {{ env = \"PUSH_KEY\" }}\n"
    )
}

impl Scene {
    /// Notes what lies below the durable cursor now: no open transaction can add to it, so the bus has read all of it,
    /// and moved on.
    pub(super) async fn note_handed(&mut self) -> Result<()> {
        let feeds = read::get(&self.bus, "/feeds").await?;
        let feed = feeds.as_array().into_iter().flatten().find(|feed| feed["feed"] == "orders");
        let Some(cursor) = feed.and_then(|feed| feed["cursor"].as_str()) else { return Ok(()) };
        let position: Value = serde_json::from_str(cursor).context("a strange cursor")?;
        let Some(safe) = position["safe"].as_str() else { return Ok(()) };
        self.handed.extend(self.source.below(safe).await?);
        Ok(())
    }

    /// What the subscriber of a stream got, in its order, once that is all of what was issued, or [`SOON`] is over.
    pub(super) async fn confirmed(&self, stream: &str, issued: &Issued) -> Result<Vec<Arrival>> {
        let deadline = tokio::time::Instant::now() + SOON;
        let (mut arrivals, mut after) = (Vec::new(), 0);
        loop {
            let url = format!("{}/out/ledger-of-{stream}?after={after}&limit=1000", self.bus.url());
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
            if late || verdict(issued, &arrivals).lost.is_empty() {
                return Ok(arrivals);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// The verdict on what a subscriber got: each version once. What no route takes is published all the same.
pub(super) fn verdict(issued: &Issued, confirmed: &[Arrival]) -> Verdict {
    let verdict = Verdict::judge(issued, confirmed, &HashSet::new(), Allowance::NONE);
    let unwanted = |version: &Version| issued.get(version).is_some_and(|content| !content.wanted);
    let unexpected = verdict.unexpected.iter().filter(|version| !unwanted(version)).cloned().collect();
    Verdict { unexpected, ..verdict }
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

/// R3: the cursor stood behind them, and the broker had not confirmed them.
pub(super) fn unpublished(handed: &BTreeSet<Version>, confirmed: &[Arrival]) -> Vec<Version> {
    let confirmed: HashSet<&Version> = confirmed.iter().map(|arrival| &arrival.version).collect();
    handed.iter().filter(|version| !confirmed.contains(version)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrivals(numbers: &[u64]) -> Vec<Arrival> {
        let arrival =
            |number: &u64| Arrival { version: Version::new("а", *number), digest: String::new(), answered: true };
        numbers.iter().map(arrival).collect()
    }

    #[test]
    fn every_confirmed_version_is_owed_and_what_the_cursor_passed_must_be_among_them() {
        let mut issued = Issued::new(Owed::Last);
        for number in 1..=3 {
            issued.add(Version::new("а", number), Content { digest: String::new(), wanted: true });
        }
        // The second one was overwritten before it was read: nobody is owed it. The first one was published.
        let confirmed = arrivals(&[1, 3]);
        assert!(verdict(&issued, &confirmed).is_clean());
        let owed = owed(&confirmed, &issued, Owed::Every);
        let judged = |delivered: &[u64]| Verdict::judge(&owed, &arrivals(delivered), &HashSet::new(), Allowance::NONE);
        assert!(judged(&[1, 3]).is_clean());
        assert_eq!(judged(&[3]).lost, [Version::new("а", 1)], "a later version does not make up for it");
        let handed = BTreeSet::from([Version::new("а", 2), Version::new("а", 3)]);
        assert_eq!(unpublished(&handed, &confirmed), [Version::new("а", 2)]);
    }
}
