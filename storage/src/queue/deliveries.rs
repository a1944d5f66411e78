//! The consuming end of one queue, and the settling of what it handed out.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bus_core::ports::broker::{BrokerError, Deliveries, Delivery, Incoming, Settle};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::Envelope;
use bytes::Bytes;
use tokio::sync::{Notify, oneshot};

use super::ledger::{Ledger, Stream};
use super::log;
use crate::database::Database;

type Rows = Result<Vec<(u64, Bytes)>, StateError>;

/// The one consumer of a queue.
pub(crate) struct Consumer {
    database: Database,
    ledger: Arc<Ledger>,
    stream: Arc<Stream>,
    queue: usize,
    generation: u64,
    prefetch: u64,
    wake: Arc<Notify>,
    /// Read ahead from the disk, in order.
    buffer: VecDeque<(u64, Bytes)>,
    /// A read under way. Kept here, so that a cancelled `next` does not throw it away and start it for ever.
    reading: Option<oneshot::Receiver<Rows>>,
    /// First position of that read.
    reading_from: u64,
    failed: bool,
}

/// What `next` found.
enum Step {
    Deliver(Delivery),
    Read { from: u64, to: u64 },
    Wait,
}

impl Consumer {
    /// Becomes the consumer of the queue, unless it has one.
    pub fn start(
        database: Database,
        ledger: Arc<Ledger>,
        stream: Arc<Stream>,
        queue: usize,
        prefetch: u16,
    ) -> Result<Self, BrokerError> {
        let mut state = stream.lock();
        let own = &mut state.queues[queue];
        if own.taken {
            return Err(BrokerError(format!("queue {} already has a consumer", own.name)));
        }
        own.taken = true;
        own.generation += 1;
        let (generation, wake, prefetch) = (own.generation, own.wake.clone(), u64::from(prefetch.max(1)));
        drop(state);
        let (buffer, reading) = (VecDeque::new(), None);
        Ok(Self {
            database,
            ledger,
            stream,
            queue,
            generation,
            prefetch,
            wake,
            buffer,
            reading,
            reading_from: 0,
            failed: false,
        })
    }

    fn step(&mut self) -> Step {
        let mut state = self.stream.lock();
        let end = state.end;
        let line = &state.queues[self.queue].line;
        if line.unsettled() >= self.prefetch {
            return Step::Wait;
        }
        let Some(position) = line.upcoming(end) else { return Step::Wait };
        while self.buffer.front().is_some_and(|(buffered, _)| *buffered < position) {
            self.buffer.pop_front();
        }
        let message = match (state.tail.get(position), self.buffer.front()) {
            (Some(envelope), _) => Incoming::Sealed(envelope.clone()),
            (None, Some((buffered, _))) if *buffered == position => {
                let frame = self.buffer.pop_front().map(|(_, frame)| frame).unwrap_or_default();
                decode(frame)
            }
            _ => return Step::Read { from: position, to: end },
        };
        let redelivered = state.queues[self.queue].line.hand_out(position);
        let there = state.queues.iter().filter(|queue| !queue.removed);
        if let Some(lowest) = there.map(|queue| queue.line.upcoming(end).unwrap_or(end + 1)).min() {
            state.tail.forget_below(lowest);
        }
        let settle = Open {
            ledger: Arc::downgrade(&self.ledger),
            stream: Arc::downgrade(&self.stream),
            queue: self.queue,
            generation: self.generation,
            position,
        };
        Step::Deliver(Delivery::new(message, redelivered, Box::new(settle)))
    }

    /// Fills the buffer. Cancel-safe: the read goes on and is found by the next call.
    async fn read(&mut self, from: u64, to: u64) -> Result<(), StateError> {
        if self.reading.is_none() {
            let stream = self.stream.id;
            let reading = self.database.start_read(move |connection| log::read(connection, stream, from, to)).await?;
            (self.reading, self.reading_from) = (Some(reading), from);
        }
        let Some(reading) = self.reading.as_mut() else { return Ok(()) };
        let rows = reading.await.unwrap_or_else(|_| Err(crate::work::stopped()));
        self.reading = None;
        let rows = rows?;
        // A bound may have dropped rows meanwhile. Otherwise a missing row means a damaged file: say so, rather than
        // going on and losing what was confirmed.
        let floor = self.stream.lock().queues[self.queue].line.floor();
        let first = rows.first().map(|(position, _)| *position);
        if self.reading_from > floor && first != Some(self.reading_from) {
            return Err(StateError::Corrupt(format!("message {} of the log is missing", self.reading_from)));
        }
        self.buffer = rows.into();
        Ok(())
    }
}

/// What is no envelope any more (a damaged page that SQLite did not notice) becomes a dead letter, and stops nothing.
fn decode(frame: Bytes) -> Incoming {
    Envelope::from_frame(frame.clone())
        .map_or_else(|error| Incoming::Foreign { raw: frame, reason: error.to_string() }, Incoming::Sealed)
}

#[async_trait]
impl Deliveries for Consumer {
    async fn next(&mut self) -> Option<Result<Delivery, BrokerError>> {
        while !self.failed {
            match self.step() {
                Step::Deliver(delivery) => return Some(Ok(delivery)),
                // A wake-up between the step and this line is kept by `Notify`.
                Step::Wait => self.wake.notified().await,
                Step::Read { from, to } => {
                    if let Err(error) = self.read(from, to).await {
                        self.failed = true;
                        self.end();
                        return Some(Err(BrokerError(error.to_string())));
                    }
                }
            }
        }
        None
    }
}

impl Consumer {
    /// Gives everything unsettled back and frees the place.
    fn end(&mut self) {
        let mut state = self.stream.lock();
        let queue = &mut state.queues[self.queue];
        if queue.taken && queue.generation == self.generation {
            queue.taken = false;
            // From now on, acks of what this consumer handed out are refused.
            queue.generation += 1;
            queue.line.give_back();
        }
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.end();
    }
}

/// A message that was handed out. Weak, so that a forgotten delivery does not keep a closed database open.
struct Open {
    ledger: Weak<Ledger>,
    stream: Weak<Stream>,
    queue: usize,
    generation: u64,
    position: u64,
}

#[async_trait]
impl Settle for Open {
    /// In memory at once, on disk with the writer's next transaction: until then a crash brings the message again.
    async fn ack(self: Box<Self>) -> Result<(), BrokerError> {
        let (Some(ledger), Some(stream)) = (self.ledger.upgrade(), self.stream.upgrade()) else {
            return Err(BrokerError("the broker has been closed, the message comes again".into()));
        };
        let mut state = stream.lock();
        let queue = &mut state.queues[self.queue];
        if queue.generation != self.generation {
            return Err(BrokerError("the consumer has ended, the message comes again".into()));
        }
        let before = queue.line.floor();
        queue.line.ack(self.position);
        queue.wake.notify_one();
        if queue.line.floor() > before {
            ledger.moved.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
