//! What an operator may say about a system with HTTP, and about sending to it.

use std::time::Duration;

use bus_core::vocabulary::Secret;
use reqwest::Method;
use url::Url;

use super::{Batch, Template};

/// A system, resolved.
#[derive(Debug, Clone)]
pub struct Options {
    /// Paths of requests are appended to its path. Its query is not used.
    pub url: Url,
    /// Sent with every request.
    pub headers: Vec<Header>,
    /// Basic authentication.
    pub basic: Option<(String, Secret)>,
    /// A certificate authority to trust besides the system's own (PEM).
    pub ca_pem: Option<Vec<u8>>,
    /// From the begin of a request to the end of its answer.
    pub timeout: Duration,
}

/// One header.
#[derive(Debug, Clone)]
pub struct Header {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: HeaderValue,
}

/// What a header holds.
#[derive(Debug, Clone)]
pub enum HeaderValue {
    /// Text with places.
    Template(Template),
    /// Never shown; taken as it is.
    Secret(Secret),
}

/// How records are sent on one route.
#[derive(Debug, Clone)]
pub struct Send {
    /// For records that exist.
    pub upsert: Request,
    /// For records that are gone; without it a delete is rejected.
    pub on_delete: Option<Request>,
    /// Added to the system's headers.
    pub headers: Vec<Header>,
    /// Where the receiver's id is in its answer: a JSON pointer such as `/id`.
    pub receiver_id: Option<String>,
    /// The header that carries the idempotency key; with [`Repeats::Recognised`] it is `Idempotency-Key` by default.
    pub idempotency_header: Option<String>,
    /// Whether the receiver can take the same request twice.
    pub repeats: Repeats,
    /// Records share a request; path and headers then hold nothing of one of them. Deletions go alone all the same.
    pub batch: Option<Batch>,
}

/// Method and path.
#[derive(Debug, Clone)]
pub struct Request {
    /// For example PUT.
    pub method: Method,
    /// For example `/orders/{key}`.
    pub path: Template,
}

/// What the same request twice does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// The receiver recognises the idempotency key.
    Recognised,
    /// The operator knows that it does no harm.
    Harmless,
    /// The operator knows that it does.
    Harmful,
}
