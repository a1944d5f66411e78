//! One attempt after the other, for targets that take one record at a time.

use bus_core::ports::target::Parcel;
use bus_core::vocabulary::{DeliveryError, Fault, Receipt};

/// A verdict for each parcel, in their order. Once the system as a whole takes nothing, the rest gets the same verdict
/// without being sent.
pub(crate) async fn in_turn<'a, Attempt>(
    parcels: &'a [Parcel],
    attempt: impl Fn(&'a Parcel) -> Attempt,
) -> Vec<Result<Receipt, DeliveryError>>
where
    Attempt: Future<Output = Result<Receipt, DeliveryError>>,
{
    let mut verdicts: Vec<Result<Receipt, DeliveryError>> = Vec::with_capacity(parcels.len());
    for parcel in parcels {
        let verdict = match verdicts.last() {
            Some(Err(error)) if concerns_all(error.fault) => {
                Err(DeliveryError::new(error.fault, format!("not sent, because an earlier one failed: {error}")))
            }
            _ => attempt(parcel).await,
        };
        verdicts.push(verdict);
    }
    verdicts
}

fn concerns_all(fault: Fault) -> bool {
    matches!(fault, Fault::Unavailable | Fault::Throttled { .. } | Fault::Misconfigured)
}
