//! The HTTP client under all connectors: what a receiver is asked is asked once, and asked of nobody else.

use std::time::Duration;

use reqwest::{ClientBuilder, redirect};

/// Connects to nothing. Follows no redirect, repeats nothing, uses no proxy of the environment; `more` sets what differs
/// from one kind of system to the next. The error says what is to be mended.
pub fn client(
    ca_pem: Option<&[u8]>,
    connect_within: Duration,
    more: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Result<reqwest::Client, String> {
    // An error means that another connector has installed the same provider before.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .connect_timeout(connect_within)
        .redirect(redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .user_agent("entity-bus");
    if let Some(pem) = ca_pem {
        let certificates = reqwest::Certificate::from_pem_bundle(pem)
            .map_err(|_| "the certificate authority is no PEM file".to_owned())?;
        builder = builder.tls_certs_merge(certificates);
    }
    more(builder).build().map_err(|error| format!("no HTTP client: {}", error.without_url()))
}
