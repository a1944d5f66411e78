//! Taking messages from a queue: one channel per consumer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use async_trait::async_trait;
use bus_core::ports::broker::{BrokerError, Deliveries, Delivery, Settle};
use bus_core::vocabulary::QueueName;
use futures::{FutureExt, StreamExt};
use lapin::message::Delivery as Arrival;
use lapin::options::{BasicConsumeOptions, BasicQosOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Consumer};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::acks::Acks;
use crate::explain::Failure;
use crate::message;
use crate::session::Session;

/// Counts what this bus has taken and not settled, for a queue's depth: the broker's own answer leaves it out.
#[derive(Default)]
pub(crate) struct Tally {
    consumers: Mutex<HashMap<QueueName, Vec<Weak<Taken>>>>,
}

impl Tally {
    /// Unsettled messages of the queue in this process.
    pub(crate) fn unsettled(&self, queue: &QueueName) -> u64 {
        let consumers = self.lock();
        let taken = consumers.get(queue).into_iter().flatten().filter_map(Weak::upgrade);
        taken.filter(|taken| !taken.ended()).map(|taken| taken.unsettled.load(Ordering::Relaxed)).sum()
    }

    fn enter(&self, queue: &QueueName) -> Arc<Taken> {
        let taken = Arc::new(Taken::default());
        let mut consumers = self.lock();
        let of_queue = consumers.entry(queue.clone()).or_default();
        of_queue.retain(|taken| taken.strong_count() > 0);
        of_queue.push(Arc::downgrade(&taken));
        taken
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<QueueName, Vec<Weak<Taken>>>> {
        self.consumers.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// One consumer's share of the tally, also known to its deliveries.
#[derive(Default)]
struct Taken {
    unsettled: AtomicU64,
    ended: AtomicBool,
}

impl Taken {
    fn ended(&self) -> bool {
        self.ended.load(Ordering::Acquire)
    }

    fn end(&self) {
        self.ended.store(true, Ordering::Release);
    }
}

/// Starts consuming. The prefetch is set before: a live consumer ignores a change.
pub(crate) async fn start(
    session: Arc<Session>,
    queue: &QueueName,
    prefetch: u16,
    bus: &str,
    tally: &Tally,
) -> Result<Box<dyn Deliveries>, BrokerError> {
    let refused = |failure: Failure| BrokerError(format!("queue {queue} cannot be consumed: {failure}"));
    let channel = session.open().await.map_err(refused)?;
    // 0 would mean without bound.
    let qos = channel.basic_qos(prefetch.max(1), BasicQosOptions::default());
    session.bounded("setting the prefetch", qos).await.map_err(refused)?;
    let tag = format!("{bus} {:08x}", fastrand::u32(..));
    let consume = channel.basic_consume(
        queue.as_str().into(),
        tag.as_str().into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let consumer = session.bounded("starting a consumer", consume).await.map_err(refused)?;
    let taken = tally.enter(queue);
    let (sender, inbox) = mpsc::unbounded_channel();
    let counting = tokio::spawn(count(consumer.clone(), taken.clone(), sender));
    let acks = Arc::new(Acks::new(channel.clone()));
    let telling = tokio::spawn({
        let acks = acks.clone();
        async move { acks.tell(&session).await }
    });
    Ok(Box::new(Taking { queue: queue.clone(), channel, _consumer: consumer, inbox, taken, acks, telling, counting }))
}

/// Counts each message when it arrives, so that what waits here unread is counted too. The inbox is bounded by the
/// prefetch. A task that is woken once for a group of messages: lapin's delegate would be a task for each of them.
async fn count(mut consumer: Consumer, taken: Arc<Taken>, sender: mpsc::UnboundedSender<lapin::Result<Arrival>>) {
    while let Some(arrival) = consumer.next().await {
        if arrival.is_ok() {
            taken.unsettled.fetch_add(1, Ordering::Relaxed);
        }
        // Nobody listens after the consumer was dropped; the message goes back with its channel.
        if sender.send(arrival).is_err() {
            return;
        }
    }
}

/// A running consumer.
struct Taking {
    queue: QueueName,
    channel: Channel,
    /// Dropped after the channel has begun to close, see `drop`.
    _consumer: Consumer,
    inbox: mpsc::UnboundedReceiver<lapin::Result<Arrival>>,
    taken: Arc<Taken>,
    acks: Arc<Acks>,
    /// Tells the broker what is acknowledged; holds the session, and ends with this consumer.
    telling: JoinHandle<()>,
    /// Brings messages into the inbox.
    counting: JoinHandle<()>,
}

#[async_trait]
impl Deliveries for Taking {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        if self.taken.ended() {
            return None;
        }
        match self.inbox.recv().await {
            Some(Ok(delivery)) => {
                let settle =
                    Unsettled { acks: self.acks.clone(), tag: delivery.delivery_tag, taken: self.taken.clone() };
                let message = message::read(&delivery.properties, delivery.data);
                Some(Ok(Delivery::new(message, delivery.redelivered, Box::new(settle))))
            }
            Some(Err(error)) => {
                self.taken.end();
                let failure = Failure::from(error);
                Some(Err(BrokerError(format!("consuming queue {} ended: {failure}", self.queue))))
            }
            None => {
                self.taken.end();
                let reason = "the queue was deleted, or its node or the connection went away";
                Some(Err(BrokerError(format!("consuming queue {} ended: {reason}", self.queue))))
            }
        }
    }
}

impl Drop for Taking {
    /// Closes the channel, which gives everything unsettled back in order. Never by cancelling the consumer first, as
    /// lapin would: the broker then activates the next consumer while our messages are still out, and hands it later
    /// ones before they return.
    fn drop(&mut self) {
        self.taken.end();
        self.telling.abort();
        self.acks.tell_rest();
        // The first poll queues the closing frame; nobody needs its answer.
        let _ = self.channel.close(200, "given back".into()).now_or_never();
        self.counting.abort();
    }
}

/// One delivery that waits for its ack.
struct Unsettled {
    acks: Arc<Acks>,
    tag: u64,
    taken: Arc<Taken>,
}

#[async_trait]
impl Settle for Unsettled {
    /// Does not wait: see [`Acks`].
    async fn ack(self: Box<Self>) -> Result<(), BrokerError> {
        let ended = || BrokerError("its consumer has ended, so the message comes again".to_owned());
        if self.taken.ended() {
            return Err(ended());
        }
        self.acks.note(self.tag);
        // Dropped meanwhile: it may have been noted behind the end of its channel, where it counts for nothing.
        if self.taken.ended() {
            return Err(ended());
        }
        self.taken.unsettled.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    #[cfg(feature = "failpoints")]
    fn nack(self: Box<Self>) {
        self.taken.unsettled.fetch_sub(1, Ordering::Relaxed);
        self.acks.give_back(self.tag);
    }
}
