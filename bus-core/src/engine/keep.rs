//! The receiver of a map that is kept from a stream: a route like any other, whose target is the state store.
//!
//! The route's fences give each key its order, and the same write twice changes nothing, so a crash between the write and
//! the durable fence does no harm.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use crate::policy::Idempotency;
use crate::ports::map::MapWriter;
use crate::ports::permits::Permits;
use crate::ports::source::SystemReport;
use crate::ports::state::StateError;
use crate::ports::target::{Parcel, Target};
use crate::vocabulary::{DeliveryError, Fault, Operation, Receipt};

/// The field of a shaped record that holds the value.
pub const VALUE: &str = "value";
/// One local transaction; the worker aborts what takes longer, and writes it again.
const DEADLINE: Duration = Duration::from_secs(10);

/// Writes what a stream brings into a map.
pub struct MapTarget(pub Arc<dyn MapWriter>);

#[async_trait]
impl Target for MapTarget {
    async fn check(&self) -> Result<SystemReport, DeliveryError> {
        Ok(SystemReport::default())
    }

    async fn deliver(&self, parcels: &[Parcel], _permits: &Permits) -> Vec<Result<Receipt, DeliveryError>> {
        let values: Vec<_> = parcels.iter().map(value).collect();
        let good = parcels.iter().zip(&values).filter_map(|(parcel, value)| {
            let value = value.as_ref().ok()?;
            Some((parcel.envelope.key.clone(), value.clone()))
        });
        let written = self.0.write(good.collect()).await.map_err(failed);
        values.into_iter().map(|value| value.and_then(|_| written.clone()).map(|()| Receipt::default())).collect()
    }

    fn idempotency(&self) -> Idempotency {
        Idempotency::Idempotent
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }
}

/// `None`: the map does not know the key, or no longer.
fn value(parcel: &Parcel) -> Result<Option<Value>, DeliveryError> {
    if parcel.operation == Operation::Delete {
        return Ok(None);
    }
    let record: Value = serde_json::from_slice(&parcel.body)
        .map_err(|_| DeliveryError::new(Fault::Rejected, "the shaped record is not JSON"))?;
    match &record[VALUE] {
        Value::Null => Ok(None),
        Value::Array(_) | Value::Object(_) => {
            let message = "what stands at `value` is no text, number, true or false: a map holds nothing else";
            Err(DeliveryError::new(Fault::Rejected, message))
        }
        scalar => Ok(Some(scalar.clone())),
    }
}

/// Whose fault it is that the state store did not take what a route of our own brought.
pub(super) fn failed(error: StateError) -> DeliveryError {
    let fault = match error {
        StateError::Corrupt(_) => Fault::Misconfigured,
        _ => Fault::Unavailable,
    };
    DeliveryError::new(fault, error.to_string())
}
