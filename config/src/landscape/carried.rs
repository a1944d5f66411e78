//! How a route's records reach its system: by requests, several in one, or as objects of 1C.

use std::time::Duration;

use bus_core::policy::Idempotency;
use bus_options::SecretOr;

use super::{BatchBody, Method, Posting};

/// How a route's records are carried to its system.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    /// By requests.
    Http(Http),
    /// Written to a base of 1C.
    Odata(OdataWrite),
}

impl Carried {
    /// Whether deletions are carried too; otherwise they are skipped.
    pub fn deletes(&self) -> bool {
        match self {
            Self::Http(http) => http.on_delete.is_some(),
            Self::Odata(write) => write.gone.is_some(),
        }
    }
}

/// The requests of a route.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// The request that carries a record.
    pub send: Send,
    /// The request that deletes one; `None`: deletions are skipped.
    pub on_delete: Option<DeleteRequest>,
    /// Whether the same may be sent again.
    pub idempotency: Idempotency,
    /// The header by which the receiver recognises a repeat.
    pub idempotency_header: Option<String>,
    /// Several records in one request.
    pub batch: Option<Box<Batch>>,
}

/// How records are written to a base of 1C.
#[derive(Debug, Clone, PartialEq)]
pub struct OdataWrite {
    /// The set.
    pub set: String,
    /// The attribute that holds the message's key.
    pub by: Option<String>,
    /// Whether objects are created.
    pub create: bool,
    /// What becomes of a document.
    pub post: Posting,
    /// What happens to what is gone; `None`: nothing.
    pub gone: Option<Gone>,
    /// Without the configuration's own checks.
    pub load_mode: bool,
}

/// What happens in 1C to an object that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gone {
    /// It is marked for deletion.
    Mark,
    /// It is deleted for good.
    Delete,
}

/// The request that carries a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Send {
    /// The method.
    pub method: Method,
    /// A path with `{…}` for values.
    pub path: String,
    /// Beside those of the system.
    pub headers: Vec<(String, SecretOr<String>)>,
    /// JSON pointer to the receiver's own id in its answer.
    pub receiver_id: Option<String>,
}

/// Several records in one request.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Records in it at most.
    pub max: usize,
    /// How long the first one waits for others at most.
    pub wait: Duration,
    /// Bytes of records in it at most.
    pub bytes: usize,
    /// How they stand in its body.
    pub body: BatchBody,
    /// What its answer says of each; without it, its status is that of all.
    pub results: Option<Results>,
}

/// Where in an answer the results are, as JSON pointers.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// Their list; empty: the whole answer.
    pub items: String,
    /// Within a result, whose it is; `None`: they are in the order of the records.
    pub key: Option<String>,
    /// Within a record as it was sent, what `key` is compared with; `None`: its key.
    pub sent: Option<String>,
    /// Within a result, what was wrong. In its place:
    pub error: Option<String>,
    /// Within a result, its status; empty: the result.
    pub status: String,
    /// Statuses that mean a success, in small letters.
    pub ok: Vec<String>,
}

/// The request that deletes a record.
#[derive(Debug, Clone, PartialEq)]
pub struct DeleteRequest {
    /// The method.
    pub method: Method,
    /// A path with `{…}` for values.
    pub path: String,
}
