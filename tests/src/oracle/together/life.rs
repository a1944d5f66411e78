//! Lives of the bus: it starts, people do things, it is killed; and the end, where everything is right again.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tokio::time::Instant;

use super::routes::{LATEST, ORDERS};
use super::{Deed, KEYS, Together};
use crate::eventually::eventually;
use crate::oracle::read;
use crate::oracle::scene::DRAIN;
use crate::receiver::Script;

/// From the start until it is ready, or dead at its place.
const READY: Duration = Duration::from_secs(30);

impl Together {
    /// One life: `kill -9` at `place`, or after `length` at most. Returns the deeds that were not done.
    pub async fn life(&mut self, place: &str, length: Duration, mut left: Vec<Deed>) -> Result<Vec<Deed>> {
        self.scene.bus.crash_at(place);
        self.scene.bus.start_unready()?;
        let begun = Instant::now();
        while self.scene.bus.ended().is_none() && !self.scene.bus.is_ready().await {
            ensure!(begun.elapsed() < READY, "not ready:\n{}", self.scene.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What is asked of a bus that dies meanwhile fails; it is asked again in another life.
        let doing = async {
            self.resume().await?;
            while let Some(deed) = left.first().copied() {
                if !self.deed(deed).await? {
                    break;
                }
                left.remove(0);
                self.scene.note_handed().await?;
            }
            // The rest of the life is work.
            while self.scene.bus.ended().is_none() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok::<(), anyhow::Error>(())
        };
        let done = tokio::time::timeout(length, doing).await;
        if let Ok(Err(error)) = done {
            let ended = self.scene.bus.wait(Duration::from_secs(1)).await;
            ensure!(ended.is_ok(), "{error:#}:\n{}", self.scene.log());
        }
        if let Some(status) = self.scene.bus.ended() {
            ensure!(status.code().is_none(), "the bus ended by itself ({status}):\n{}", self.scene.log());
        }
        self.scene.bus.crash_at("");
        self.scene.bus.kill9();
        self.scene.fault();
        Ok(left)
    }

    /// One more life, at whose end both `latest` routes hold several versions of some key, and somebody has looked at the
    /// cursor: a slow machine may come to neither in the others. Writers and senders go on.
    pub async fn pile_up(&mut self) -> Result<()> {
        self.scene.bus.start().await?;
        self.resume().await?;
        for route in [ORDERS, LATEST] {
            self.paused.push(("route", route));
            ensure!(self.says(&["pause", "route", route, "--why", "the oracle"]).await?, "no pause");
        }
        let deadline = Instant::now() + DRAIN;
        loop {
            self.scene.note_handed().await?;
            let piled = self.supersedes(ORDERS).await? && self.supersedes(LATEST).await?;
            if piled && !self.scene.handed.is_empty() {
                break;
            }
            ensure!(Instant::now() < deadline, "nothing piles up: {piled}:\n{}", self.scene.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.scene.bus.kill9();
        self.scene.fault();
        Ok(())
    }

    /// Whether a version has taken another's place on this route, or has to: more messages wait than there are keys.
    async fn supersedes(&self, route: &str) -> Result<bool> {
        let metrics = self.scene.bus.metrics().await?;
        let settled = format!("bus_messages_settled_total{{outcome=\"superseded\",route=\"{route}\"}} ");
        let superseded = metrics.lines().find_map(|line| line.strip_prefix(settled.as_str()));
        let status = self.scene.route(route).await?;
        let held = status["queued"].as_u64().unwrap_or(0) + status["waiting"].as_u64().unwrap_or(0);
        Ok(superseded.is_some_and(|count| count != "0") || held > 3 * KEYS as u64)
    }

    /// The last life: nothing is wrong any more, what is left to do is done, all letters go back, and it becomes idle.
    pub async fn end(&mut self, left: Vec<Deed>) -> Result<()> {
        self.scene.shop.up().await?;
        self.scene.books.up().await?;
        self.scene.bus.start().await?;
        self.resume().await?;
        for deed in left {
            self.certainly(deed).await?;
        }
        self.scene.shop.set_script(&Script::default()).await?;
        self.scene.books.set_script(&Script::default()).await?;
        self.resume().await?;
        ensure!(self.reload(true, 8, self.file.batch).await?, "no reload in the end:\n{}", self.scene.log());
        self.certainly(Deed::Load).await?;
        self.certainly(Deed::Replay).await?;
        self.tasks_done().await?;
        self.scene.drained().await
    }

    /// Until it works: a resend waits for the one before it.
    async fn certainly(&mut self, deed: Deed) -> Result<()> {
        let deadline = Instant::now() + DRAIN;
        while !self.deed(deed).await? {
            ensure!(Instant::now() < deadline, "{deed:?} is refused:\n{}", self.scene.log());
            self.tasks_done().await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    async fn tasks_done(&self) -> Result<()> {
        let done = || async {
            let tasks = read::get(&self.scene.bus, "/tasks").await?;
            let tasks: &[Value] = tasks.as_array().map_or(&[], Vec::as_slice);
            Ok(tasks.iter().all(|task| !task["ended"].is_null()).then_some(()))
        };
        eventually("every task to be done", DRAIN, done).await
    }
}
