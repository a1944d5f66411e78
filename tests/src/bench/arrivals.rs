//! The receiver's process, seen from the benchmark.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::time::Instant;

use super::receiver::Arrivals;
use crate::eventually::eventually;
use crate::process::{Ending, Process};
use crate::sandbox::Sandbox;
use crate::servers::http_client;

/// Without any arrival for so long a run has failed.
const SILENCE: Duration = Duration::from_secs(20);

/// Between two questions: rare enough to cost nothing.
const PAUSE: Duration = Duration::from_millis(50);

/// The process; it ends when this is dropped.
pub(super) struct Receiver {
    process: Process,
    port: u16,
}

impl Receiver {
    /// For documents 0 to `count` − 1.
    pub(super) async fn start(count: u64) -> Result<Self> {
        let sandbox = Arc::new(Sandbox::new("bench-receiver")?);
        let mut command = Command::new(program()?);
        command.args(["receiver", &count.to_string()]).current_dir(sandbox.path());
        let process = Process::spawn("receiver", command, &sandbox, Ending::Kill)?;
        let log = process.log().clone();
        let port = eventually("the receiver to print its port", Duration::from_secs(10), || {
            let port = log.find(|line| line.strip_prefix("listening on ")?.parse().ok());
            async move { Ok(port) }
        })
        .await
        .with_context(|| log.tail(20))?;
        Ok(Self { process, port })
    }

    /// `http://127.0.0.1:PORT`
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// For its CPU time.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Waits until `count` different documents have come.
    pub(super) async fn wait(&self, count: u64) -> Result<Arrivals> {
        let url = format!("{}/arrivals", self.url());
        let client = http_client();
        let (mut latest, mut changed) = (0, Instant::now());
        loop {
            let arrivals: Arrivals = serde_json::from_str(&client.get(&url).send().await?.text().await?)?;
            if arrivals.distinct >= count {
                return Ok(arrivals);
            }
            if arrivals.requests != latest {
                (latest, changed) = (arrivals.requests, Instant::now());
            }
            if changed.elapsed() > SILENCE {
                bail!("{} of {count} documents have come, and none for {SILENCE:?}", arrivals.distinct);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// This very program, for its other parts.
pub(super) fn program() -> Result<PathBuf> {
    let program = std::env::current_exe().context("the path of this program")?;
    ensure!(program.exists(), "{} was built anew while it ran", program.display());
    Ok(program)
}
