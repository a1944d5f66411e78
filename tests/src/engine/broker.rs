//! The real embedded broker with cuts around publishing, consuming and acks, and a link that a test can break.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bus_core::ports::broker::{
    Broker, BrokerError, BrokerHealth, Deliveries, Delivery, Depth, PublishError, QueuePlan, Settle,
};
use bus_core::vocabulary::{Envelope, QueueName, StreamName};
use tokio::sync::{Notify, watch};

use super::cuts::Cuts;
use super::store::Sabotage;

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

    async fn depth(&self, queue: &QueueName) -> Result<Depth, BrokerError> {
        self.inner.depth(queue).await
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.inner.health()
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
        let (message, redelivered) = (delivery.message.clone(), delivery.redelivered);
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
