//! What happens in 1C to what is gone.

use bus_core::vocabulary::{DeliveryError, Fault, Receipt};
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::options::Gone;
use super::place::{self, Form};
use super::{Attempt, OdataTarget, rejected};

impl OdataTarget {
    pub(super) async fn delete(&self, at: &Attempt<'_>, record: &Map<String, Value>) -> Result<Receipt, DeliveryError> {
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
}
