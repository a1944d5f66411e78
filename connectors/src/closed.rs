//! No permit within the time that the gate waits, as a connector's error: the system as a whole takes nothing now.

use bus_core::ports::permits::Closed;
use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::{DeliveryError, Fault, Moment};

/// What was not read.
pub fn unread(closed: Closed) -> SourceError {
    SourceError::new(SourceFault::Unavailable, closed.to_string())
}

/// What was not sent.
pub fn unsent(closed: Closed) -> DeliveryError {
    let retry_after = closed.until.map(|until| Moment::now().until(until));
    DeliveryError::new(Fault::Throttled { retry_after }, closed.to_string())
}
