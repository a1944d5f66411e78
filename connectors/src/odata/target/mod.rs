//! The `Target` over a base of 1C.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | one attempt: find, write, post, and read back where the outcome is unknown |
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
mod options;
mod place;
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
use serde_json::{Map, Value, json};

use crate::in_turn::in_turn;

use super::address::{equals, option, path};
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

/// An object that is there.
struct Found {
    /// Between the parentheses of its address.
    key: String,
    reference: Option<String>,
    posted: bool,
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

    /// What is there now; `None` where that cannot be told.
    async fn read_back(
        &self,
        at: &Attempt<'_>,
        key: Option<&str>,
        body: &Map<String, Value>,
    ) -> Option<Map<String, Value>> {
        let key = match (key, at.form) {
            (Some(key), _) => key.to_owned(),
            (None, Form::Object) => self.look_up(at).await.ok().flatten()?.key,
            (None, _) => place::key(at.of, at.form, body).ok()?,
        };
        at.requests.read(&format!("{}?$format=json", self.address(Some(&key)))).await.ok()
    }

    /// The object of the message's key. The reference that an earlier answer gave is tried first: it needs no search.
    async fn find(&self, at: &Attempt<'_>) -> Result<Option<Found>, DeliveryError> {
        let known = match &self.write.by {
            None => {
                let key = at.parcel.envelope.key.as_str();
                let wrong =
                    || rejected("the key is no reference of 1C; say `by`, the attribute that holds it".to_owned());
                Some(place::reference(key).ok_or_else(wrong)?)
            }
            Some(_) => at.parcel.receiver_id.as_deref().and_then(place::reference),
        };
        if let Some(key) = known {
            match at.requests.read(&format!("{}?$format=json", self.address(Some(&key)))).await {
                Ok(object) => return Ok(Some(found(&object, key))),
                Err(failure) if failure.is_missing() && self.write.by.is_none() => return Ok(None),
                // It was deleted in 1C; there may be another one.
                Err(failure) if failure.is_missing() => {}
                Err(failure) => return Err(failure.error(false)),
            }
        }
        self.look_up(at).await
    }

    /// By the attribute that holds the key.
    async fn look_up(&self, at: &Attempt<'_>) -> Result<Option<Found>, DeliveryError> {
        let Some(by) = &self.write.by else { return Ok(None) };
        let filter = equals(at.of, by, at.parcel.envelope.key.as_str()).map_err(rejected)?;
        let address = format!("{}?$format=json&$top=2&$filter={}", self.address(None), option(&filter));
        let list = at.requests.read(&address).await.map_err(|failure| failure.error(false))?;
        let Some(Value::Array(objects)) = list.get("value") else {
            return Err(DeliveryError::new(Fault::Unavailable, "the answer of 1C is no list of objects"));
        };
        match objects.as_slice() {
            [] => Ok(None),
            [Value::Object(object)] => {
                let reference = object.get("Ref_Key").and_then(Value::as_str).and_then(place::reference);
                let key = reference.ok_or_else(|| misconfigured(format!("{} gives no references", self.write.set)))?;
                Ok(Some(found(object, key)))
            }
            _ => Err(rejected(format!(
                "{} has several objects with this key in {by}: remove all but one",
                self.write.set
            ))),
        }
    }

    /// Never by GET: 1C would execute it too, and everybody on the way may repeat a GET.
    async fn post(&self, at: &Attempt<'_>, reference: &str, record: &Map<String, Value>) -> Result<(), DeliveryError> {
        if at.of.property("Posted").is_none() {
            return Ok(());
        }
        let wanted = match self.write.post {
            Posting::Leave => return Ok(()),
            Posting::Post => true,
            Posting::Unpost => false,
            Posting::Follow => match record.get("Posted") {
                Some(Value::Bool(posted)) => *posted,
                _ => return Ok(()),
            },
        };
        let key = place::reference(reference).ok_or_else(|| misconfigured("1C gave no reference".to_owned()))?;
        self.set_posted(at, &key, wanted).await
    }

    async fn set_posted(&self, at: &Attempt<'_>, key: &str, posted: bool) -> Result<(), DeliveryError> {
        let what = if posted { "Post?PostingModeOperational=false" } else { "Unpost" };
        let address = format!("{}/{what}", self.address(Some(key)));
        let Err(failure) = at.requests.write(Method::POST, &address, None).await else { return Ok(()) };
        let error = failure.error(true);
        if error.fault != Fault::Ambiguous {
            return Err(error);
        }
        // To post again what is posted does no harm, and moves the registers to what is written.
        let now = at.requests.read(&format!("{}?$format=json", self.address(Some(key)))).await;
        match now {
            Ok(object) if !posted && object.get("Posted") == Some(&Value::Bool(false)) => Ok(()),
            _ => Err(error),
        }
    }

    async fn delete(&self, at: &Attempt<'_>, record: &Map<String, Value>) -> Result<Receipt, DeliveryError> {
        let done = Receipt { receiver_id: None, status: Some(200) };
        match (at.form, self.write.gone) {
            (_, None) => Err(rejected("the record is gone, but the route has no on_delete".to_owned())),
            (Form::Constant, _) => Err(rejected("a constant cannot be deleted".to_owned())),
            (Form::RecordSet, _) => {
                let key = place::key(at.of, at.form, record).map_err(rejected)?;
                let mut empty = Map::new();
                empty.insert("RecordSet".to_owned(), json!([]));
                self.put(at, Method::PATCH, Some(&key), &empty).await.map(|_| done)
            }
            (Form::Record, _) => {
                let key = place::key(at.of, at.form, record).map_err(rejected)?;
                self.remove(at, &key).await.map(|()| done)
            }
            (Form::Object, Some(gone)) => {
                let Some(found) = self.find(at).await? else { return Ok(done) };
                if gone == Gone::Delete {
                    self.remove(at, &found.key).await?;
                    return Ok(done);
                }
                // 1C marks no posted document.
                if found.posted {
                    self.set_posted(at, &found.key, false).await?;
                }
                let mut mark = Map::new();
                mark.insert("DeletionMark".to_owned(), true.into());
                self.put(at, Method::PATCH, Some(&found.key), &mark).await?;
                Ok(Receipt { receiver_id: found.reference, ..done })
            }
        }
    }

    /// What is not there was deleted: that was the aim.
    async fn remove(&self, at: &Attempt<'_>, key: &str) -> Result<(), DeliveryError> {
        let address = self.address(Some(key));
        let failure = match at.requests.write(Method::DELETE, &address, None).await {
            Ok(_) => return Ok(()),
            Err(failure) if failure.is_missing() => return Ok(()),
            Err(failure) => failure,
        };
        let error = failure.error(true);
        if error.fault == Fault::Ambiguous
            && let Err(now) = at.requests.read(&format!("{address}?$format=json")).await
            && now.is_missing()
        {
            return Ok(());
        }
        Err(error)
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
        let model = self.base.model(true).await.map_err(|failed| Failure::of(failed, "GET /$metadata").error(false))?;
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

fn found(object: &Map<String, Value>, key: String) -> Found {
    let reference = object.get("Ref_Key").and_then(Value::as_str).map(str::to_owned);
    Found { key, reference, posted: object.get("Posted") == Some(&Value::Bool(true)) }
}

fn rejected(message: String) -> DeliveryError {
    DeliveryError::new(Fault::Rejected, message)
}

fn misconfigured(message: String) -> DeliveryError {
    DeliveryError::new(Fault::Misconfigured, message)
}
