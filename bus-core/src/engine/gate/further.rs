//! Permits that connectors ask for by themselves: those of reads, and of further requests of one attempt.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::Gate;
use super::enter::Granted;
use crate::ports::permits::{Closed, Permit, PermitSource};

/// A further request of one attempt (find, then write) waits this long for its permit before the attempt gives up.
pub const FURTHER_PATIENCE: Duration = Duration::from_secs(60);

/// A read waits this long: a page that gives up may cost a whole scan, and a round can be cancelled at any await.
const READ_PATIENCE: Duration = Duration::from_secs(3600);

/// Reads: each request takes a place and a permit.
#[async_trait]
impl PermitSource for Gate {
    async fn take(&self) -> Result<Permit, Closed> {
        if let Some((pauses, _)) = self.pauses.get() {
            pauses.until_none(|| self.pause()).await;
        }
        let give_up = Instant::now() + READ_PATIENCE;
        let place = self.place(give_up).await?;
        self.permit(None, give_up, false).await?;
        Ok(Permit::holding(place))
    }
}

/// Further requests of an attempt that holds its place and has passed the breaker: pace only.
pub struct Further {
    /// The gate of the attempt's system.
    pub gate: Arc<Gate>,
    /// What the attempt is, where that has a pace of its own.
    pub operation: Option<String>,
}

#[async_trait]
impl PermitSource for Further {
    async fn take(&self) -> Result<Permit, Closed> {
        let (give_up, operation) = (Instant::now() + FURTHER_PATIENCE, self.operation.as_deref());
        loop {
            self.gate.wait_for_operation(operation, give_up).await?;
            if let Granted::Pass(_) = self.gate.permit(operation, give_up, false).await? {
                return Ok(Permit::unbounded());
            }
        }
    }
}
