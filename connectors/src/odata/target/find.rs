//! Finding the object of a message, and reading back what was stored of it.

use serde_json::{Map, Value};

use bus_core::vocabulary::{DeliveryError, Fault};

use super::place::{self, Form};
use super::{Attempt, OdataTarget, misconfigured, rejected};
use crate::odata::address::{equals, option};

/// An object that is there.
pub(super) struct Found {
    /// Between the parentheses of its address.
    pub(super) key: String,
    pub(super) reference: Option<String>,
    pub(super) posted: bool,
}

impl OdataTarget {
    /// The object of the message's key. The reference that an earlier answer gave is tried first: it needs no search.
    pub(super) async fn find(&self, at: &Attempt<'_>) -> Result<Option<Found>, DeliveryError> {
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

    /// What is there now; `None` where that cannot be told.
    pub(super) async fn read_back(
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
}

fn found(object: &Map<String, Value>, key: String) -> Found {
    let reference = object.get("Ref_Key").and_then(Value::as_str).map(str::to_owned);
    Found { key, reference, posted: object.get("Posted") == Some(&Value::Bool(true)) }
}
