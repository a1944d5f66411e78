//! The `Target` over a base of 1C.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | one attempt: find, write, post, and read back where the outcome is unknown |
//! | `find.rs`, `post.rs`, `delete.rs` | these steps |
//! | `options.rs` | what an operator may say |
//! | `place.rs` | what kind of thing a set holds, and the key of a record in it |
//! | `body.rs` | the record as 1C takes it, or why it would not |
//! | `compare.rs` | what 1C has kept of it |
//! | `requests.rs` | requests with permits and a bound in time |
//! | `classify.rs` | whose fault a failed one is |
//!
//! 1C knows no idempotency key and gives references itself. An object is found by the attribute that holds the bus's key
//! before anything is written, so a repeat changes the object that the first attempt created. A write whose outcome is
//! unknown is read back at once; if that does not tell, the next attempt begins by looking.

mod body;
mod classify;
mod compare;
mod delete;
mod find;
mod options;
mod place;
mod post;
mod requests;

pub use options::{Gone, Posting, Write};

use std::time::{Duration, Instant};

use async_trait::async_trait;
use bus_core::policy::Idempotency;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::SystemReport;
use bus_core::ports::target::{Parcel, Target};
use bus_core::vocabulary::{DeliveryError, Fault, Operation, Receipt};
use reqwest::Method;
use serde_json::{Map, Value};

use crate::in_turn::in_turn;

use super::address::path;
use super::base::Base;
use super::model::{Model, Type};
use super::options::BaseOptions;
use place::Form;
use requests::{Failure, Requests};

/// Between the request's own timeout and the moment by which it is certainly aborted.
const ABORT: Duration = Duration::from_secs(1);

/// Writes the records of one route.
pub struct OdataTarget {
    base: Base,
    timeout: Duration,
    zone: Option<chrono_tz::Tz>,
    write: Write,
}

/// What one attempt knows.
struct Attempt<'a> {
    requests: Requests<'a>,
    of: &'a Type,
    form: Form,
    parcel: &'a Parcel,
}

impl OdataTarget {
    /// Connects to nothing.
    pub fn new(options: &BaseOptions, write: Write) -> Result<Self, DeliveryError> {
        let base = Base::new(options).map_err(|error| misconfigured(error.message))?;
        Ok(Self { base, timeout: options.timeout, zone: options.zone, write })
    }

    async fn attempt(&self, parcel: &Parcel, permits: &Permits) -> Result<Receipt, DeliveryError> {
        let requests = Requests { base: &self.base, permits, timeout: self.timeout, load_mode: self.write.load_mode };
        let model = requests.model().await?;
        let of = self.described(&model)?;
        let form = Form::of(&self.write.set, of);
        let attempt = Attempt { requests, of, form, parcel };
        let record = match serde_json::from_slice(&parcel.body) {
            Ok(Value::Object(record)) => record,
            _ if parcel.operation == Operation::Delete => Map::new(),
            _ => return Err(rejected("the record is no object with fields".to_owned())),
        };
        match parcel.operation {
            Operation::Upsert => self.upsert(&attempt, &model, &record).await,
            Operation::Delete => self.delete(&attempt, &record).await,
        }
    }

