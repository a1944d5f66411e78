//! npm's `json-server`: a REST server that nobody here wrote. It keeps its data in memory: from a JSON file it would write
//! the whole file again after each change.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::{START_TRIES, http_client, program, started, target};
use crate::ports;
use crate::process::{Ending, Log, Process};
use crate::sandbox::Sandbox;

/// The last version that keeps its answers' shape and runs on any Node since 12.
const VERSION: &str = "0.17.4";

/// A running server.
pub struct JsonServer {
    process: Process,
    port: u16,
}

impl JsonServer {
    /// Serves `database`: an object of collections, each a list of objects with an `id`. The first start on a machine
    /// installs the package from npm's registry, which takes a minute.
    pub async fn start(database: &Value) -> Result<Self> {
        let script = tokio::task::spawn_blocking(installed).await??;
        for _ in 0..START_TRIES {
            let sandbox = Arc::new(Sandbox::new("json-server")?);
            let file = sandbox.write("db.js", &format!("module.exports = () => ({database})"))?;
            let port = ports::free();
            let mut command = Command::new(program("node")?);
            command.current_dir(sandbox.path()).arg(&script).arg(file);
            command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--quiet"]);
            let mut process = Process::spawn("json-server", command, &sandbox, Ending::Kill)?;
            let url = format!("http://127.0.0.1:{port}/db");
            let ready = async |_: &Process| http_client().get(&url).send().await.is_ok_and(|r| r.status().is_success());
            match started("json-server", &mut process, ready).await {
                Ok(()) => return Ok(Self { process, port }),
                Err(error) if format!("{error:#}").contains("EADDRINUSE") => {}
                Err(error) => return Err(error),
            }
        }
        bail!("other processes keep taking the port of json-server")
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Everything it holds now.
    pub async fn database(&self) -> Result<Value> {
        let text = http_client().get(format!("{}/db", self.url())).send().await?.error_for_status()?.text().await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Its output.
    pub fn log(&self) -> &Log {
        self.process.log()
    }
}

/// Installs the package once per build directory, one process at a time; returns the script to run.
fn installed() -> Result<PathBuf> {
    let folder = target()?.join("npm").join(format!("json-server-{VERSION}"));
    let script = folder.join("node_modules/json-server/lib/cli/bin.js");
    std::fs::create_dir_all(&folder)?;
    let lock = std::fs::File::create(folder.join("lock"))?;
    lock.lock().context("cannot lock the folder of npm packages")?;
    // Written last: an installation that was cut short is done again.
    let done = folder.join("done");
    if done.exists() && script.exists() {
        return Ok(script);
    }
    let npm = Command::new(program("npm")?)
        .current_dir(&folder)
        .args([
            "install",
            "--no-audit",
            "--no-fund",
            "--no-save",
            "--ignore-scripts",
            "--loglevel=error",
            "--prefix",
            ".",
        ])
        .arg(format!("json-server@{VERSION}"))
        .output()?;
    if !npm.status.success() || !script.exists() {
        bail!("npm install json-server@{VERSION}: {}: {}", npm.status, String::from_utf8_lossy(&npm.stderr));
    }
    std::fs::write(done, "")?;
    Ok(script)
}
