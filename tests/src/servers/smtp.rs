//! aiosmtpd: a mail server in Python that nobody here wrote. Keeps what it takes in a Maildir.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::{START_TRIES, started};
use crate::ports;
use crate::process::{Ending, Process};
use crate::sandbox::Sandbox;
use crate::tls::Certificates;

/// Debian's own Python, which finds Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

/// A running server; encrypted from the first byte, or ([`Smtp::guarded`]) after STARTTLS.
pub struct Smtp {
    _process: Process,
    sandbox: Arc<Sandbox>,
    port: u16,
}

impl Smtp {
    /// One that takes no mail but after STARTTLS and the user `bus` with this password.
    pub async fn guarded(certificates: &Certificates, password: &str) -> Result<Self> {
        Self::run(certificates, |port| {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/src/servers/smtp_starttls.py");
            vec![script.to_owned(), port.to_string(), password.to_owned()]
        })
        .await
    }

    /// On a free port, with a certificate of an authority of its own.
    pub async fn start() -> Result<Self> {
        Self::with(&Certificates::new()?).await
    }

    /// With this certificate.
    pub async fn with(certificates: &Certificates) -> Result<Self> {
        Self::run(certificates, |port| {
            let words = format!(
                "-m aiosmtpd -n -l 127.0.0.1:{port} --smtpscert server.pem --smtpskey server.key -c \
                 aiosmtpd.handlers.Mailbox mail"
            );
            words.split(' ').map(str::to_owned).collect()
        })
        .await
    }

    async fn run(certificates: &Certificates, arguments: impl Fn(u16) -> Vec<String>) -> Result<Self> {
        for _ in 0..START_TRIES {
            let sandbox = Arc::new(Sandbox::new("smtp")?);
            sandbox.write("ca.pem", &certificates.authority)?;
            sandbox.write("server.pem", &certificates.server)?;
            sandbox.write("server.key", &certificates.server_key)?;
            let port = ports::free_for_child();
            let mut command = Command::new(PYTHON);
            command.current_dir(sandbox.path()).args(arguments(port));
            let mut process = Process::spawn("aiosmtpd", command, &sandbox, Ending::Kill)?;
            let ready = async |_: &Process| tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
            match started("aiosmtpd", &mut process, ready).await {
                Ok(()) => return Ok(Self { _process: process, sandbox, port }),
                Err(error) if format!("{error:#}").to_lowercase().contains("address already in use") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("other processes keep taking the port of aiosmtpd")
    }

    /// `smtps://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("smtps://127.0.0.1:{}", self.port)
    }

    /// The port, for who only wants to see the certificate.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The authority that its certificate is of.
    pub fn authority(&self) -> std::path::PathBuf {
        self.sandbox.path().join("ca.pem")
    }

    /// What [`Smtp::guarded`] noted of each sign-in.
    pub fn sign_ins(&self) -> Vec<String> {
        let notes = std::fs::read_to_string(self.sandbox.path().join("sign-ins.txt")).unwrap_or_default();
        notes.lines().map(str::to_owned).collect()
    }

    /// The mails, as they came, oldest first; words decoded, so that Cyrillic can be read.
    pub async fn mails(&self) -> Result<Vec<String>> {
        let decode = "import sys, mailbox, email, email.policy\n\
            box = mailbox.Maildir('mail', create=False)\n\
            for key in sorted(box.keys()):\n\
            \x20   m = email.message_from_bytes(box.get_bytes(key), policy=email.policy.default)\n\
            \x20   print('From:', m['from'], '\\nTo:', m['to'], '\\nSubject:', m['subject'], '\\n', m.get_content(), '\\0', sep='')";
        let mut command = tokio::process::Command::new(PYTHON);
        command.current_dir(self.sandbox.path()).args(["-X", "utf8", "-c", decode]).kill_on_drop(true);
        let output =
            tokio::time::timeout(Duration::from_secs(20), command.output()).await.context("python hangs")??;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr));
        }
        let text = String::from_utf8(output.stdout)?;
        Ok(text.split('\0').map(str::trim).filter(|mail| !mail.is_empty()).map(str::to_owned).collect())
    }
}
