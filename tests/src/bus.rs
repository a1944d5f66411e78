//! The real program, run as its users run it: a routes file, an environment, signals.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;

use crate::ports;
use crate::process::{Ending, Log, Process};
use crate::sandbox::Sandbox;
use crate::servers::{http_client, target};

/// From the start to `/readyz`, and for any command.
const LIMIT: Duration = Duration::from_secs(30);

/// One installation of the bus: its directory, its address, its settings; the program may be started many times in it.
pub struct Bus {
    process: Option<Process>,
    sandbox: Arc<Sandbox>,
    program: PathBuf,
    port: u16,
    environment: BTreeMap<String, String>,
    standby: Option<Process>,
    /// A write beyond a limit is an error to the program, and does not end it.
    file_limits: bool,
    arguments: Vec<String>,
}

impl Bus {
    /// A new directory; nothing runs yet. The program is `$BUS_BIN`, else the one that cargo built last.
    pub fn new() -> Result<Self> {
        let program = match std::env::var_os("BUS_BIN") {
            Some(program) => PathBuf::from(program),
            None => target()?.join("debug/bus"),
        };
        ensure!(
            program.exists(),
            "{} is missing: `cargo xtask test` builds it, or cargo build -p entity-bus --features failpoints",
            program.display()
        );
        let sandbox = Arc::new(Sandbox::new("bus")?);
        Ok(Self {
            process: None,
            sandbox,
            program,
            port: ports::free(),
            environment: BTreeMap::new(),
            standby: None,
            file_limits: false,
            arguments: Vec::new(),
        })
    }

    /// The program itself, for a shell.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Where files of this installation are; the program runs in it.
    pub fn directory(&self) -> &Path {
        self.sandbox.path()
    }

