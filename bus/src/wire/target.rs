//! Targets of routes, by kind of system.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus_config::{HttpSystem, Method, Route, System};
use bus_connectors::http::{Client, Header, HeaderValue, HttpTarget, Options, Repeats, Request, Send, Template};
use bus_core::policy::Idempotency;
use bus_core::ports::source::SystemReport;
use bus_core::ports::target::Target;
use bus_options::SecretOr;

/// An HTTP system: one pooled client for all its routes.
pub struct Http {
    client: Client,
    timeout: Duration,
}

impl Http {
    /// Reads secrets and certificates; connects to nothing.
    pub fn new(system: &System, http: &HttpSystem) -> anyhow::Result<Self> {
        let what = system.name.as_str();
        let url = super::secret_url(&http.url, what)?;
        let basic = http.basic.as_ref().map(|(user, password)| {
            super::load(password, &format!("the password of {what}")).map(|password| (user.clone(), password))
        });
        let options = Options {
            url: url.expose().parse().with_context(|| format!("the address of {what} is not a URL"))?,
            headers: headers(&http.headers, what)?,
            basic: basic.transpose()?,
            ca_pem: super::pem(system.ca.as_deref(), what)?,
            timeout: http.timeout,
        };
        let client = Client::new(options).with_context(|| format!("system {what}"))?;
        Ok(Self { client, timeout: http.timeout })
    }

    /// The longest any request lasts, its abort included.
    pub fn deadline(&self) -> Duration {
        self.timeout + Duration::from_secs(1)
    }

    /// One route to this system.
    pub fn route(&self, route: &Route) -> anyhow::Result<Arc<dyn Target>> {
        let what = format!("route {}", route.name);
        let request = |method: Method, path: &str| -> anyhow::Result<Request> {
            let method = method.as_str().parse().context("a method")?;
            Ok(Request { method, path: template(path)? })
        };
        let send = Send {
            upsert: request(route.send.method, &route.send.path).with_context(|| what.clone())?,
            on_delete: match &route.on_delete {
                Some(delete) => Some(request(delete.method, &delete.path).with_context(|| what.clone())?),
                None => None,
            },
            headers: headers(&route.send.headers, &what)?,
            receiver_id: route.send.receiver_id.clone(),
            idempotency_header: route.idempotency_header.clone(),
            repeats: match (&route.idempotency_header, route.idempotency) {
                (Some(_), _) => Repeats::Recognised,
                (None, Idempotency::Idempotent) => Repeats::Harmless,
                (None, Idempotency::NonIdempotent) => Repeats::Harmful,
            },
        };
        Ok(Arc::new(HttpTarget::new(self.client.clone(), send).with_context(|| what)?))
    }

    /// Whether it answers.
    pub async fn check(&self) -> Result<SystemReport, String> {
        let request = || Request { method: reqwest::Method::PUT, path: "/".parse().expect("a constant template") };
        let send = Send {
            upsert: request(),
            on_delete: None,
            headers: Vec::new(),
            receiver_id: None,
            idempotency_header: None,
            repeats: Repeats::Harmful,
        };
        let target = HttpTarget::new(self.client.clone(), send).map_err(|error| error.to_string())?;
        target.check().await.map_err(|error| error.to_string())
    }
}

fn headers(configured: &[(String, SecretOr<String>)], what: &str) -> anyhow::Result<Vec<Header>> {
    let header = |(name, value): &(String, SecretOr<String>)| -> anyhow::Result<Header> {
        let value = match value {
            SecretOr::Secret(secret) => HeaderValue::Secret(super::load(secret, &format!("header {name} of {what}"))?),
            SecretOr::Literal(text) => HeaderValue::Template(template(text)?),
        };
        Ok(Header { name: name.clone(), value })
    };
    configured.iter().map(header).collect()
}

fn template(text: &str) -> anyhow::Result<Template> {
    text.parse().with_context(|| format!("the template {text}"))
}
