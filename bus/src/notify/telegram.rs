//! A message of a bot in a Telegram chat, by plain HTTP: <https://core.telegram.org/bots/api#sendmessage>.

use async_trait::async_trait;
use bus_core::vocabulary::Secret;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};
use url::Url;

use super::Way;
use super::message::Message;
use super::webhook::{client, words};

/// Enough for Telegram's own description of an error; an answer of anything else is cut off.
const ANSWER: usize = 10_000;

pub struct Telegram {
    http: reqwest::Client,
    url: Url,
    token: Secret,
    chat: String,
}

impl Telegram {
    pub fn new(url: Url, token: Secret, chat: String) -> anyhow::Result<Self> {
        Ok(Self { http: client()?, url, token, chat })
    }
}

#[async_trait]
impl Way for Telegram {
    async fn send(&self, message: &Message) -> Result<(), String> {
        let base = self.url.as_str().trim_end_matches('/');
        let address = format!("{base}/bot{}/sendMessage", self.token.expose());
        let body =
            json!({ "chat_id": self.chat, "text": message.text, "link_preview_options": { "is_disabled": true } });
        let request = self.http.post(address).header(CONTENT_TYPE, "application/json").body(body.to_string());
        let mut answer = request.send().await.map_err(words)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > ANSWER {
                break;
            }
        }
        let said: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let why = said["description"].as_str().unwrap_or("without a reason");
        Err(format!("Telegram answered {}: {}", status.as_u16(), why.chars().take(200).collect::<String>()))
    }
}