    /// For `listen` in `[bus]`.
    pub fn listen(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.listen())
    }

    /// Writes `routes.toml`.
    pub fn routes(&self, text: &str) -> Result<()> {
        self.sandbox.write("routes.toml", text).map(drop)
    }

    /// Sets a variable for programs started from now on: a secret, or `RUST_LOG`.
    pub fn env(&mut self, name: &str, value: impl Into<String>) {
        self.environment.insert(name.to_owned(), value.into());
    }

    /// The line of `[bus]` that puts it on this RabbitMQ, whose address goes into the environment; empty without one.
    pub fn on(&mut self, rabbit: Option<String>) -> &'static str {
        rabbit.map_or("", |url| {
            self.env("RABBITMQ", url);
            "broker = { env = \"RABBITMQ\" }"
        })
    }

    /// Where programs started from now on abort, as `capture.sealed:3`: at the third passage; an empty text is nowhere.
    pub fn crash_at(&mut self, place: &str) {
        self.env_unless_empty("BUS_CRASH_AT", place);
    }

    /// The bug in programs started from now on, as `ack-before-send`; an empty text is none.
    pub fn plant(&mut self, bug: &str) {
        self.env_unless_empty("BUS_PLANT", bug);
    }

    fn env_unless_empty(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.environment.remove(name);
        } else {
            self.env(name, value);
        }
    }

    /// Starts `bus run` and waits until `/readyz` answers 200.
    pub async fn start(&mut self) -> Result<()> {
        self.start_unready()?;
        let deadline = tokio::time::Instant::now() + LIMIT;
        let url = format!("{}/readyz", self.url());
        loop {
            let process = self.process.as_mut().context("just started")?;
            if let Some(status) = process.ended() {
                // Somebody looked whether the port is free at that very moment, or holds it for a moment longer.
                if process.log().tail(30).contains("Address already in use") && tokio::time::Instant::now() < deadline {
                    tokio::time::sleep(Duration::from_millis(500)).await;
                    self.start_unready()?;
                    continue;
                }
                bail!("bus ended while starting ({status}); the end of its output:\n{}", process.log().tail(30));
            }
            let answer = http_client().get(&url).timeout(Duration::from_secs(2)).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if tokio::time::Instant::now() > deadline {
                bail!("bus is not ready after {LIMIT:?}; the end of its output:\n{}", process.log().tail(30));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Arguments of `bus run`, as `["--watch"]`, for programs started from now on.
    pub fn run_with(&mut self, arguments: &[&str]) {
        self.arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// Starts `bus run` and does not wait: for a broker that is down, or a failpoint that ends the start.
    pub fn start_unready(&mut self) -> Result<()> {
        self.process = None;
        let mut command = self.command();
        command.arg("run").args(&self.arguments);
        self.process = Some(Process::spawn("bus", command, &self.sandbox, Ending::Kill)?);
        Ok(())
    }

    /// Starts a second process in the same installation, which waits for the first one to end.
    pub fn stand_by(&mut self) -> Result<()> {
        let mut command = self.command();
        command.args(["run", "--standby"]);
        self.standby = Some(Process::spawn("standby", command, &self.sandbox, Ending::Kill)?);
        Ok(())
    }

    /// `kill -9` of the first process; returns when the one that stood by is ready in its place.
    pub async fn take_over(&mut self, limit: Duration) -> Result<()> {
        self.kill9();
        self.process = Some(self.standby.take().context("nobody stands by")?);
        let deadline = tokio::time::Instant::now() + limit;
        while !self.is_ready().await {
            let log = self.log().map_or_else(String::new, |log| log.tail(30));
            ensure!(self.ended().is_none(), "the standby has ended:\n{log}");
            ensure!(tokio::time::Instant::now() < deadline, "the standby has not taken over after {limit:?}:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether `/readyz` answers 200, now.
    pub async fn is_ready(&self) -> bool {
        let url = format!("{}/readyz", self.url());
        let answer = http_client().get(url).timeout(Duration::from_millis(500)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// Programs started from now on may be given a limit by [`Bus::limit_files`].
    pub fn may_hit_file_limits(&mut self) {
        self.file_limits = true;
    }

    /// No file may be written to beyond so many bytes from now on, as on a full disk; `None` is no limit.
    pub fn limit_files(&self, bytes: Option<u64>) -> Result<()> {
        ensure!(self.file_limits, "a program that is not prepared for it would be ended by the kernel");
        let pid = i32::try_from(self.pid().context("bus was not started")?)?;
        let pid = rustix::process::Pid::from_raw(pid).context("a process has a number")?;
        let now = rustix::process::getrlimit(rustix::process::Resource::Fsize);
        let limit = rustix::process::Rlimit { current: bytes.or(now.current), maximum: now.maximum };
        rustix::process::prlimit(Some(pid), rustix::process::Resource::Fsize, limit)?;
        Ok(())
    }

    /// `kill -9`. The next start leaves each HTTP receiver alone for its `timeout`, which is 10 s by default, and a second:
    /// a test that kills gives its systems a short one.
    pub fn kill9(&mut self) {
        if let Some(process) = &mut self.process {
            process.kill9();
        }
    }

    /// SIGTERM, then waits for the drain to end.
    pub async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        let process = self.process.as_mut().context("bus was not started")?;
        process.signal(Signal::TERM);
        process.wait(limit).await
    }

    /// SIGHUP: read the files again.
    pub fn hangup(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::HUP);
        }
    }

    /// Waits until it ends by itself, for example at a failpoint.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.process.as_mut().context("bus was not started")?.wait(limit).await
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.process.as_mut().and_then(Process::ended)
    }

    /// The running process; for memory and descriptors in `/proc`.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::pid)
    }

    /// `SIGSTOP`: a zombie in the making.
    pub fn freeze(&mut self) {
        if let Some(process) = &mut self.process {
            process.freeze();
        }
    }

    /// `SIGCONT`.
    pub fn thaw(&mut self) {
        if let Some(process) = &mut self.process {
            process.thaw();
        }
    }

    /// The latest lines of the last started program.
    pub fn log(&self) -> Option<&Log> {
        self.process.as_ref().map(Process::log)
    }

    /// The text of `/metrics`.
    pub async fn metrics(&self) -> Result<String> {
        let answer = http_client().get(format!("{}/metrics", self.url())).send().await?;
        Ok(answer.error_for_status()?.text().await?)
    }

    /// Pushes a record to `/in/` and this path, with the key that tests give to all doors: `push-secret`.
    pub async fn push(&self, path: &str, body: &str) -> Result<reqwest::Response> {
        let url = format!("{}/in/{path}", self.url());
        Ok(http_client().post(url).header("x-api-key", "push-secret").body(body.to_owned()).send().await?)
    }

    /// As [`Bus::push`]; the record must be accepted.
    pub async fn pushed(&self, path: &str, body: &str) -> Result<()> {
        let answer = self.push(path, body).await?;
        ensure!(answer.status() == 204, "{} {}", answer.status(), answer.text().await?);
        Ok(())
    }

    /// What `bus status --json` says.
    pub async fn status(&self) -> Result<serde_json::Value> {
        let (_, out, err) = self.says(&["status", "--json"]).await?;
        serde_json::from_str(&out).context(err)
    }

    /// Exit code, output and error output of [`Bus::run`].
    pub async fn says(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        let output = self.run(arguments).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((output.status.code().context("killed")?, text(&output.stdout), text(&output.stderr)))
    }

    /// Runs another command of the program to its end, as `["check"]` or `["dead", "list"]`.
    pub async fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.run_within(arguments, LIMIT).await
    }

    /// As [`Bus::run`], for one that takes longer.
    pub async fn run_within(&self, arguments: &[&str], limit: Duration) -> Result<Output> {
        let mut command = self.command();
        command.args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        tokio::time::timeout(limit, output)
            .await
            .with_context(|| format!("bus {arguments:?} takes over {limit:?}"))?
            .with_context(|| format!("cannot start {}", self.program.display()))
    }

    fn command(&self) -> Command {
        let mut command = match self.file_limits {
            false => Command::new(&self.program),
            true => {
                // `env` replaces itself with the program, which then gets an error instead of a signal.
                let mut command = Command::new("env");
                command.arg("--ignore-signal=XFSZ").arg(&self.program);
                command
            }
        };
        command.current_dir(self.sandbox.path()).envs(&self.environment);
        command
    }
}
