//! RabbitMQ's management API, as far as tests need it.

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::Value;

use super::http_client;

/// The API of one server; see <https://www.rabbitmq.com/docs/management>.
#[derive(Debug, Clone)]
pub struct Management {
    pub(super) port: u16,
}

impl Management {
    /// `GET /api/PATH`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.call(Method::GET, path, None).await
    }

    /// `PUT /api/PATH`.
    pub async fn put(&self, path: &str, body: &Value) -> Result<()> {
        self.call(Method::PUT, path, Some(body)).await.map(drop)
    }

    /// `POST /api/PATH`.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// `DELETE /api/PATH`; for example a queue, a binding, a connection, a policy.
    pub async fn delete(&self, path: &str) -> Result<()> {
        self.call(Method::DELETE, path, None).await.map(drop)
    }

    /// All queues of a virtual host. Counts are of up to half a second ago.
    pub async fn queues(&self, vhost: &str) -> Result<Vec<Value>> {
        let Value::Array(queues) = self.get(&format!("queues/{}", escape(vhost))).await? else {
            bail!("the list of queues is not a list");
        };
        Ok(queues)
    }

    /// One queue, if it exists.
    pub async fn queue(&self, vhost: &str, name: &str) -> Result<Option<Value>> {
        Ok(self.queues(vhost).await?.into_iter().find(|queue| queue["name"] == name))
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("http://127.0.0.1:{}/api/{path}", self.port);
        let mut request = http_client().request(method.clone(), &url).basic_auth("guest", Some("guest"));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await.with_context(|| format!("{method} {url}"))?;
        let (status, text) = (response.status(), response.text().await?);
        if !status.is_success() {
            bail!("{method} {url}: {status}: {text}");
        }
        if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).context("not JSON") }
    }
}

/// A name as one segment of a path: `/` becomes `%2F`.
pub(super) fn escape(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
