//! One pooled client per system, its TLS and its secrets. Cloning shares the pool.

use std::time::Duration;

use bus_core::vocabulary::{DeliveryError, Fault, Secret};
use reqwest::redirect;
use url::Url;

use super::{Header, HeaderValue, Options};

/// A receiver that takes longer is not there; waiting on it would only hold up its worker.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Texts that are too short to be told from others are not masked.
const MASKED_FROM: usize = 4;

/// How to reach one system.
#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    /// Without user and password.
    base: String,
    pub(super) basic: Option<(String, Secret)>,
    pub(super) headers: Vec<Header>,
    pub(super) timeout: Duration,
    secrets: Vec<Secret>,
}

impl Client {
    /// Builds the client; connects to nothing. Follows no redirect, repeats nothing, uses no proxy of the environment.
    pub fn new(options: Options) -> Result<Self, DeliveryError> {
        // An error means that another connector has installed the same provider before.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let wrong = |what: String| DeliveryError::new(Fault::Misconfigured, what);
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_WITHIN.min(options.timeout / 2))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .user_agent("entity-bus");
        if let Some(pem) = &options.ca_pem {
            let certificates = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(|_| wrong("the certificate authority is no PEM file".to_owned()))?;
            builder = builder.tls_certs_merge(certificates);
        }
        let http = builder.build().map_err(|error| wrong(format!("no HTTP client: {}", error.without_url())))?;
        let mut url = options.url;
        let mut basic = options.basic;
        if let (None, Some(password)) = (&basic, url.password()) {
            let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            basic = Some((decode(url.username()), Secret::new(decode(password))));
        }
        let base = bare(&mut url);
        let mut secrets: Vec<Secret> = basic.iter().map(|(_, password)| password.clone()).collect();
        secrets.extend(secret_values(&options.headers));
        Ok(Self { http, base, basic, headers: options.headers, timeout: options.timeout, secrets })
    }

    /// The address of a filled path.
    pub(super) fn url(&self, path: &str) -> Result<Url, url::ParseError> {
        let slash = if path.is_empty() || path.starts_with(['/', '?']) { "" } else { "/" };
        Url::parse(&format!("{}{slash}{path}", self.base))
    }

    /// Replaces secrets that a receiver has sent back.
    pub(super) fn mask(&self, mut text: String, more: &[Secret]) -> String {
        for secret in self.secrets.iter().chain(more).map(Secret::expose) {
            if secret.len() >= MASKED_FROM && text.contains(secret) {
                text = text.replace(secret, "***");
            }
        }
        text
    }
}

fn bare(url: &mut Url) -> String {
    // Both fail only for addresses that cannot have a user, such as file:.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.as_str().trim_end_matches('/').to_owned()
}

/// The secrets among headers.
pub(super) fn secret_values(headers: &[Header]) -> impl Iterator<Item = Secret> {
    headers.iter().filter_map(|header| match &header.value {
        HeaderValue::Secret(secret) => Some(secret.clone()),
        HeaderValue::Template(_) => None,
    })
}
