//! One request per parcel, one permit per request; where records share a request, see `together.rs`.
//!
//! Every request says `Bus-Stream`, and that of one record `Bus-Seq: EPOCH.NUMBER` and `Bus-Message-Id`: a receiver that
//! may apply a request after our timeout can compare the seq and refuse what is older. A delete that is answered 404 or 410 is delivered:
//! the record is not there, which was the aim. A 2xx is delivered even if the rest of the answer is cut; only where the
//! receiver's id is wanted from it and did not arrive is the outcome ambiguous, so that an idempotent repeat brings it.

use std::time::Duration;

use async_trait::async_trait;
use bus_core::policy::Idempotency;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::SystemReport;
use bus_core::ports::target::{Parcel, Target};
use bus_core::vocabulary::{DeliveryError, Exchange, Fault, Operation, Receipt};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue as RawValue, LOCATION};
use reqwest::{Method, RequestBuilder, StatusCode};
use url::Url;

use crate::closed;
use crate::echo::Credentials;
use crate::in_turn::in_turn;

use super::answer::{Answer, excerpt};
use super::batch::Batch;
use super::client::{Client, header_name, secret_header};
use super::template::{Use, header_text, scalar};
use super::{Header, HeaderValue, Repeats, Request, Send, classify};

/// Between the request's own timeout and the moment by which it is certainly aborted.
const ABORT: Duration = Duration::from_secs(1);

static SEQ: HeaderName = HeaderName::from_static("bus-seq");
static MESSAGE_ID: HeaderName = HeaderName::from_static("bus-message-id");
static STREAM: HeaderName = HeaderName::from_static("bus-stream");
static IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

mod together;

/// Sends the records of one route.
pub struct HttpTarget {
    pub(super) client: Client,
    send: Send,
    /// Beside those of the client.
    credentials: Credentials,
    /// Carries the idempotency key.
    idempotency: Option<HeaderName>,
}

/// A request that is ready to be sent.
pub(super) struct Composed<'a> {
    request: &'a Request,
    url: Url,
    pub builder: RequestBuilder,
}

impl HttpTarget {
    /// Checks the header names; connects to nothing.
    pub fn new(client: Client, send: Send) -> Result<Self, DeliveryError> {
        for header in client.headers.iter().chain(&send.headers) {
            header_name(&header.name)?;
        }
        let recognised = (send.repeats == Repeats::Recognised).then(|| IDEMPOTENCY_KEY.clone());
        let idempotency = send.idempotency_header.as_deref().map(header_name).transpose()?.or(recognised);
        let credentials = client.credentials(&send.headers);
        Ok(Self { client, send, credentials, idempotency })
    }

    fn request(&self, operation: Operation) -> Option<&Request> {
        match operation {
            Operation::Upsert => Some(&self.send.upsert),
            Operation::Delete => self.send.on_delete.as_ref(),
        }
    }

    /// Whether the same again would do harm: of all requests of a route or of none, as the engine takes it.
    fn harms(&self) -> bool {
        self.send.repeats == Repeats::Harmful
    }

