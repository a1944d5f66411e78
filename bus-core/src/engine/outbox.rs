//! The outbox of one HTTP subscriber: its queue is moved into the state store, where positions are stable and the
//! subscriber reads at its own frequency. Bounded by age and bytes.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::crash;
use super::incident::{Incidents, Kind};
use super::metrics::Metrics;
use crate::policy::Sign;
use crate::ports::broker::{Broker, Deliveries, Delivery, Incoming, Keep};
use crate::ports::shape::{Shape, Shaped, shaped};
use crate::ports::state::{StateError, StateStore};
use crate::vocabulary::{Envelope, Moment, Operation, QueueName, StreamName, SubscriptionName, UnreadableRecord};

/// Messages moved in one transaction.
const GROUP: usize = 256;
/// Between trims by age and bytes.
const TRIM: Duration = Duration::from_secs(10);

/// What the configuration says about an HTTP subscription.
#[derive(Debug, Clone)]
pub struct OutboxPlan {
    /// Its name.
    pub name: SubscriptionName,
    /// Its queue.
    pub queue: QueueName,
    /// What it takes.
    pub stream: StreamName,
    /// How much is kept for a subscriber that does not come.
    pub keep: Keep,
}

/// Moves one subscription's messages from its queue to the store.
pub struct Outbox {
    /// From the configuration.
    pub plan: OutboxPlan,
    /// Filter and transformation.
    pub shape: Arc<dyn Shape>,
    /// Where messages come from.
    pub broker: Arc<dyn Broker>,
    /// Where they are kept.
    pub store: Arc<dyn StateStore>,
    /// Where trouble is told.
    pub incidents: Incidents,
    /// Counters.
    pub metrics: Metrics,
}

impl Outbox {
    /// Runs until stopped. Dropping it at any await loses nothing: a message is acked after it is stored, and a
    /// stored one that comes again is recognised by its seq.
    pub async fn run(self, stop: CancellationToken) {
        let _ = stop.run_until_cancelled(self.move_forever()).await;
    }

    async fn move_forever(&self) {
        let mut next_trim = Instant::now();
        loop {
            match self.broker.consume(&self.plan.queue, GROUP as u16).await {
                Ok(mut deliveries) => self.move_from(&mut *deliveries, &mut next_trim).await,
                Err(error) => tracing::warn!(subscription = self.plan.name.as_str(), "not taking messages: {error}"),
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn move_from(&self, deliveries: &mut dyn Deliveries, next_trim: &mut Instant) {
        loop {
            if Instant::now() >= *next_trim {
                self.trim().await;
                *next_trim = Instant::now() + TRIM;
            }
            let first = match tokio::time::timeout_at(*next_trim, deliveries.next()).await {
                Err(_) => continue,
                Ok(Some(Ok(delivery))) => delivery,
                Ok(Some(Err(error))) => {
                    tracing::warn!(subscription = self.plan.name.as_str(), "lost the consumer: {error}");
                    return;
                }
                Ok(None) => return,
            };
            let mut group = vec![first];
            while group.len() < GROUP
                && let Some(Some(Ok(delivery))) = deliveries.next().now_or_never()
            {
                group.push(delivery);
            }
            if let Err(error) = self.store(group).await {
                let remedy = "nothing is lost: the subscription waits until the state store takes writes again";
                self.incidents.open(Kind::StoreFailing, self.plan.name.as_str(), &error.to_string(), remedy);
                return;
            }
            self.incidents.close(Kind::StoreFailing, self.plan.name.as_str());
        }
    }

    async fn store(&self, group: Vec<Delivery>) -> Result<(), StateError> {
        let (mut envelopes, mut unreadable) = (Vec::new(), Vec::new());
        for delivery in &group {
            match &delivery.message {
                Incoming::Sealed(envelope) => match self.shaped(envelope) {
                    Ok(Some(shaped)) => envelopes.push(shaped),
                    Ok(None) => {}
                    Err(reason) => unreadable.push(self.unreadable(envelope.body.clone(), reason)),
                },
                Incoming::Foreign { raw, reason } => unreadable.push(self.unreadable(raw.clone(), reason.clone())),
            }
        }
        if !unreadable.is_empty() {
            self.store.keep_unreadable(&unreadable).await?;
        }
        self.store.outbox_append(&self.plan.name, &envelopes).await?;
        crash::point("outbox.stored");
        for delivery in group {
            // A failed ack means a redelivery, whose seq is known.
            drop(delivery.ack().await);
        }
        self.metrics.stored.with_label_values(&[self.plan.name.as_str()]).inc_by(envelopes.len() as u64);
        Ok(())
    }

    fn shaped(&self, envelope: &Envelope) -> Result<Option<Envelope>, String> {
        if envelope.operation == Operation::Delete {
            return Ok(Some(envelope.clone()));
        }
        match shaped(&*self.shape, envelope) {
            Ok(Shaped::Send(body)) => Ok(Some(Envelope { body, ..envelope.clone() })),
            Ok(Shaped::Filtered) => Ok(None),
            // The configuration lets no subscription ask for this: an outbox has one order for all keys.
            Ok(Shaped::Hold(hold)) => Err(format!("{} has no answer, and a subscription does not wait", hold.subject)),
            Err(error) => Err(error.0),
        }
    }

    fn unreadable(&self, raw: bytes::Bytes, reason: String) -> UnreadableRecord {
        let reason = format!("subscription {}: {reason}", self.plan.name);
        UnreadableRecord { stream: self.plan.stream.clone(), raw, reason, key: None, label: None }
    }

    async fn trim(&self) {
        let name = self.plan.name.as_str();
        let oldest = Moment(Moment::now().0.saturating_sub(self.plan.keep.age.as_millis() as i64));
        match self.store.outbox_trim(&self.plan.name, oldest, self.plan.keep.bytes).await {
            Ok(dropped) => self.metrics.dropped.with_label_values(&[name]).inc_by(dropped),
            Err(error) => tracing::warn!(subscription = name, "not trimmed: {error}"),
        }
        if let Ok(backlog) = self.store.outbox_backlog(&self.plan.name).await {
            let age = backlog.oldest.map_or(0, |oldest| oldest.until(Moment::now()).as_secs());
            self.metrics.queue_depth.with_label_values(&[name]).set(backlog.messages as i64);
            self.metrics.oldest_age.with_label_values(&[name]).set(age as i64);
            self.incidents.judge(Kind::SubscriberBehind, name, behind(backlog.missed), BEHIND);
        }
    }
}

/// What its people can do.
const BEHIND: &str = "look whether the subscriber still asks, and acknowledges what it gets; raise `keep` if it comes seldom; \
                      what it missed does not come again, and its next answer says how much that was (`missed`)";

/// Over when the subscriber has gone on behind what it missed: its answer has told it.
fn behind(missed: u64) -> Sign {
    match missed {
        0 => Sign::Good,
        _ => Sign::Bad(format!("{missed} messages were dropped before the subscriber came, as `keep` says")),
    }
}
