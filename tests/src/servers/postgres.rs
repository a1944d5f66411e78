//! A PostgreSQL server of its own on a free port.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::OnceCell;

use super::{START_TRIES, program, started};
use crate::ports;
use crate::process::{Ending, Log, Process};
use crate::sandbox::{Account, Sandbox};

/// Where Debian keeps one folder per major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A running server (or one that the test has stopped); everything of it ends when it is dropped.
pub struct Postgres {
    server: Process,
    sandbox: Arc<Sandbox>,
    account: Account,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// A server of this test alone. Takes about 2 s.
    pub async fn start() -> Result<Self> {
        let programs = programs()?;
        let account = Account::for_server("postgres");
        let sandbox = Arc::new(Sandbox::new("postgres")?);
        account.own(sandbox.path())?;
        let mut initdb = account.command(&programs.join("initdb"), sandbox.path());
        initdb.args(["-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]);
        run(initdb, Duration::from_secs(90)).await.context("cannot make a database directory")?;
        for _ in 0..START_TRIES {
            let port = ports::free();
            let command = server_command(account, &programs, &sandbox, port);
            let mut server = Process::spawn("PostgreSQL", command, &sandbox, Ending::Quit)?;
            match server_started(&mut server).await {
                Ok(()) => return Ok(Self { server, sandbox, account, programs, port }),
                Err(error) if format!("{error:#}").contains("Address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("other processes keep taking the port of PostgreSQL")
    }

    /// The one server that all tests of this program share: use [`Postgres::database`], and never stop it.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// `postgres://postgres@127.0.0.1:PORT/postgres`
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Where to connect to another database.
    pub fn url_of(&self, database: &str) -> String {
        format!("postgres://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port, for a proxy in between.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server has logged.
    pub fn log(&self) -> &Log {
        self.server.log()
    }

    /// A new, empty database; returns its name.
    pub async fn database(&self) -> Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.execute("postgres", &format!("CREATE DATABASE {name}")).await?;
        Ok(name)
    }

    /// Runs statements in `psql` and returns the rows: one line each, columns separated by `|`. Stops at the first error.
    pub async fn execute(&self, database: &str, statements: &str) -> Result<String> {
        let mut command = self.client("psql");
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statements]);
        run(command, Duration::from_secs(120)).await
    }

    /// `pgbench ARGUMENTS DATABASE`; returns its report.
    pub async fn pgbench(&self, database: &str, arguments: &[&str]) -> Result<String> {
        let mut command = self.client("pgbench");
        command.args(arguments).arg(database);
        run(command, Duration::from_secs(600)).await
    }

    /// From now on the server also takes TLS connections, with this certificate.
    pub async fn encrypt(&self, issued: &crate::tls::Issued) -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let data = self.sandbox.path().join("data");
        std::fs::write(data.join("server.crt"), &issued.certificate)?;
        let key = data.join("server.key");
        std::fs::write(&key, &issued.key)?;
        // The server refuses a key that others can read.
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600))?;
        self.account.own(&key)?;
        self.account.own(&data.join("server.crt"))?;
        self.execute("postgres", "ALTER SYSTEM SET ssl = on").await?;
        self.execute("postgres", "SELECT pg_reload_conf()").await.map(drop)
    }

    /// `kill -9` of the server and all its sessions; the data stays for [`Postgres::restart`].
    pub fn kill9(&mut self) {
        self.server.kill9();
    }

    /// Stops the server at once; sessions are cut, shared memory is given back.
    pub async fn stop(&mut self) -> Result<()> {
        self.server.signal(rustix::process::Signal::INT);
        self.server.wait(Duration::from_secs(60)).await.map(drop)
    }

    /// Starts a stopped or killed server again, with the same data and port.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.kill9();
        let command = server_command(self.account, &self.programs, &self.sandbox, self.port);
        self.server = Process::spawn("PostgreSQL", command, &self.sandbox, Ending::Quit)?;
        server_started(&mut self.server).await
    }

