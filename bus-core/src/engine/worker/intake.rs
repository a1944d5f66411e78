//! The consuming end: opening and closing the consumer, the gap check, and where a taken message goes first.

use std::collections::VecDeque;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::gaps::Gaps;
use super::item::{Item, Origin, Prepared};
use super::passed::Passed;
use super::pending::{After, Effect};
use super::{Delivered, Worker};
use crate::engine::crash::{self, Plant};
use crate::engine::incident::Kind;
use crate::policy::{Jitter, RetryPolicy};
use crate::ports::broker::{BrokerError, Deliveries, Delivery, Incoming};
use crate::ports::state::{Change, HoldReason, Replayed};
use crate::vocabulary::{Envelope, Moment, UnreadableRecord};

/// Messages accepted in one turn of the worker, so that fences are looked up in groups.
const GREED: usize = 128;
/// With so many rows in `waiting` nothing more is taken.
const WAITING_LIMIT: usize = 10_000;

const BACKOFF: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    first: Duration::from_millis(100),
    max: Duration::from_secs(5),
    jitter: Jitter::Equal,
};

/// State of the consumer.
#[derive(Default)]
pub(super) struct Intake {
    link: Link,
    pub(super) gaps: Gaps,
    pub(super) passed: Passed,
    failures: u32,
    again: Option<Instant>,
}

#[derive(Default)]
enum Link {
    #[default]
    Closed,
    Opening(BoxFuture<'static, Result<Box<dyn Deliveries>, BrokerError>>),
    Open(Box<dyn Deliveries>),
}

/// What the link brought.
pub(super) enum Taken {
    Opened,
    Message(Delivery),
    /// The consumer ended: everything unsettled went back.
    Ended(Option<BrokerError>),
}

impl Intake {
    /// Whether [`Intake::next`] may bring something that is wanted.
    pub fn is_open(&self) -> bool {
        !matches!(self.link, Link::Closed)
    }

    /// A consumer is there.
    pub fn is_consuming(&self) -> bool {
        matches!(self.link, Link::Open(_))
    }

    /// Cancel-safe: an unfinished opening is kept, and `Deliveries::next` is cancel-safe.
    pub async fn next(&mut self) -> Taken {
        match &mut self.link {
            Link::Closed => std::future::pending().await,
            Link::Opening(opening) => match opening.await {
                Ok(deliveries) => {
                    self.link = Link::Open(deliveries);
                    Taken::Opened
                }
                Err(error) => Taken::Ended(Some(error)),
            },
            Link::Open(deliveries) => match deliveries.next().await {
                Some(Ok(delivery)) => Taken::Message(delivery),
                Some(Err(error)) => Taken::Ended(Some(error)),
                None => Taken::Ended(None),
            },
        }
    }
}

impl Worker {
    pub(super) async fn took(&mut self, first: Taken) {
        let mut taken = first;
        for left in (0..GREED).rev() {
            match taken {
                Taken::Opened => return,
                Taken::Message(delivery) => self.accept(delivery).await,
                Taken::Ended(error) => {
                    self.lost_consumer(error);
                    return;
                }
            }
            // Nothing is taken that this loop does not handle: a message dropped here would be overtaken by its key's
            // next one, and the fence would then drop it for good.
            if left == 0 || !self.takes() {
                return;
            }
            let Some(next) = self.intake.next().now_or_never() else { return };
            taken = next;
        }
    }

    async fn accept(&mut self, delivery: Delivery) {
        match &delivery.message {
            Incoming::Foreign { raw, reason } => {
                let row = UnreadableRecord {
                    stream: self.plan.stream.clone(),
                    raw: raw.clone(),
                    reason: format!("a foreign message in queue {}: {reason}", self.plan.queue),
                    key: None,
                    label: None,
                };
                match self.ports.store.keep_unreadable(&[row]).await {
                    Ok(()) => {
                        self.intake.failures = 0;
                        drop(delivery.ack().await);
                    }
                    Err(error) => {
                        // Not acked unless it is kept: it comes again with the next consumer.
                        self.store_failed(&error);
                        self.lost_consumer(Some(BrokerError(error.to_string())));
                    }
                }
            }
            Incoming::Sealed(envelope) => {
                let envelope = envelope.clone();
                self.intake.failures = 0;
                self.intake.passed.came(envelope.seq);
                if self.is_for_the_next_run(&envelope) {
                    if crash::planted(Plant::AckOfTheNextRun) {
                        drop(delivery.ack().await);
                    }
                    return; // unsettled, so it comes again with the next consumer
                }
                self.intake.gaps.came(envelope.seq);
                self.line_up(envelope, delivery).await;
            }
        }
    }

    async fn line_up(&mut self, envelope: Envelope, delivery: Delivery) {
        let key = envelope.key.clone();
        let origin = if crash::planted(Plant::AckBeforeSend) {
            drop(delivery.ack().await);
            Origin::Waiting { replayed: Replayed::Never }
        } else {
            Origin::Queue { delivery, taken: Instant::now() }
        };
        let item = Item { envelope, origin, attempts: 0, doubt: false };
        if self.index.diverts(&key) || self.waits_for_its_row(&key, item.seq()) {
            self.hold(item, HoldReason::Behind, Moment::now(), false, false);
        } else {
            self.line_up_item(item);
        }
    }

