//! Requests of one attempt: a permit for each, a bound in time, and the answer as an object.

use std::sync::Arc;
use std::time::Duration;

use bus_core::ports::permits::{Permit, Permits};
use bus_core::vocabulary::DeliveryError;
use reqwest::Method;
use serde_json::{Map, Value};

use super::classify;
use crate::closed;
use crate::odata::base::{Base, Failed, Sent};
use crate::odata::model::Model;

/// An object with its lines, or a few: what writing gives back.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// What is shown of a request in a dead letter.
const SHOWN: usize = 8 * 1024;

/// How one attempt asks.
pub(super) struct Requests<'a> {
    pub(super) base: &'a Base,
    pub(super) permits: &'a Permits,
    /// From the begin of a request to the last byte of its answer.
    pub(super) timeout: Duration,
    pub(super) load_mode: bool,
}

/// A request that failed.
pub(super) enum Failure {
    /// At the base.
    Asked {
        failed: Failed,
        /// For the dead letter.
        sent: String,
    },
    /// Before it was sent.
    NotSent(DeliveryError),
}

impl Failure {
    pub(super) fn of(failed: Failed, sent: &str) -> Self {
        Self::Asked { failed, sent: sent.to_owned() }
    }

    /// The object is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Asked { failed, .. } if classify::is_missing(failed))
    }

    /// A record with this key is there.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Asked { failed, .. } if classify::is_taken(failed))
    }

    /// As the engine takes it.
    pub(super) fn error(self, writes: bool) -> DeliveryError {
        match self {
            Self::Asked { failed, sent } => classify::error(&failed, writes, sent),
            Self::NotSent(error) => error,
        }
    }
}

impl Requests<'_> {
    async fn permit(&self) -> Result<Permit, DeliveryError> {
        self.permits.take().await.map_err(closed::unsent)
    }

    /// What the base publishes; mostly known from before.
    pub(super) async fn model(&self) -> Result<Arc<Model>, DeliveryError> {
        if let Some(model) = self.base.known_model().await {
            return Ok(model);
        }
        let _permit = self.permit().await?;
        // Taken already: it is counted as a delivery.
        let model = self.base.model(false, &Permits::unbounded()).await;
        model.map_err(|failed| Failure::of(failed, "GET /$metadata").error(false))
    }

    /// Changes nothing.
    pub(super) async fn read(&self, address: &str) -> Result<Map<String, Value>, Failure> {
        self.ask(Method::GET, address, None).await
    }

    /// Changes something; the answer may be empty.
    pub(super) async fn write(
        &self,
        method: Method,
        address: &str,
        body: Option<&Map<String, Value>>,
    ) -> Result<Map<String, Value>, Failure> {
        self.ask(method, address, body).await
    }

    async fn ask(
        &self,
        method: Method,
        address: &str,
        body: Option<&Map<String, Value>>,
    ) -> Result<Map<String, Value>, Failure> {
        let _permit = self.permit().await.map_err(Failure::NotSent)?;
        let body = body.map(|body| Value::Object(body.clone()).to_string());
        let sent = shown(&method, address, body.as_deref());
        let request = Sent { method, rest: address, body, load_mode: self.load_mode };
        let answer = self.base.send(request, self.timeout, ANSWER_BYTES).await;
        let bytes = answer.map_err(|failed| Failure::of(failed, &sent))?;
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&bytes);
        if text.is_empty() {
            return Ok(Map::new());
        }
        let broken = |_| Failure::of(Failed::Broken("the answer of 1C is no JSON object".to_owned()), &sent);
        serde_json::from_slice(text).map_err(broken)
    }
}

/// For people who look at a dead letter.
fn shown(method: &Method, address: &str, body: Option<&str>) -> String {
    let address = percent_encoding::percent_decode_str(address).decode_utf8_lossy().into_owned();
    let Some(body) = body else { return format!("{method} {address}") };
    let end = (0..=SHOWN.min(body.len())).rev().find(|at| body.is_char_boundary(*at)).unwrap_or(0);
    format!("{method} {address}\n\n{}", &body[..end])
}
