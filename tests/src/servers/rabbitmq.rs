//! A RabbitMQ node of its own: AMQP, AMQPS, management and Prometheus on free ports.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tokio::sync::OnceCell;

use super::management::{Management, escape};
use super::{START_TRIES, listens, program, started};
use crate::ports;
use crate::process::{Ending, Log, Process};
use crate::sandbox::{Account, Sandbox};
use crate::tls::{Authority, Issued};

const SERVER: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CTL: &str = "/usr/lib/rabbitmq/bin/rabbitmqctl";

/// Erlang's distribution (and what `rabbitmqctl` opens for it) on loopback only.
const LOOPBACK: &str = "-kernel inet_dist_use_interface {127,0,0,1}";

/// What may differ from the defaults.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How long a delivery may stay unacknowledged before its channel is closed; RabbitMQ's default is 30 minutes.
    /// Looked at once a second here (once a minute by default).
    pub consumer_timeout: Option<Duration>,
    /// Further lines of rabbitmq.conf.
    pub config: Vec<String>,
}

/// A running node (or one that the test has stopped); everything of it ends when it is dropped.
pub struct RabbitMq {
    // Fields are dropped in this order: the node before the daemon that knows its name, the directory last.
    node: Process,
    _epmd: Process,
    sandbox: Arc<Sandbox>,
    account: Account,
    ports: Ports,
    authority: Authority,
}

struct Ports {
    amqp: u16,
    amqps: u16,
    management: u16,
    prometheus: u16,
    distribution: u16,
    epmd: u16,
}

/// A part of a shared server that only one test uses.
pub struct VirtualHost {
    /// Its name.
    pub name: String,
    /// Where to connect.
    pub url: String,
}

impl RabbitMq {
    /// A node with the default options.
    pub async fn start() -> Result<Self> {
        Self::start_with(Options::default()).await
    }

    /// A node of this test alone. Takes about 10 s on two cores.
    pub async fn start_with(options: Options) -> Result<Self> {
        let mut failure = None;
        for _ in 0..START_TRIES {
            match Self::try_start(&options).await {
                Err(error) if format!("{error:#}").contains("eaddrinuse") => failure = Some(error),
                done => return done,
            }
        }
        Err(failure.context("no try at all")?.context("other processes keep taking the ports"))
    }