    /// Keeps the data of a stopped server, as a backup does.
    pub async fn keep(&self, name: &str) -> Result<()> {
        let mut copy = Command::new("cp");
        copy.current_dir(self.sandbox.path()).args(["-a", "data", name]);
        run(copy, Duration::from_secs(60)).await.map(drop)
    }

    /// Puts kept data in the place of those of a stopped server.
    pub async fn restore(&self, name: &str) -> Result<()> {
        std::fs::remove_dir_all(self.sandbox.path().join("data"))?;
        let mut copy = Command::new("cp");
        copy.current_dir(self.sandbox.path()).args(["-a", name, "data"]);
        run(copy, Duration::from_secs(60)).await.map(drop)
    }

    /// Starts a stopped server as a standby and promotes it: its history goes on in a timeline of its own.
    pub async fn restart_promoted(&mut self) -> Result<()> {
        let signal = self.sandbox.path().join("data/standby.signal");
        std::fs::write(&signal, "")?;
        self.account.own(&signal)?;
        let command = server_command(self.account, &self.programs, &self.sandbox, self.port);
        self.server = Process::spawn("PostgreSQL", command, &self.sandbox, Ending::Quit)?;
        let ready = |line: &str| line.contains("ready to accept read-only connections").then_some(());
        started("PostgreSQL", &mut self.server, async |server| server.log().find(ready).is_some()).await?;
        let mut promote = self.account.command(&self.programs.join("pg_ctl"), self.sandbox.path());
        promote.args(["promote", "-D", "data", "-w"]);
        run(promote, Duration::from_secs(60)).await?;
        server_started(&mut self.server).await
    }

    /// `SIGSTOP` of the server and its sessions: connections stay open and nobody answers.
    pub fn sigstop(&mut self) {
        self.server.freeze();
    }

    /// Lets a stopped server go on.
    pub fn sigcont(&mut self) {
        self.server.thaw();
    }

    fn client(&self, name: &str) -> Command {
        let mut command = self.account.command(&self.programs.join(name), self.sandbox.path());
        command.envs([("PGHOST", "127.0.0.1"), ("PGUSER", "postgres"), ("PGCONNECT_TIMEOUT", "10")]);
        command.env("PGPORT", self.port.to_string());
        command
    }
}

fn server_command(account: Account, programs: &Path, sandbox: &Sandbox, port: u16) -> Command {
    let mut command = account.command(&programs.join("postgres"), sandbox.path());
    command.args(["-D", "data", "-p", &port.to_string()]);
    for setting in [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        // A killed process loses nothing that it wrote: the kernel has it. Only a power cut needs the disk.
        "fsync=off",
        "wal_level=logical",
        "shared_buffers=64MB",
        "max_connections=200",
        "dynamic_shared_memory_type=mmap",
    ] {
        command.args(["-c", setting]);
    }
    command
}

async fn server_started(server: &mut Process) -> Result<()> {
    let ready = |line: &str| line.contains("database system is ready to accept connections").then_some(());
    started("PostgreSQL", server, async |server| server.log().find(ready).is_some()).await
}

/// The programs of the newest version that is installed.
fn programs() -> Result<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = std::fs::read_dir(VERSIONS)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, folder)| folder.join("postgres").exists())
        .collect();
    versions.sort();
    if let Some((_, folder)) = versions.pop() {
        return Ok(folder);
    }
    let postgres = program("postgres").context("PostgreSQL")?;
    Ok(postgres.parent().context("a program lies in a folder")?.to_owned())
}

/// Runs a command to its end and returns what it printed.
async fn run(command: Command, limit: Duration) -> Result<String> {
    let name = format!("{:?}", command.get_args().collect::<Vec<_>>());
    let output = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output =
        tokio::time::timeout(limit, output).await.with_context(|| format!("{name} takes over {limit:?}"))??;
    if !output.status.success() {
        bail!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}
