//! A receiver in another process: an HTTP server that writes down every request before it answers, and fails as told.

mod ledger;
mod script;
mod serve;
mod store;

pub use ledger::{Entry, Ledger, Outcome};
pub use script::{Answer, Rule, Script};
pub use serve::run;

use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::eventually::eventually;
use crate::process::{Ending, Log, Process};
use crate::sandbox::Sandbox;
use crate::servers::{http_client, target};

/// The process; it ends when this is dropped.
pub struct Receiver {
    process: Process,
    sandbox: Arc<Sandbox>,
    port: u16,
    control: u16,
    ledger: Mutex<ledger::Reader>,
}

impl Receiver {
    /// Starts it with a script; [`Script::default`] accepts everything.
    pub async fn start(script: &Script) -> Result<Self> {
        let sandbox = Arc::new(Sandbox::new("receiver")?);
        let mut command = Command::new(program()?);
        command.arg(sandbox.path().join("ledger.jsonl")).arg(serde_json::to_string(script)?);
        let process = Process::spawn("receiver", command, &sandbox, Ending::Kill)?;
        let log = process.log().clone();
        let (port, control) = eventually("the receiver to print its ports", Duration::from_secs(30), || {
            let ports = log.find(|line| {
                let (port, control) = line.strip_prefix("listening on ")?.split_once(", control on ")?;
                Some((port.parse().ok()?, control.parse().ok()?))
            });
            async move { Ok(ports) }
        })
        .await
        .with_context(|| log.tail(20))?;
        Ok(Self { process, sandbox, port, control, ledger: Mutex::default() })
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port, for a proxy in between.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What it has written down so far.
    pub fn ledger(&self) -> Result<Ledger> {
        let mut reader = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
        reader.read(&self.sandbox.path().join("ledger.jsonl"))
    }

    /// Waits until it has applied so many requests: all that it has applied by then, in their order.
    pub async fn applied(&self, count: usize, limit: Duration) -> Result<Vec<Entry>> {
        eventually(&format!("{count} requests at the receiver"), limit, || async {
            let applied: Vec<Entry> = self.ledger()?.applied().cloned().collect();
            Ok((applied.len() >= count).then_some(applied))
        })
        .await
    }

    /// Its output: empty unless it failed.
    pub fn log(&self) -> &Log {
        self.process.log()
    }

    /// Replaces the script; counts of used-up rules start again.
    pub async fn set_script(&self, script: &Script) -> Result<()> {
        self.tell("script", serde_json::to_string(script)?).await
    }

    /// Refuses connections and cuts open ones, until [`Receiver::up`] or for `length`.
    pub async fn down(&self, length: Option<Duration>) -> Result<()> {
        self.tell("down", length.map_or_else(String::new, |length| length.as_millis().to_string())).await
    }

    /// Accepts connections again, on the same port.
    pub async fn up(&self) -> Result<()> {
        self.tell("up", String::new()).await
    }

    /// `SIGSTOP`: connections are still accepted by the kernel and nobody answers.
    pub fn freeze(&mut self) {
        self.process.freeze();
    }

    /// Lets a frozen receiver go on.
    pub fn thaw(&mut self) {
        self.process.thaw();
    }

    /// Through a port of its own, so that it works while the receiver is "down".
    async fn tell(&self, what: &str, body: String) -> Result<()> {
        let url = format!("http://127.0.0.1:{}/{what}", self.control);
        let response = http_client().post(url).body(body).send().await?;
        ensure!(response.status().is_success(), "the receiver refused {what}: {}", response.text().await?);
        Ok(())
    }
}

/// Built by cargo together with the tests of this package; other packages' tests build it first. Tests stand in a folder of
/// their own, the benchmarks beside it.
fn program() -> Result<PathBuf> {
    let beside = std::env::current_exe()?.with_file_name("receiver");
    if beside.exists() {
        return Ok(beside);
    }
    let profile = beside.ancestors().nth(2).and_then(|folder| folder.file_name()).context("no profile")?;
    let program = target()?.join(profile).join("receiver");
    ensure!(program.exists(), "{} is missing: run `cargo build -p bus-tests --bins`", program.display());
    Ok(program)
}