    /// The one node that all tests of this program share: use [`RabbitMq::vhost`], and never stop it.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<RabbitMq> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    async fn try_start(options: &Options) -> Result<Self> {
        let server = program(SERVER)?;
        let account = Account::for_server("rabbitmq");
        let sandbox = Arc::new(Sandbox::new("rabbitmq")?);
        let ports = Ports {
            amqp: ports::free(),
            amqps: ports::free(),
            management: ports::free(),
            prometheus: ports::free(),
            distribution: ports::free(),
            epmd: ports::free(),
        };
        let authority = Authority::new()?;
        let issued = authority.issue()?;
        write_files(&sandbox, account, &ports, options, &authority, &issued)?;
        let epmd = Process::spawn("epmd", epmd_command(&sandbox, account, &ports)?, &sandbox, Ending::Kill)?;
        listens("epmd", ports.epmd).await.with_context(|| epmd.log().tail(10))?;
        let command = environment(account.command(&server, sandbox.path()), &sandbox, &ports);
        let mut node = Process::spawn("RabbitMQ", command, &sandbox, Ending::Kill)?;
        node_started(&mut node).await?;
        Ok(Self { node, _epmd: epmd, sandbox, account, ports, authority })
    }

    /// `amqp://guest:guest@127.0.0.1:PORT/%2f`
    pub fn url(&self) -> String {
        self.url_of("/")
    }

    /// As [`RabbitMq::url`] over TLS; trust [`RabbitMq::authority`].
    pub fn tls_url(&self) -> String {
        format!("amqps://guest:guest@localhost:{}/%2f", self.ports.amqps)
    }

    /// The certificate (PEM) that vouches for the TLS listener.
    pub fn authority(&self) -> &str {
        &self.authority.pem
    }

    /// The port of plain AMQP, for a proxy in between.
    pub fn port(&self) -> u16 {
        self.ports.amqp
    }

    /// The port of `/metrics`.
    pub fn prometheus_port(&self) -> u16 {
        self.ports.prometheus
    }

    /// The management API.
    pub fn management(&self) -> Management {
        Management { port: self.ports.management }
    }

    /// The Erlang machine; another one after a restart.
    pub fn pid(&self) -> u32 {
        self.node.pid()
    }

    /// What the node has logged.
    pub fn log(&self) -> &Log {
        self.node.log()
    }

    /// A new virtual host with the default permissions.
    pub async fn vhost(&self) -> Result<VirtualHost> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("test-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let management = self.management();
        management.put(&format!("vhosts/{}", escape(&name)), &json!({})).await?;
        let all = json!({ "configure": ".*", "write": ".*", "read": ".*" });
        management.put(&format!("permissions/{}/guest", escape(&name)), &all).await?;
        Ok(VirtualHost { url: self.url_of(&name), name })
    }

    /// Makes queues that were declared just now survive [`RabbitMq::kill9`], as older ones do.
    ///
    /// RabbitMQ 3.10 keeps the register of quorum queues (`names.dets`) in memory for three seconds; a queue declared
    /// within them is listed after a kill but never answers again, although its messages were confirmed.
    pub async fn settle(&self) -> Result<()> {
        self.ctl(&["eval", "[dets:sync(Table) || Table <- dets:all()]."]).await.map(drop)
    }

    /// `kill -9`; the data stays for [`RabbitMq::restart`]. See [`RabbitMq::settle`].
    pub fn kill9(&mut self) {
        self.node.kill9();
    }

    /// Stops the node in an orderly way.
    pub async fn stop(&mut self) -> Result<()> {
        // Waiting is ours: until we reap it, rabbitmqctl takes our dead child for a living one.
        self.ctl(&["shutdown", "--no-wait"]).await?;
        self.node.wait(Duration::from_secs(60)).await.map(drop)
    }

    /// Starts a stopped or killed node again, with the same data and ports.
    pub async fn restart(&mut self) -> Result<()> {
        self.node.kill9();
        let command =
            environment(self.account.command(&program(SERVER)?, self.sandbox.path()), &self.sandbox, &self.ports);
        self.node = Process::spawn("RabbitMQ", command, &self.sandbox, Ending::Kill)?;
        node_started(&mut self.node).await
    }

    /// `SIGSTOP`: connections stay open and nobody answers.
    pub fn sigstop(&mut self) {
        self.node.freeze();
    }

    /// Lets a stopped node go on.
    pub fn sigcont(&mut self) {
        self.node.thaw();
    }

    /// `rabbitmqctl ARGUMENTS`, for example `["set_disk_free_limit", "1PB"]`; returns what it printed. About 1 s.
    pub async fn ctl(&self, arguments: &[&str]) -> Result<String> {
        let mut command =
            environment(self.account.command(&program(CTL)?, self.sandbox.path()), &self.sandbox, &self.ports);
        command.args(arguments);
        let output = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(Duration::from_secs(90), output).await.context("rabbitmqctl hangs")??;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("rabbitmqctl {arguments:?}: {}\n{text}{}", output.status, String::from_utf8_lossy(&output.stderr));
        }
        Ok(text)
    }

    fn url_of(&self, vhost: &str) -> String {
        format!("amqp://guest:guest@127.0.0.1:{}/{}", self.ports.amqp, escape(vhost))
    }
}

async fn node_started(node: &mut Process) -> Result<()> {
    // Printed when every plugin's listener is open.
    let complete = |line: &str| line.contains("Server startup complete").then_some(());
    started("RabbitMQ", node, async |node| node.log().find(complete).is_some()).await
}

