//! A `POST` with a JSON object; `text` is what Slack, Mattermost and their like show.

use anyhow::Context;
use async_trait::async_trait;
use bus_options::SecretOr;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::Way;
use super::message::Message;

pub struct Webhook {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
}

impl Webhook {
    pub fn new(url: Url, configured: &[(String, SecretOr<String>)], what: &str) -> anyhow::Result<Self> {
        let mut headers = HeaderMap::new();
        for (name, value) in configured {
            let value = match value {
                SecretOr::Literal(text) => text.clone(),
                SecretOr::Secret(secret) => {
                    secret.load().with_context(|| format!("header {name} of {what}"))?.expose().to_owned()
                }
            };
            let mut value = HeaderValue::try_from(value)
                .map_err(|_| anyhow::anyhow!("header {name} of {what} has characters that no header may have"))?;
            value.set_sensitive(true);
            headers.insert(name.parse::<HeaderName>()?, value);
        }
        Ok(Self { http: client()?, url, headers })
    }
}

/// Redirects would carry what is meant for one address to another.
pub fn client() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder().timeout(super::TRY).redirect(reqwest::redirect::Policy::none()).build()?)
}

/// The address may hold a token, so no error shows it.
pub fn words(error: reqwest::Error) -> String {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{cause}")
}

#[async_trait]
impl Way for Webhook {
    async fn send(&self, message: &Message) -> Result<(), String> {
        let request = self.http.post(self.url.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").body(message.json.to_string());
        let answer = request.send().await.map_err(words)?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the webhook answered {}", status.as_u16())),
        }
    }
}