    /// Into `waiting`. `unlock`: the item had been taken out of its lane.
    pub(super) fn hold(&mut self, item: Item, reason: HoldReason, not_before: Moment, clear_mark: bool, unlock: bool) {
        self.note_held(&item, reason, not_before);
        let latest = self.plan.delivery == Delivered::Latest;
        let (envelope, attempts) = (item.envelope.clone(), item.attempts);
        // Taken out or never in hand: what is in hand of its key is older.
        let doubt = latest && !unlock && self.lanes.has(&item.envelope.key);
        let change = Change::Hold { envelope, not_before, attempts, reason, clear_mark, latest, doubt };
        self.index.held(&item.envelope.key);
        // `latest` goes on taking, to find newer versions of what waits.
        if !latest && matches!(reason, HoldReason::Closed | HoldReason::Paused) {
            self.line.spill(&item.envelope.key, item.seq());
        }
        self.pending.push(change, After::of(item, unlock, None, Effect::Held));
    }

    /// Holes that nothing has filled in time.
    pub(super) fn report_gaps(&mut self) {
        let Some((count, first, last)) = self.intake.gaps.take_late() else { return };
        let (queue, stream) = (&self.plan.queue, &self.plan.stream);
        let message = format!("queue {queue} skipped {count} messages of stream {stream}: from {first} to {last}");
        let remedy = "the queue was deleted or purged: load the stream again for this receiver";
        self.ports.incidents.open(Kind::Gap, self.plan.name.as_str(), &message, remedy);
    }

    /// What has not started yet comes again with the next consumer; what has started is finished, and its ack, which
    /// can no longer succeed, is absorbed by the fence.
    fn lost_consumer(&mut self, error: Option<BrokerError>) {
        let reason = error.map_or_else(|| "the consumer was cancelled".to_owned(), |error| error.0);
        tracing::warn!(route = self.plan.name.as_str(), "not taking messages, trying again: {reason}");
        self.intake.failures += 1;
        self.intake.again = Some(Instant::now() + BACKOFF.backoff(self.intake.failures, fastrand::f64()));
        self.intake.passed.gave_back();
        self.collecting.given_back();
        self.close_consumer();
    }

    fn close_consumer(&mut self) {
        self.intake.link = Link::Closed;
        for item in self.lanes.drain_queue(false) {
            self.intake.gaps.gave_back(item.seq());
        }
        for prepared in self.take_unsent() {
            self.intake.gaps.gave_back(prepared.item.seq());
            self.lanes.release(&prepared.item.envelope.key);
        }
    }

    /// Opens the consumer when messages can be delivered soon, closes it when they were moved to `waiting`.
    pub(super) async fn tend_consumer(&mut self) {
        match self.intake.link {
            Link::Closed if self.wants_messages() => {
                let (broker, queue) = (std::sync::Arc::clone(&self.ports.broker), self.plan.queue.clone());
                let prefetch = self.plan.prefetch;
                let opening = async move { broker.consume(&queue, prefetch).await };
                self.intake.link = Link::Opening(opening.boxed());
            }
            // Acks need the channel: it is closed only when nothing taken from it is left in hand.
            Link::Open(_) if self.takes_nothing() && self.pending.is_empty() && self.flushing.is_empty() => {
                let left = self.lanes.iter().any(|item| !item.is_waiting())
                    || self.sendable.iter().any(|prepared| !prepared.item.is_waiting())
                    || self.attempts.any_from_queue();
                if !left {
                    self.intake.link = Link::Closed;
                }
            }
            _ => {}
        }
    }

    /// Nothing more is taken while what grew old in memory is still there, or `waiting` is long: the rest stays in the
    /// queue, which is made for it.
    pub(super) fn is_stemmed(&self) -> bool {
        self.line.is_spilled() || self.index.rows() >= WAITING_LIMIT
    }

    pub(super) fn takes_nothing(&self) -> bool {
        self.is_stemmed() || self.only_collects()
    }

    fn wants_messages(&self) -> bool {
        let now = Instant::now();
        let soon = self.ports.gate.wait(self.plan.operation.as_deref()).is_some_and(|wait| wait < self.plan.hold);
        soon && !self.is_paused() && !self.takes_nothing() && self.intake.again.is_none_or(|at| at <= now)
    }

    /// Messages that no permit came for in time must not stay unsettled: the broker would close the channel.
    pub(super) fn spill_what_is_old(&mut self) {
        let now = Instant::now();
        let hold = self.patience();
        let old = |item: &Item| item.taken().is_some_and(|taken| now - taken > hold);
        // What stands behind an attempt under way is left: it would enter `waiting` before it (R12).
        if !self.lanes.unlocked().any(old) && !self.sendable.iter().any(|prepared| old(&prepared.item)) {
            return;
        }
        let reason = if self.is_paused() { HoldReason::Paused } else { HoldReason::Closed };
        let at = Moment::now();
        for prepared in self.take_unsent() {
            let key = prepared.item.envelope.key.clone();
            self.hold(prepared.item, reason, at, false, true);
            let behind = self.lanes.drain_key(&key);
            self.put_behind(behind, at);
        }
        for item in self.lanes.drain_queue(true) {
            self.hold(item, reason, at, false, false);
        }
    }

    /// What came from the queue and waits for its permit; the keys stay locked.
    fn take_unsent(&mut self) -> VecDeque<Prepared> {
        let sendable = std::mem::take(&mut self.sendable);
        let (waiting, from_queue) = sendable.into_iter().partition(|prepared| prepared.item.is_waiting());
        self.sendable = waiting;
        from_queue
    }
}