/// Our own daemon in the foreground: one that the node starts by itself would outlive the test.
fn epmd_command(sandbox: &Sandbox, account: Account, ports: &Ports) -> Result<Command> {
    let mut command = account.command(&program("epmd")?, sandbox.path());
    command.env("ERL_EPMD_ADDRESS", "127.0.0.1").args(["-port", &ports.epmd.to_string()]);
    Ok(command)
}

/// What keeps this node apart from any other on the machine; `rabbitmqctl` needs most of it too.
fn environment(mut command: Command, sandbox: &Sandbox, ports: &Ports) -> Command {
    let path = |name: &str| -> PathBuf { sandbox.path().join(name) };
    command
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("ERL_EPMD_PORT", ports.epmd.to_string())
        // Makes the script replace itself with the Erlang machine, so that our child is the node; without
        // NOTIFY_SOCKET it changes nothing else.
        .env("RUNNING_UNDER_SYSTEMD", "true")
        .env("RABBITMQ_NODENAME", format!("bus-{}@localhost", ports.amqp))
        .env("RABBITMQ_DIST_PORT", ports.distribution.to_string())
        .env("RABBITMQ_CONF_ENV_FILE", path("rabbitmq-env.conf"))
        .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced.config"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("enabled_plugins"))
        .env("RABBITMQ_MNESIA_BASE", path("data"))
        .env("RABBITMQ_LOG_BASE", path("log"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", LOOPBACK)
        .env("RABBITMQ_CTL_ERL_ARGS", LOOPBACK);
    command
}

fn write_files(
    sandbox: &Sandbox,
    account: Account,
    ports: &Ports,
    options: &Options,
    authority: &Authority,
    issued: &Issued,
) -> Result<()> {
    let authority = sandbox.write("ca.pem", &authority.pem)?;
    let certificate = sandbox.write("server.pem", &issued.certificate)?;
    let key = sandbox.write("server.key", &issued.key)?;
    let mut lines = vec![
        format!("listeners.tcp.1 = 127.0.0.1:{}", ports.amqp),
        format!("listeners.ssl.1 = 127.0.0.1:{}", ports.amqps),
        format!("ssl_options.cacertfile = {}", authority.display()),
        format!("ssl_options.certfile = {}", certificate.display()),
        format!("ssl_options.keyfile = {}", key.display()),
        "management.tcp.ip = 127.0.0.1".to_owned(),
        format!("management.tcp.port = {}", ports.management),
        "prometheus.tcp.ip = 127.0.0.1".to_owned(),
        format!("prometheus.tcp.port = {}", ports.prometheus),
        "disk_free_limit.absolute = 200MB".to_owned(),
        // The default writes a file of 512 MB per node.
        "raft.wal_max_size_bytes = 64000000".to_owned(),
    ];
    if let Some(timeout) = options.consumer_timeout {
        lines.push(format!("consumer_timeout = {}", timeout.as_millis()));
    }
    lines.extend(options.config.iter().cloned());
    sandbox.write("rabbitmq.conf", &(lines.join("\n") + "\n"))?;
    // Waits that are minutes by default, so that a test sees the same events in seconds.
    sandbox.write(
        "advanced.config",
        "[{rabbit, [{channel_tick_interval, 1000}, {collect_statistics_interval, 500}, {quorum_tick_interval, 500},\n\
         {dead_letter_worker_publisher_confirm_timeout, 3000}]}].\n",
    )?;
    sandbox.write("enabled_plugins", "[rabbitmq_management,rabbitmq_prometheus].\n")?;
    // Instead of the machine's own.
    sandbox.write("rabbitmq-env.conf", "")?;
    let cookie = sandbox
        .write(".erlang.cookie", &std::iter::repeat_with(fastrand::alphanumeric).take(40).collect::<String>())?;
    std::fs::set_permissions(cookie, std::os::unix::fs::PermissionsExt::from_mode(0o400))?;
    account.own(sandbox.path())
}
