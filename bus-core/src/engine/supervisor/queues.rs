//! The queues that exist at the broker: declared before they are used, again and again, looked at, and removed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::engine::metrics::Metrics;
use crate::ports::broker::{Broker, BrokerError, QueuePlan};
use crate::vocabulary::QueueName;

/// Between looks at the depth of the queues.
const DEPTH: Duration = Duration::from_secs(5);
/// Between declarations of the queues, so that one deleted by hand comes back.
const REDECLARE: Duration = Duration::from_secs(60);
/// Between tries while the broker does not take them.
const AGAIN: Duration = Duration::from_millis(500);

/// See the module's comment.
pub(super) struct Queues {
    /// Held across a declaration, so that a queue that is removed meanwhile does not come back.
    plan: Mutex<Vec<QueuePlan>>,
    broker: Arc<dyn Broker>,
    metrics: Metrics,
    declared: watch::Sender<bool>,
}

impl Queues {
    pub fn new(plan: Vec<QueuePlan>, broker: Arc<dyn Broker>, metrics: Metrics) -> (Arc<Self>, watch::Receiver<bool>) {
        let (declared, ready) = watch::channel(false);
        (Arc::new(Self { plan: Mutex::new(plan), broker, metrics, declared }), ready)
    }

    /// Until stopped.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let _: Option<()> = stop.run_until_cancelled(self.keep_on()).await;
    }

    async fn keep_on(&self) {
        let mut failures = 0u32;
        let mut next_declare = Instant::now();
        loop {
            if Instant::now() >= next_declare {
                let plan = self.plan.lock().await;
                let outcome = self.broker.declare(&plan).await;
                drop(plan);
                if let Err(error) = outcome {
                    failures += 1;
                    if failures.is_power_of_two() {
                        tracing::warn!("the queues could not be declared, trying again: {error}");
                    }
                    tokio::time::sleep(AGAIN).await;
                    continue;
                }
                failures = 0;
                next_declare = Instant::now() + REDECLARE;
                self.declared.send_replace(true);
            }
            self.look().await;
            tokio::time::sleep(DEPTH).await;
        }
    }

    async fn look(&self) {
        let plan = self.plan.lock().await.clone();
        for QueuePlan { queue, stream, keep } in &plan {
            let published = self.metrics.published.with_label_values(&[stream.as_str()]).get();
            if let Ok(depth) = self.broker.depth(queue).await {
                self.metrics.queue_depth.with_label_values(&[queue.as_str()]).set(depth.messages as i64);
                // A bound of its own: a subscriber's queue, which nobody here takes from.
                if keep.is_some() {
                    self.metrics.look(queue, published, depth.messages);
                }
            }
        }
    }

    /// Adds queues to those that are kept up, once the broker has them, within the bound.
    pub async fn declare(&self, more: Vec<QueuePlan>, bound: Duration) -> Result<(), BrokerError> {
        let silent = |_| BrokerError(format!("no answer within {} s", bound.as_secs()));
        let mut plan = timeout(bound, self.plan.lock()).await.map_err(silent)?;
        let mut wanted: Vec<QueuePlan> =
            plan.iter().filter(|known| more.iter().all(|new| new.queue != known.queue)).cloned().collect();
        wanted.extend(more);
        // All of them: a stream is published to exactly the queues of the last declaration that names it.
        let declared = timeout(bound, self.broker.declare(&wanted)).await.map_err(silent);
        if let Err(error) = declared.and_then(|declared| declared) {
            // Publishers go back to the plan that holds. If the broker is away now, the next regular turn does it.
            let _ = timeout(bound, self.broker.declare(&plan)).await;
            return Err(error);
        }
        *plan = wanted;
        Ok(())
    }

    pub async fn remove(&self, queue: &QueueName) -> Result<(), BrokerError> {
        let mut plan = self.plan.lock().await;
        // First: what cannot be removed now is not kept up, and tried again by whoever gave it up.
        plan.retain(|known| known.queue != *queue);
        self.broker.remove(queue).await?;
        // The label of a queue that is no more would stay at its last value.
        let _ = self.metrics.queue_depth.remove_label_values(&[queue.as_str()]);
        self.metrics.forget(queue);
        Ok(())
    }
}

#[cfg(test)]
#[path = "queues_tests.rs"]
mod tests;
