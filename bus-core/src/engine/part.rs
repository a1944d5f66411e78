//! The receiver of a part of a joined stream: a route like any other, whose target is the state store.
//!
//! As with a map ([`super::keep`]), the route's fences give each record its order, and the same write twice changes nothing.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::keep::failed;
use crate::policy::Idempotency;
use crate::ports::join::{Membership, PartChange, PartWriter};
use crate::ports::permits::Permits;
use crate::ports::source::SystemReport;
use crate::ports::target::{Parcel, Target};
use crate::vocabulary::{DeliveryError, Fault, Fields, Key, Operation, Receipt};

/// One local transaction; the worker aborts what takes longer, and writes it again.
const DEADLINE: Duration = Duration::from_secs(10);

/// Keeps what a stream brings as a part of joined records.
pub struct PartTarget {
    /// Where it is kept.
    pub writer: Arc<dyn PartWriter>,
    /// The fields that hold the key of the joined record, in the order of that key.
    pub on: Vec<String>,
}

#[async_trait]
impl Target for PartTarget {
    async fn check(&self) -> Result<SystemReport, DeliveryError> {
        Ok(SystemReport::default())
    }

    async fn deliver(&self, parcels: &[Parcel], _permits: &Permits) -> Vec<Result<Receipt, DeliveryError>> {
        let changes: Vec<_> = parcels.iter().map(|parcel| self.change(parcel)).collect();
        let good = changes.iter().filter_map(|change| change.as_ref().ok().cloned());
        let written = self.writer.write(good.collect()).await.map_err(failed);
        changes.into_iter().map(|change| change.and_then(|_| written.clone()).map(|()| Receipt::default())).collect()
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::Idempotent
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }
}

impl PartTarget {
    fn change(&self, parcel: &Parcel) -> Result<PartChange, DeliveryError> {
        let member = parcel.envelope.key.clone();
        if parcel.operation == Operation::Delete {
            return Ok(PartChange { member, now: None });
        }
        let rejected = |message: String| DeliveryError::new(Fault::Rejected, message);
        let fields = Fields::of(&parcel.body).ok_or_else(|| rejected("the record is no JSON object".to_owned()))?;
        let mut texts = Vec::with_capacity(self.on.len());
        for name in &self.on {
            let text = fields.text(name).map_err(|()| {
                rejected(format!("the field {name:?} is no text, number or boolean: it cannot name a joined record"))
            })?;
            match text {
                // An empty reference: the record belongs to none.
                None => return Ok(PartChange { member, now: None }),
                Some(text) if text.is_empty() => return Ok(PartChange { member, now: None }),
                Some(text) => texts.push((name.as_str(), text)),
            }
        }
        let columns: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let key = Key::from_columns(&columns).map_err(|error| rejected(error.to_string()))?;
        Ok(PartChange { member, now: Some(Membership { key, body: parcel.body.clone() }) })
    }
}