    /// The one request of these parcels, as [`Target::deliver`] would send it; `None`: there is none.
    pub(super) fn compose_any(&self, parcels: &[Parcel]) -> Result<Option<Composed<'_>>, DeliveryError> {
        match (self.batch_for(parcels), parcels) {
            (Some(batch), _) => self.compose_all(batch, parcels).map(Some),
            (None, [parcel]) => self.compose(parcel),
            (None, _) => Ok(None),
        }
    }

    /// The request for a parcel; `None`: the receiver never had what is to be deleted, and nothing is sent.
    fn compose(&self, parcel: &Parcel) -> Result<Option<Composed<'_>>, DeliveryError> {
        let Some(request) = self.request(parcel.operation) else {
            return Err(rejected("the record is gone, but the route has no on_delete".to_owned()));
        };
        let path = match request.path.fill(parcel, Use::Path) {
            Ok(path) => path,
            // The receiver never had it, so there is no id and nothing to delete.
            Err(_) if parcel.operation == Operation::Delete && !parcel.exists && parcel.receiver_id.is_none() => {
                return Ok(None);
            }
            Err(reason) => return Err(rejected(format!("{} cannot be filled: {reason}", request.path.as_str()))),
        };
        let mut headers = self.headers(parcel, "application/json")?;
        self.name_the_message(&mut headers, parcel)?;
        let body = (request.method != Method::DELETE).then(|| parcel.body.clone());
        Ok(Some(self.composed(request, &path, headers, body)))
    }

    fn composed<'a>(
        &self,
        request: &'a Request,
        path: &str,
        headers: HeaderMap,
        body: Option<impl Into<reqwest::Body>>,
    ) -> Composed<'a> {
        let url = self.client.url(path);
        let builder = self.client.http.request(request.method.clone(), url.clone()).headers(headers);
        let mut builder = self.client.signed(builder);
        if let Some(body) = body {
            builder = builder.body(body);
        }
        Composed { request, url, builder }
    }

    async fn attempt(&self, parcel: &Parcel, permits: &Permits) -> Result<Receipt, DeliveryError> {
        let Some(Composed { request, url, builder }) = self.compose(parcel)? else { return Ok(Receipt::default()) };
        let _permit = permits.take().await.map_err(closed::unsent)?;
        self.exchange(request, builder.timeout(self.client.timeout), parcel, &url).await
    }

    /// What was sent, for a dead letter; made only after a failure.
    fn sent(&self, request: &Request, parcel: &Parcel, url: &Url) -> String {
        let mut sent = format!("{} {url}", request.method);
        if request.method != Method::DELETE {
            sent = format!("{sent}\n\n{}", excerpt(&parcel.body));
        }
        self.credentials.mask(sent)
    }

    async fn exchange(
        &self,
        request: &Request,
        builder: RequestBuilder,
        parcel: &Parcel,
        url: &Url,
    ) -> Result<Receipt, DeliveryError> {
        // The path as configured: the filled one holds the key.
        let what = || format!("{} {}", request.method, request.path.as_str());
        let sent = || Some(self.sent(request, parcel, url));
        let mut response = match builder.send().await {
            Ok(response) => response,
            Err(error) => {
                let (fault, reason) = classify::failure(&error.without_url());
                let exchange = Exchange { request: sent(), answer: None };
                return Err(DeliveryError::new(fault, format!("{}: {reason}", what())).with_exchange(exchange));
            }
        };
        let status = response.status();
        let answer = Answer::read(&mut response, 1).await;
        let gone = parcel.operation == Operation::Delete && matches!(status.as_u16(), 404 | 410);
        if status.is_success() || gone {
            let Some(pointer) = self.send.receiver_id.as_ref().filter(|_| parcel.operation == Operation::Upsert) else {
                return Ok(Receipt { receiver_id: None, status: Some(status.as_u16()) });
            };
            let receiver_id = scalar(&answer.body, pointer);
            if receiver_id.is_some() || parcel.receiver_id.is_some() || answer.whole {
                let receiver_id = receiver_id.or_else(|| parcel.receiver_id.clone());
                return Ok(Receipt { receiver_id, status: Some(status.as_u16()) });
            }
            let reason = format!("{}: accepted ({status}), but the answer with the receiver's id was cut", what());
            let exchange = Exchange { request: sent(), answer: Some(status.to_string()) };
            return Err(DeliveryError::new(Fault::Ambiguous, reason).with_exchange(exchange));
        }
        let fault = classify::status(status.as_u16(), response.headers(), self.harms(), chrono::Utc::now());
        let message = format!("{}: {}", what(), answered(status, response.headers()));
        let excerpt = format!("{status}\n\n{}", answer.excerpt());
        let answer = self.credentials.mask(excerpt.trim_end().to_owned());
        let message = self.credentials.mask(message);
        let exchange = Exchange { request: sent(), answer: Some(answer) };
        Err(DeliveryError::new(fault, message).with_exchange(exchange))
    }

    /// What is sent whoever else is in the request: the configuration sees to it that nothing here is of one record where
    /// several share it.
    fn headers(&self, parcel: &Parcel, content: &'static str) -> Result<HeaderMap, DeliveryError> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, RawValue::from_static(content));
        own(&mut headers, &STREAM, header_text(parcel.envelope.stream.as_str()))?;
        for header in self.client.headers.iter().chain(&self.send.headers) {
            insert(&mut headers, header, parcel)?;
        }
        Ok(headers)
    }

    fn name_the_message(&self, headers: &mut HeaderMap, parcel: &Parcel) -> Result<(), DeliveryError> {
        own(headers, &SEQ, parcel.envelope.seq.to_string())?;
        own(headers, &MESSAGE_ID, parcel.envelope.id.to_string())?;
        match &self.idempotency {
            Some(name) => own(headers, name, header_text(&parcel.idempotency_key)),
            None => Ok(()),
        }
    }

    /// How these share a request, if they do: deletions never, as their request is another one.
    fn batch_for(&self, parcels: &[Parcel]) -> Option<&Batch> {
        let shared = parcels.iter().all(|parcel| parcel.operation == Operation::Upsert);
        self.send.batch.as_ref().filter(|_| shared)
    }
}

