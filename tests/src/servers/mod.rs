//! Real servers, each with its own directory and ports, on 127.0.0.1 only.

mod json_server;
mod management;
mod postgres;
mod pypi;
mod rabbitmq;
mod smtp;

pub use json_server::JsonServer;
pub use management::Management;
pub use postgres::Postgres;
pub use pypi::python;
pub use rabbitmq::{Options as RabbitMqOptions, RabbitMq, VirtualHost};
pub use smtp::Smtp;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::eventually::eventually;
use crate::process::Process;

/// The longest that a server may take to start on two busy cores; RabbitMQ takes 8 s on idle ones.
const START_LIMIT: Duration = Duration::from_secs(180);

/// Starts with other ports are tried this often: another process may take a port between our look and the server's bind.
const START_TRIES: usize = 3;

/// A client that works in any runtime: connections are not kept, because they belong to the runtime of the test that
/// made them while the client is shared by all tests. Made once: reading the machine's certificates costs more than a request.
pub fn http_client() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        // An error means that the program under test has installed the same one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder()
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(30))
            .no_proxy()
            .build()
            .expect("a client without special options can be built")
    });
    CLIENT.clone()
}

/// Waits until `ready` says so, or the process ends, or time is up; errors show the end of the server's output.
async fn started(name: &str, process: &mut Process, mut ready: impl AsyncFnMut(&Process) -> bool) -> Result<()> {
    let deadline = tokio::time::Instant::now() + START_LIMIT;
    loop {
        if let Some(status) = process.ended() {
            bail!("{name} ended while starting ({status}); the end of its output:\n{}", process.log().tail(30));
        }
        if ready(process).await {
            return Ok(());
        }
        if tokio::time::Instant::now() > deadline {
            bail!("{name} did not start in {START_LIMIT:?}; the end of its output:\n{}", process.log().tail(30));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until something accepts connections on the port.
async fn listens(name: &str, port: u16) -> Result<()> {
    eventually(&format!("{name} to listen on {port}"), START_LIMIT, || async move {
        tokio::net::TcpStream::connect(("127.0.0.1", port)).await.context("no connection").map(Some)
    })
    .await
    .map(drop)
}

/// Finds a program that an installed package brings, or says how to get it.
fn program(path: impl AsRef<Path>) -> Result<PathBuf> {
    let path = path.as_ref();
    if path.is_absolute() && path.exists() {
        return Ok(path.to_owned());
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders)
        .map(|folder| folder.join(path))
        .find(|candidate| candidate.is_file())
        .with_context(|| format!("{} is not installed: run `cargo xtask install`", path.display()))
}

/// The directory that cargo builds into, where what is expensive to fetch is kept between runs.
pub(crate) fn target() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    // A test program lies in `target/PROFILE/deps`, a benchmark beside that folder.
    let profile = match program.ancestors().find(|folder| folder.ends_with("deps")) {
        Some(deps) => deps.parent(),
        None => program.parent(),
    };
    let target = profile.and_then(Path::parent).context("a test program lies in target/PROFILE/deps")?;
    Ok(target.to_owned())
}