    fn described<'a>(&self, model: &'a Model) -> Result<&'a Type, DeliveryError> {
        let of = model.type_of(&self.write.set).map_err(misconfigured)?;
        place::check(&self.write, of).map_err(misconfigured)?;
        Ok(of)
    }

    async fn upsert(
        &self,
        at: &Attempt<'_>,
        model: &Model,
        record: &Map<String, Value>,
    ) -> Result<Receipt, DeliveryError> {
        let mut body = body::body(model, at.of, record, self.zone).map_err(rejected)?;
        if let Some(by) = &self.write.by {
            body.insert(by.clone(), self.own_key(at, by)?);
        }
        let kept = match at.form {
            Form::Object => self.object(at, &body).await?,
            Form::Record => self.record(at, &body).await?,
            Form::Constant | Form::RecordSet => {
                let key = place::key(at.of, at.form, record).map_err(rejected)?;
                self.put(at, Method::PATCH, Some(&key), &body).await?
            }
        };
        if let Some(what) = compare::lost(&body, &kept) {
            return Err(rejected(format!("{what}; what is stored is not what was sent")));
        }
        let reference = kept.get("Ref_Key").and_then(Value::as_str).map(str::to_owned);
        if let (Form::Object, Some(reference)) = (at.form, &reference) {
            self.post(at, reference, record).await?;
        }
        Ok(Receipt { receiver_id: reference, status: Some(200) })
    }

    /// The message's key as the attribute holds it.
    fn own_key(&self, at: &Attempt<'_>, by: &str) -> Result<Value, DeliveryError> {
        let key = at.parcel.envelope.key.as_str();
        match at.of.property(by).map(|property| &property.kind) {
            Some(super::model::Kind::Integer) => {
                let number: i64 =
                    key.parse().map_err(|_| rejected(format!("the key is no whole number, as {by} is")))?;
                Ok(number.into())
            }
            _ => Ok(key.into()),
        }
    }

    /// Changes the object of this key, or creates it.
    async fn object(&self, at: &Attempt<'_>, body: &Map<String, Value>) -> Result<Map<String, Value>, DeliveryError> {
        let found = self.find(at).await?;
        let (method, key) = match &found {
            Some(found) => (Method::PATCH, Some(found.key.as_str())),
            None if self.write.by.is_none() => {
                let hint =
                    "1C gives references itself: say `by`, the attribute that holds the bus's key, to create objects";
                return Err(rejected(format!("{} has no object with this reference; {hint}", self.write.set)));
            }
            None if !self.write.create => {
                return Err(rejected(format!("{} has no object with this key, and `create` is false", self.write.set)));
            }
            None => (Method::POST, None),
        };
        self.put(at, method, key, body).await
    }

    /// An independent record: created, or changed where its key is there.
    async fn record(&self, at: &Attempt<'_>, body: &Map<String, Value>) -> Result<Map<String, Value>, DeliveryError> {
        let key = place::key(at.of, at.form, body).map_err(rejected)?;
        let address = self.address(Some(&key));
        match at.requests.read(&format!("{address}?$format=json")).await {
            Ok(_) => self.put(at, Method::PATCH, Some(&key), body).await,
            Err(failure) if failure.is_missing() => self.put(at, Method::POST, None, body).await,
            Err(failure) => Err(failure.error(false)),
        }
    }

    /// Writes, and gives what is stored. Where no answer says what became of it, the base is asked.
    async fn put(
        &self,
        at: &Attempt<'_>,
        method: Method,
        key: Option<&str>,
        body: &Map<String, Value>,
    ) -> Result<Map<String, Value>, DeliveryError> {
        let address = format!("{}?$format=json", self.address(key));
        let failure = match at.requests.write(method.clone(), &address, Some(body)).await {
            Ok(kept) if !kept.is_empty() => return Ok(kept),
            // Written, but what was kept of it is not said.
            Ok(_) => {
                let silent = || DeliveryError::new(Fault::Ambiguous, "1C has not said what it stored");
                return self.read_back(at, key, body).await.ok_or_else(silent);
            }
            Err(failure) => failure,
        };
        // Somebody was faster, or it was we, before the answer was lost.
        if failure.is_taken() && method == Method::POST {
            let key = place::key(at.of, at.form, body).map_err(rejected)?;
            return Box::pin(self.put(at, Method::PATCH, Some(&key), body)).await;
        }
        let error = failure.error(true);
        if error.fault != Fault::Ambiguous {
            return Err(error);
        }
        match self.read_back(at, key, body).await {
            Some(kept) if compare::holds(body, &kept) => Ok(kept),
            _ => Err(error),
        }
    }

    fn address(&self, key: Option<&str>) -> String {
        let key = key.map(|key| format!("({key})")).unwrap_or_default();
        format!("/{}", path(&format!("{}{key}", self.write.set)))
    }
}

#[async_trait]
impl Target for OdataTarget {
    async fn check(&self) -> Result<SystemReport, DeliveryError> {
        let begun = Instant::now();
        let model = self.base.model(true, &Permits::unbounded()).await;
        let model = model.map_err(|failed| Failure::of(failed, "GET /$metadata").error(false))?;
        self.described(&model)?;
        let latency = begun.elapsed();
        // Nothing short of writing tells.
        let rights =
            vec![format!("{} is published; the right to write it shows with the first record", self.write.set)];
        Ok(SystemReport { version: "1C OData".to_owned(), latency, rights, remarks: Vec::new() })
    }

    /// One record after the other. Once the base as a whole takes nothing, the rest gets the same verdict unsent.
    async fn deliver(&self, parcels: &[Parcel], permits: &Permits) -> Vec<Result<Receipt, DeliveryError>> {
        in_turn(parcels, |parcel| self.attempt(parcel, permits)).await
    }

    /// Each attempt looks before it writes, so a repeat changes what the first one made.
    fn idempotency(&self) -> Idempotency {
        Idempotency::Idempotent
    }

    fn deadline(&self) -> Duration {
        self.timeout + ABORT
    }
}

fn rejected(message: String) -> DeliveryError {
    DeliveryError::new(Fault::Rejected, message)
}

fn misconfigured(message: String) -> DeliveryError {
    DeliveryError::new(Fault::Misconfigured, message)
}