#[async_trait]
impl Target for HttpTarget {
    async fn check(&self) -> Result<SystemReport, DeliveryError> {
        self.client.check().await
    }

    /// One request for all, or one after the other; then, once the system as a whole does not take requests, the rest of the
    /// slice gets the same verdict without being sent.
    async fn deliver(&self, parcels: &[Parcel], permits: &Permits) -> Vec<Result<Receipt, DeliveryError>> {
        match self.batch_for(parcels) {
            Some(batch) => self.together(batch, parcels, permits).await,
            None => in_turn(parcels, |parcel| self.attempt(parcel, permits)).await,
        }
    }

    fn idempotency(&self) -> Idempotency {
        if self.harms() { Idempotency::NonIdempotent } else { Idempotency::Idempotent }
    }

    fn deadline(&self) -> Duration {
        self.client.timeout + ABORT
    }
}

fn insert(headers: &mut HeaderMap, header: &Header, parcel: &Parcel) -> Result<(), DeliveryError> {
    match &header.value {
        HeaderValue::Secret(secret) => {
            let (name, value) = secret_header(&header.name, secret)?;
            headers.insert(name, value);
            Ok(())
        }
        HeaderValue::Template(template) => {
            let value = template
                .fill(parcel, Use::Header)
                .map_err(|reason| rejected(format!("header {} cannot be filled: {reason}", header.name)))?;
            set(headers, &header.name, &value)
        }
    }
}

fn set(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), DeliveryError> {
    let wrong = || rejected(format!("header {name} cannot be written"));
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
    headers.insert(name, RawValue::from_str(value).map_err(|_| wrong())?);
    Ok(())
}

fn own(headers: &mut HeaderMap, name: &HeaderName, value: String) -> Result<(), DeliveryError> {
    let value = RawValue::try_from(value).map_err(|_| rejected(format!("header {name} cannot be written")))?;
    headers.insert(name, value);
    Ok(())
}

/// A status that is no success, in words.
fn answered(status: StatusCode, headers: &HeaderMap) -> String {
    let answered = format!("the receiver answered {status}");
    if !status.is_redirection() {
        return answered;
    }
    let to = headers.get(LOCATION).and_then(|to| to.to_str().ok()).unwrap_or("nowhere");
    let to = to.split(['?', '#']).next().unwrap_or_default();
    format!("{answered}, which points to {to}: redirects are not followed, correct the address")
}

fn rejected(message: String) -> DeliveryError {
    DeliveryError::new(Fault::Rejected, message)
}

#[cfg(test)]
pub(super) mod tests;
