//! The way from a command to the running bus: its HTTP address, its key.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bus_config::{Bus, Landscape};
use bus_core::vocabulary::Secret;
use bus_options::Diagnostic;
use reqwest::{Method, StatusCode};

use crate::reload::count;

/// A command waits no longer for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reaches the bus that runs on a configuration.
pub struct Client {
    http: reqwest::Client,
    base: String,
    key: Option<Secret>,
}

/// What the bus answered.
pub enum Answer {
    /// The body of a success.
    Ok(String),
    /// Refused, with the reason.
    Refused(StatusCode, String),
    /// Nobody listens: the bus does not run.
    NotRunning,
}

/// Reads a configuration for a command that needs all of it; its mistakes go to standard error.
pub fn landscape(file: &Path) -> anyhow::Result<Landscape> {
    let checked = bus_config::check(file);
    checked.landscape.map_or_else(|| Err(mistaken(file, &checked.diagnostics)), Ok)
}

/// Reads what a command needs to ask the running bus. Mistakes elsewhere in the file do not keep people from looking.
pub fn bus(file: &Path) -> anyhow::Result<Bus> {
    let checked = bus_config::check(file);
    let Some(bus) = checked.bus else { return Err(mistaken(file, &checked.diagnostics)) };
    if checked.landscape.is_none() {
        let mistakes = count(checked.diagnostics.len(), "mistake");
        eprintln!("note: {} has {mistakes} (bus check); this asks the bus that runs", file.display());
    }
    Ok(bus)
}

fn mistaken(file: &Path, mistakes: &[Diagnostic]) -> anyhow::Error {
    eprint!("{}", bus_options::to_text(mistakes, bus_options::Colour::Off));
    anyhow!("{} has {}", file.display(), count(mistakes.len(), "mistake"))
}

impl Client {
    /// Finds the address and the key in the configuration. A bus that runs on its state may listen elsewhere, if the file
    /// was edited since.
    pub fn new(bus: &Bus) -> anyhow::Result<Self> {
        Self::patient(bus, TIMEOUT)
    }

    /// Waits longer for an answer.
    pub fn patient(bus: &Bus, timeout: Duration) -> anyhow::Result<Self> {
        let key = bus.key.as_ref().map(|key| key.load()).transpose().context("the key of [bus]")?;
        let http = reqwest::Client::builder().timeout(timeout).no_proxy().build()?;
        let noted = bus_storage::holder(&bus.state).and_then(|holder| holder.listens);
        Ok(Self { http, base: format!("http://{}", reachable(noted.unwrap_or(bus.listen))), key })
    }

    /// The same address with another key (a subscription's own).
    pub fn with_key(self, key: Secret) -> Self {
        Self { key: Some(key), ..self }
    }

    pub async fn get(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::GET, path).await
    }

    pub async fn post(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::POST, path).await
    }

    /// A POST with a JSON body.
    pub async fn post_json(&self, path: &str, body: &serde_json::Value) -> anyhow::Result<Answer> {
        self.ask_with(Method::POST, path, Some(body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.ask(Method::DELETE, path).await
    }

    async fn ask(&self, method: Method, path: &str) -> anyhow::Result<Answer> {
        self.ask_with(method, path, None).await
    }

    async fn ask_with(&self, method: Method, path: &str, json: Option<String>) -> anyhow::Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        request = request.header(crate::server::CLIENT_HEADER, "bus");
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key.expose());
        }
        if let Some(json) = json {
            request = request.header("content-type", "application/json").body(json);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) if error.is_connect() => return Ok(Answer::NotRunning),
            Err(error) => return Err(error).with_context(|| format!("{} does not answer", self.base)),
        };
        let status = answer.status();
        let body = answer.text().await?;
        Ok(if status.is_success() { Answer::Ok(body) } else { Answer::Refused(status, body.trim().to_owned()) })
    }
}

/// An address that listens everywhere is asked on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Percent-encodes a name for a path or a query.
pub fn encoded(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
