//! Targets of routes, by kind of system.

use std::sync::Arc;

use anyhow::Context;
use bus_config::{
    BatchBody, Gone, Http as Requests, HttpSystem, Landscape, Method, OdataSystem, OdataWrite, Posting, Route, System,
};
use bus_connectors::http::{
    Batch, Client, Decides, Form, Header, HeaderValue, HttpTarget, Match, Options, Repeats, Request, Results, Send,
    Template,
};
use bus_connectors::odata::{self, OdataTarget, Write};
use bus_core::policy::Idempotency;
use bus_core::ports::source::SystemReport;
use bus_core::ports::target::Target;
use bus_options::SecretOr;

use super::secrets::Secrets;
use super::source;

/// A route that writes to a base of 1C.
pub fn odata(
    landscape: &Landscape,
    system: &System,
    base: &OdataSystem,
    route: &Route,
    write: &OdataWrite,
) -> anyhow::Result<Arc<dyn Target>> {
    let write = Write {
        set: write.set.clone(),
        by: write.by.clone(),
        create: write.create,
        post: match write.post {
            Posting::Leave => odata::Posting::Leave,
            Posting::Post => odata::Posting::Post,
            Posting::Unpost => odata::Posting::Unpost,
            Posting::Follow => odata::Posting::Follow,
        },
        gone: write.gone.map(|gone| match gone {
            Gone::Mark => odata::Gone::Mark,
            Gone::Delete => odata::Gone::Delete,
        }),
        load_mode: write.load_mode,
    };
    let target = OdataTarget::new(&source::base_of(landscape, system, base)?, write);
    Ok(Arc::new(target.with_context(|| format!("route {}", route.name))?))
}

/// An HTTP system: one pooled client for all its routes.
pub struct Http {
    client: Client,
    secrets: Secrets,
}

impl Http {
    /// Reads secrets and certificates; connects to nothing.
    pub fn new(system: &System, http: &HttpSystem, secrets: Secrets) -> anyhow::Result<Self> {
        let what = system.name.as_str();
        let url = secrets.url(&http.url, what)?;
        let basic = http.basic.as_ref().map(|(user, password)| {
            secrets.load(password, &format!("the password of {what}")).map(|password| (user.clone(), password))
        });
        let options = Options {
            url: url.expose().parse().with_context(|| format!("the address of {what} is not a URL"))?,
            headers: headers(&http.headers, what, secrets)?,
            basic: basic.transpose()?,
            ca_pem: secrets.pem(system.ca.as_deref(), what)?,
            timeout: http.timeout,
        };
        let client = Client::new(options).with_context(|| format!("system {what}"))?;
        Ok(Self { client, secrets })
    }

    /// One route to this system.
    pub fn route(&self, route: &Route, requests: &Requests) -> anyhow::Result<HttpTarget> {
        let what = format!("route {}", route.name);
        let request = |method: Method, path: &str| -> anyhow::Result<Request> {
            let method = method.as_str().parse().context("a method")?;
            Ok(Request { method, path: template(path)? })
        };
        let send = Send {
            upsert: request(requests.send.method, &requests.send.path).with_context(|| what.clone())?,
            on_delete: match &requests.on_delete {
                Some(delete) => Some(request(delete.method, &delete.path).with_context(|| what.clone())?),
                None => None,
            },
            headers: headers(&requests.send.headers, &what, self.secrets)?,
            receiver_id: requests.send.receiver_id.clone(),
            idempotency_header: requests.idempotency_header.clone(),
            repeats: match (&requests.idempotency_header, requests.idempotency) {
                (Some(_), _) => Repeats::Recognised,
                (None, Idempotency::Idempotent) => Repeats::Harmless,
                (None, Idempotency::NonIdempotent) => Repeats::Harmful,
            },
            batch: requests.batch.as_deref().map(batch),
        };
        HttpTarget::new(self.client.clone(), send).with_context(|| what)
    }

    /// Whether it answers.
    pub async fn check(&self) -> Result<SystemReport, String> {
        self.client.check().await.map_err(|error| error.to_string())
    }
}

fn batch(configured: &bus_config::Batch) -> Batch {
    Batch {
        form: match configured.body.clone() {
            BatchBody::Array => Form::Array,
            BatchBody::Lines => Form::Lines,
            BatchBody::Within(names) => Form::Within(names),
        },
        results: configured.results.clone().map(|results| Results {
            items: results.items,
            by: results.key.map(|answered| Match { answered, sent: results.sent }),
            verdict: match results.error {
                Some(error) => Decides::Error(error),
                None => Decides::Status(results.status),
            },
            ok: results.ok,
        }),
    }
}

fn headers(configured: &[(String, SecretOr<String>)], what: &str, secrets: Secrets) -> anyhow::Result<Vec<Header>> {
    let header = |(name, value): &(String, SecretOr<String>)| -> anyhow::Result<Header> {
        let value = match value {
            SecretOr::Secret(secret) => HeaderValue::Secret(secrets.load(secret, &format!("header {name} of {what}"))?),
            SecretOr::Literal(text) => HeaderValue::Template(template(text)?),
        };
        Ok(Header { name: name.clone(), value })
    };
    configured.iter().map(header).collect()
}

fn template(text: &str) -> anyhow::Result<Template> {
    text.parse().with_context(|| format!("the template {text}"))
}
