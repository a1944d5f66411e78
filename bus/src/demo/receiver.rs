//! A receiver of the demo: an HTTP server in a process of its own that writes every request to a ledger before it answers,
//! and sometimes fails.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, Command};

use super::ledger::{self, Line};
use crate::cli;

/// The receiver's process, as the demo holds it; killed when dropped.
pub struct Receiver {
    name: &'static str,
    _process: Child,
    url: String,
    key: String,
    ledger: PathBuf,
}

impl Receiver {
    /// Starts this program again as the receiver of a system in `routes.toml`.
    pub async fn start(name: &'static str, directory: &Path) -> anyhow::Result<Self> {
        let ledger = directory.join(format!("{name}.jsonl"));
        let mut process = Command::new(std::env::current_exe()?)
            .arg("demo-receiver")
            .arg("--ledger")
            .arg(&ledger)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("the demo's receiver could not be started")?;
        let output = process.stdout.take().context("the receiver has no output")?;
        let mut url = String::new();
        let mut output = BufReader::new(output);
        let read = output.read_line(&mut url);
        tokio::time::timeout(Duration::from_secs(10), read).await.context("the receiver did not start in 10 s")??;
        let key = format!("demo-{:016x}", fastrand::u64(..));
        Ok(Self { name, _process: process, url: url.trim().to_owned(), key, ledger })
    }

    /// The system that it is.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the bus presents; the demo's receiver lets everybody in.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Everything it was asked so far.
    pub fn ledger(&self) -> anyhow::Result<Vec<Line>> {
        ledger::read(&self.ledger)
    }
}

/// The receiver's own process: `bus demo-receiver`. Ends when its standard input does, so it never outlives the demo.
pub async fn receive(args: cli::DemoReceiver) -> anyhow::Result<ExitCode> {
    let ledger = Arc::new(Mutex::new(File::create(&args.ledger)?));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(take).with_state(ledger);
    let parent_gone = async { drop(tokio::io::stdin().read(&mut [0; 1]).await) };
    axum::serve(listener, router).with_graceful_shutdown(parent_gone).await?;
    Ok(ExitCode::SUCCESS)
}

async fn take(
    State(ledger): State<Arc<Mutex<File>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, String) {
    let at = bus_core::policy::Micros::now();
    let status = mood(&method, &body);
    let line = Line {
        at: at.0,
        method: method.to_string(),
        path: uri.path().to_owned(),
        message: headers.get("bus-message-id").and_then(|id| id.to_str().ok()).map(str::to_owned),
        status: status.as_u16(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let mut text = serde_json::to_string(&line).unwrap_or_default();
    text.push('\n');
    let written = ledger.lock().unwrap_or_else(PoisonError::into_inner).write_all(text.as_bytes());
    match written {
        Ok(()) => (status, format!("{{\"status\":{}}}", status.as_u16())),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()),
    }
}

/// Mostly well; now and then busy, overloaded, or displeased with one message.
fn mood(method: &Method, body: &[u8]) -> StatusCode {
    let refused = method == Method::PUT && memchr(body, b"13.13") || fastrand::u16(..400) == 0;
    match fastrand::u8(..100) {
        _ if refused => StatusCode::UNPROCESSABLE_ENTITY,
        0 => StatusCode::SERVICE_UNAVAILABLE,
        1 => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::OK,
    }
}

fn memchr(body: &[u8], part: &[u8]) -> bool {
    body.windows(part.len()).any(|window| window == part)
}
