//! A sender that pushes records to the bus as the guide tells it to: each until it is answered 2xx, then the next.
//!
//! What was answered 2xx has been confirmed by the broker, so every version is owed, not only a key's last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::issued::{Content, Issued, Owed, Version, digest};
use super::seed::{Seed, text};

/// Sent beside each other, each with keys of its own.
const SENDERS: usize = 2;

/// Between two tries of one record.
const AGAIN: Duration = Duration::from_millis(100);

/// Nobody waits longer for one record; the bus under test is never away for so long.
const PATIENCE: Duration = Duration::from_secs(90);

/// Where and how to push.
#[derive(Debug, Clone)]
pub struct Door {
    /// The whole address.
    pub url: String,
    /// What the bus asks for.
    pub key: String,
}

/// Pushes that go on until [`Pusher::stop`].
pub struct Pusher {
    stop: Arc<AtomicBool>,
    senders: JoinSet<Result<()>>,
    ledger: Arc<Mutex<Issued>>,
}

impl Pusher {
    /// Pushes to `keys` keys, with `pause` after each record.
    pub fn start(door: &Door, keys: u64, pause: Duration, seed: Seed) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ledger = Arc::new(Mutex::new(Issued::new(Owed::Every)));
        let mut senders = JoinSet::new();
        for sender in 0..SENDERS {
            let (door, stop, ledger) = (door.clone(), stop.clone(), ledger.clone());
            let mut rng = seed.part(100 + sender as u64);
            senders.spawn(async move {
                let client = client()?;
                let mut numbers = vec![0; usize::try_from(keys)?];
                while !stop.load(Ordering::Relaxed) {
                    let place = rng.usize(..numbers.len());
                    numbers[place] += 1;
                    let version = Version::new(format!("user-{sender}-{place}"), numbers[place]);
                    push(&client, &door, &version, &text(&mut rng), &ledger).await?;
                    tokio::time::sleep(pause).await;
                }
                // Every key has a version in the end: others may refer to it.
                for (place, number) in numbers.iter_mut().enumerate().filter(|(_, number)| **number == 0) {
                    *number = 1;
                    push(&client, &door, &Version::new(format!("user-{sender}-{place}"), 1), &text(&mut rng), &ledger)
                        .await?;
                }
                Ok(())
            });
        }
        Self { stop, senders, ledger }
    }

    /// Returns, when the last record has been accepted, what was issued.
    pub async fn stop(mut self) -> Result<Issued> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(ended) = self.senders.join_next().await {
            ended??;
        }
        let issued = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(issued.clone())
    }
}

/// Pushes versions 1 to `versions` of each of `keys` keys, whose names begin like this, one after the other.
pub async fn push_all(door: &Door, name: &str, keys: u64, versions: u64) -> Result<Issued> {
    let ledger = Mutex::new(Issued::new(Owed::Every));
    let client = client()?;
    for number in 1..=versions {
        for key in 0..keys {
            push(&client, door, &Version::new(format!("{name}-{key}"), number), "тело", &ledger).await?;
        }
    }
    Ok(ledger.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn client() -> Result<reqwest::Client> {
    // Makes sure that the provider of TLS is there, which the builder asks for without using it.
    drop(crate::servers::http_client());
    Ok(reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build()?)
}

/// Written down before it is sent: what arrives was issued, even if the bus dies before it answers.
async fn push(
    client: &reqwest::Client,
    door: &Door,
    version: &Version,
    payload: &str,
    ledger: &Mutex<Issued>,
) -> Result<()> {
    let content = Content { digest: digest(&version.key, version.number, "0.1000", payload), wanted: true };
    ledger.lock().unwrap_or_else(PoisonError::into_inner).add(version.clone(), content);
    let amount: serde_json::Number = serde_json::from_str("0.1000")?;
    let body = json!({ "key": version.key, "version": version.number, "amount": amount, "payload": payload });
    let deadline = Instant::now() + PATIENCE;
    loop {
        let request = client.post(&door.url).header("x-api-key", &door.key).body(body.to_string());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) if answer.status().is_client_error() => {
                let status = answer.status();
                bail!("the bus refused a pushed record: {status}: {}", answer.text().await.unwrap_or_default());
            }
            // Down, starting, or busy: the sender's duty is to try again.
            Ok(_) | Err(_) => {}
        }
        if Instant::now() > deadline {
            bail!("the bus took no pushed record for {PATIENCE:?}");
        }
        tokio::time::sleep(AGAIN).await;
    }
}
