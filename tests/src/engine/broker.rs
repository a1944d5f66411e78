//! The real embedded broker with cuts around publishing, consuming and acks, and a link that a test can break.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bus_core::ports::broker::{
    Broker, BrokerError, BrokerHealth, Deliveries, Delivery, Depth, Incoming, NoDepth, PublishError, QueuePlan, Settle,
};
use bus_core::ports::one_step::OneStep;
use bus_core::ports::state::{SealedBatch, StateError};
use bus_core::vocabulary::{Envelope, FeedName, QueueName, StreamName};
use tokio::sync::{Notify, watch};

use super::cuts::Cuts;
use super::store::Sabotage;

/// A message of this key comes out of the queue as something that somebody else put there.
pub const FOREIGN: &str = "чужое";

/// Passes every call on, unless a cut is planned for it, and writes down what was published.
pub struct CutBroker {
    /// The real one.
    pub inner: Arc<dyn Broker>,
    /// This life's cuts.
    pub cuts: Cuts,
    /// Everything that reached the queues, of all lives, repeats included.
    pub published: Arc<Mutex<Vec<Envelope>>>,
    /// Notified, the open consumer loses its connection.
    pub breaks: Arc<Notify>,
    /// What is broken.
    pub sabotage: Option<Sabotage>,
}

#[async_trait]
impl Broker for CutBroker {
    async fn declare(&self, plan: &[QueuePlan]) -> Result<(), BrokerError> {
        self.inner.declare(plan).await
    }

    async fn remove(&self, queue: &QueueName) -> Result<(), BrokerError> {
        self.inner.remove(queue).await
    }

    async fn publish(&self, stream: &StreamName, messages: &[Envelope]) -> Vec<Result<(), PublishError>> {
        let refused = || vec![Err(PublishError("a planned failure".into())); messages.len()];
        // R8: with two versions of a key in one window, a cut could leave the newer one alone in a queue.
        let keys: HashSet<_> = messages.iter().map(|message| &message.key).collect();
        assert_eq!(keys.len(), messages.len(), "two versions of a key in one publish window");
        let passage = self.cuts.enter("broker.publish").await;
        if passage.fails() {
            return refused();
        }
        let taken = if passage.is_halved() { &messages[..messages.len() / 2] } else { messages };
        let sent = if self.sabotage == Some(Sabotage::ConfirmTooMuch) { &taken[..taken.len() / 2] } else { taken };
        self.inner.publish(stream, sent).await;
        let outcome = vec![Ok(()); taken.len()];
        self.published.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(taken);
        if passage.leave().await { refused() } else { outcome }
    }

    async fn consume(&self, queue: &QueueName, prefetch: u16) -> Result<Box<dyn Deliveries>, BrokerError> {
        let passage = self.cuts.enter("broker.consume").await;
        if passage.fails() {
            return Err(BrokerError("a planned failure".into()));
        }
        let inner = self.inner.consume(queue, prefetch).await?;
        if passage.leave().await {
            return Err(BrokerError("a planned failure".into()));
        }
        Ok(Box::new(Link { inner, cuts: self.cuts.clone(), breaks: Arc::clone(&self.breaks), sabotage: self.sabotage }))
    }

    async fn depth(&self, queue: &QueueName) -> Result<Depth, NoDepth> {
        let passage = self.cuts.enter("broker.depth").await;
        let depth = self.inner.depth(queue).await;
        let failed = passage.fails() || passage.leave().await;
        if failed { Err(BrokerError("a planned failure".into()).into()) } else { depth }
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.inner.health()
    }
}

/// A round in one transaction of the embedded broker, with cuts before and after it.
pub struct CutStep {
    /// The real one.
    pub inner: Arc<dyn OneStep>,
    /// This life's cuts.
    pub cuts: Cuts,
    /// As [`CutBroker`]'s.
    pub published: Arc<Mutex<Vec<Envelope>>>,
    /// The batches of calls that never ended: only the file that is left knows what became of them.
    pub unknown: Arc<Mutex<Vec<Vec<Envelope>>>>,
}

#[async_trait]
impl OneStep for CutStep {
    async fn publish_and_advance(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError> {
        let planned = || StateError::Failed("a planned failure".into());
        let passage = self.cuts.enter("broker.one_step").await;
        if passage.fails() {
            return Err(planned());
        }
        let unknown = || self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        unknown().push(batch.envelopes.clone());
        let outcome = self.inner.publish_and_advance(feed, epoch, batch).await;
        unknown().retain(|envelopes| *envelopes != batch.envelopes);
        if outcome.is_ok() {
            self.published.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&batch.envelopes);
        }
        if passage.leave().await { Err(planned()) } else { outcome }
    }
}

struct Link {
    inner: Box<dyn Deliveries>,
    cuts: Cuts,
    breaks: Arc<Notify>,
    sabotage: Option<Sabotage>,
}

#[async_trait]
impl Deliveries for Link {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        let taken = tokio::select! {
            biased;
            () = self.breaks.notified() => return Some(Err(BrokerError("the connection was cut, as planned".into()))),
            taken = self.inner.next() => taken?,
        };
        let delivery = match taken {
            Ok(delivery) => delivery,
            Err(error) => return Some(Err(error)),
        };
        let (mut message, redelivered) = (delivery.message.clone(), delivery.redelivered);
        if let Incoming::Sealed(envelope) = &message
            && envelope.key.as_str() == FOREIGN
        {
            message = Incoming::Foreign { raw: envelope.body.clone(), reason: "it is nobody's".into() };
        }
        if self.sabotage == Some(Sabotage::AckFirst) {
            return Some(delivery.ack().await.map(|()| Delivery::new(message, redelivered, Box::new(Acked))));
        }
        Some(Ok(Delivery::new(message, redelivered, Box::new(self.ack(delivery)))))
    }
}

impl Link {
    fn ack(&self, delivery: Delivery) -> CutAck {
        CutAck { delivery, cuts: self.cuts.clone(), breaks: Arc::clone(&self.breaks) }
    }
}

struct Acked;

#[async_trait]
impl Settle for Acked {
    async fn ack(self: Box<Self>) -> Result<(), BrokerError> {
        Ok(())
    }
}

/// An ack fails only because its connection is gone, so the consumer ends with it.
struct CutAck {
    delivery: Delivery,
    cuts: Cuts,
    breaks: Arc<Notify>,
}

#[async_trait]
impl Settle for CutAck {
    async fn ack(self: Box<Self>) -> Result<(), BrokerError> {
        let passage = self.cuts.enter("broker.ack").await;
        let breaks = Arc::clone(&self.breaks);
        let broken = || {
            breaks.notify_one();
            Err(BrokerError("a planned failure".into()))
        };
        if passage.fails() {
            return broken();
        }
        let outcome = self.delivery.ack().await;
        if passage.leave().await { broken() } else { outcome }
    }
}
