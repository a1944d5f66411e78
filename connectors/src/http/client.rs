//! One pooled client per system, its TLS and its secrets. Cloning shares the pool.

use std::time::{Duration, Instant};

use bus_core::ports::source::SystemReport;
use bus_core::vocabulary::{DeliveryError, Fault, Secret};
use reqwest::RequestBuilder;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue as RawValue, SERVER};
use url::Url;

use super::{Header, HeaderValue, Options, classify};
use crate::echo::Credentials;
use crate::web;

/// A receiver that takes longer is not there; waiting on it would only hold up its worker.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// How to reach one system.
#[derive(Clone)]
pub struct Client {
    pub(super) http: reqwest::Client,
    /// Without user, password and query. Parsed once: the host is the dear part of an address.
    base: Url,
    /// Its path without slashes at the end.
    prefix: String,
    basic: Option<(String, Secret)>,
    pub(super) headers: Vec<Header>,
    pub(super) timeout: Duration,
}

impl Client {
    /// Builds the client; connects to nothing.
    pub fn new(options: Options) -> Result<Self, DeliveryError> {
        let connect_within = CONNECT_WITHIN.min(options.timeout / 2);
        let http = web::client(options.ca_pem.as_deref(), connect_within, |builder| builder).map_err(misconfigured)?;
        let mut url = options.url;
        let mut basic = options.basic;
        if let (None, Some(password)) = (&basic, url.password()) {
            let decode = |text| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
            basic = Some((decode(url.username()), Secret::new(decode(password))));
        }
        let prefix = bare(&mut url);
        Ok(Self { http, base: url, prefix, basic, headers: options.headers, timeout: options.timeout })
    }

    /// The address of a filled path.
    pub(super) fn url(&self, filled: &str) -> Url {
        // What stands behind '#' is for browsers and never sent.
        let filled = filled.split('#').next().unwrap_or_default();
        let (path, query) = filled.split_once('?').map_or((filled, None), |(path, query)| (path, Some(query)));
        let slash = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let mut url = self.base.clone();
        url.set_path(&format!("{}{slash}{path}", self.prefix));
        url.set_query(query);
        url
    }

    /// What of an address was appended to the system's own: path and query.
    pub(super) fn path_of(&self, url: &Url) -> String {
        let path = url.path().strip_prefix(&self.prefix).unwrap_or(url.path());
        url.query().map_or_else(|| path.to_owned(), |query| format!("{path}?{query}"))
    }

    /// What is masked in what a receiver sends back, with the secrets of a route. One list: a short one must not spoil a longer
    /// one that holds it.
    pub(super) fn credentials(&self, of_route: &[Header]) -> Credentials {
        Credentials::new(self.basic.as_ref(), secret_values(&self.headers).chain(secret_values(of_route)))
    }

    /// With the user and password of the system.
    pub(super) fn signed(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.basic {
            Some((user, password)) => request.basic_auth(user, Some(password.expose())),
            None => request,
        }
    }

    /// Whether the system answers. Any answer counts: the base address of an API often answers 404. A HEAD changes nothing.
    pub async fn check(&self) -> Result<SystemReport, DeliveryError> {
        let mut headers = HeaderMap::new();
        for header in &self.headers {
            if let HeaderValue::Secret(secret) = &header.value {
                let (name, value) = secret_header(&header.name, secret)?;
                headers.insert(name, value);
            }
        }
        let sent = self.basic.is_some() || !headers.is_empty();
        let request = self.http.head(self.url("")).headers(headers).timeout(self.timeout);
        let begun = Instant::now();
        let response = self.signed(request).send().await.map_err(|error| {
            let (fault, reason) = classify::failure(&error.without_url());
            // Nothing was written, so there is nothing to be unsure of.
            let fault = if fault == Fault::Ambiguous { Fault::Unavailable } else { fault };
            DeliveryError::new(fault, reason)
        })?;
        let latency = begun.elapsed();
        let server = response.headers().get(SERVER).and_then(|server| server.to_str().ok()).unwrap_or("HTTP");
        let (rights, remarks) = rights(response.status().as_u16(), sent)?;
        Ok(SystemReport { version: server.to_owned(), latency, rights: vec![rights], remarks })
    }
}

/// What the answer of the base address says of our credentials, in words; a refusal is a failure.
fn rights(code: u16, sent: bool) -> Result<(String, Vec<String>), DeliveryError> {
    let credentials = if sent { "the credentials" } else { "requests without credentials" };
    if let 401 | 403 | 407 = code {
        let remedy = match sent {
            true => "check `user`, `password` and the secret headers of the system, and what the receiver lets them do",
            false => "give the system `user` and `password`, or a header with a key",
        };
        let message = format!("the base address answers {code}: {credentials} are refused; {remedy}");
        return Err(DeliveryError::new(Fault::Misconfigured, message));
    }
    let remarks = match code {
        300..=399 => vec![format!("the base address answers {code}: redirects are not followed")],
        _ => Vec::new(),
    };
    let words = match code {
        200..=299 => "accepted",
        _ => "not refused; what they may do shows only on the paths of the routes",
    };
    Ok((format!("{credentials} are {words} (the base address answers {code})"), remarks))
}

/// A header that nobody sees.
pub(super) fn secret_header(name: &str, secret: &Secret) -> Result<(HeaderName, RawValue), DeliveryError> {
    let mut value = RawValue::from_bytes(secret.expose().trim_end().as_bytes())
        .map_err(|_| misconfigured(format!("the secret of header {name} holds a line break")))?;
    value.set_sensitive(true);
    Ok((header_name(name)?, value))
}

pub(super) fn header_name(name: &str) -> Result<HeaderName, DeliveryError> {
    HeaderName::from_bytes(name.as_bytes()).map_err(|_| misconfigured(format!("{name:?} is no header name")))
}

fn misconfigured(message: String) -> DeliveryError {
    DeliveryError::new(Fault::Misconfigured, message)
}

/// Leaves scheme, host, port and path; gives the path without slashes at its end.
fn bare(url: &mut Url) -> String {
    // Both fail only for addresses that cannot have a user, such as file:.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.set_fragment(None);
    url.path().trim_end_matches('/').to_owned()
}

/// The secrets among headers.
fn secret_values(headers: &[Header]) -> impl Iterator<Item = Secret> {
    headers.iter().filter_map(|header| match &header.value {
        HeaderValue::Secret(secret) => Some(secret.clone()),
        HeaderValue::Template(_) => None,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The base is not parsed again for each request; the address is the same as if it were.
    #[test]
    fn an_address_is_what_parsing_the_whole_text_would_give() {
        for base in ["http://h", "http://h/", "http://bus:pw@h:81/api/v1/?old=1#x", "https://пример.рф/а б"] {
            let url: Url = base.parse().unwrap();
            let options = Options {
                url: url.clone(),
                headers: Vec::new(),
                basic: None,
                ca_pem: None,
                timeout: Duration::from_secs(1),
            };
            let client = Client::new(options).unwrap();
            let mut whole = url;
            bare(&mut whole);
            let whole = whole.as_str().trim_end_matches('/').to_owned();
            for path in ["", "/", "/orders/%D0%A3%D0%A2-1%2F2", "orders/1", "?q=1", "/a?q=x%20y&z=/я", "/a/?", "/a b"]
            {
                let slash = if path.is_empty() || path.starts_with(['/', '?']) { "" } else { "/" };
                let expected = Url::parse(&format!("{whole}{slash}{path}")).unwrap();
                assert_eq!(client.url(path), expected, "{base} {path}");
            }
            assert_eq!(client.url("/a#part").fragment(), None);
        }
    }
}
