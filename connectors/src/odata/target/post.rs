//! Posting a document, or taking its posting back.

use bus_core::vocabulary::{DeliveryError, Fault};
use reqwest::Method;
use serde_json::{Map, Value};

use super::options::Posting;
use super::{Attempt, OdataTarget, misconfigured, place};

impl OdataTarget {
    /// Never by GET: 1C would execute it too, and everybody on the way may repeat a GET.
    pub(super) async fn post(
        &self,
        at: &Attempt<'_>,
        reference: &str,
        record: &Map<String, Value>,
    ) -> Result<(), DeliveryError> {
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

    pub(super) async fn set_posted(&self, at: &Attempt<'_>, key: &str, posted: bool) -> Result<(), DeliveryError> {
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
}
