//! The contract of [`Broker`]: what capture and workers rely on, whichever broker carries the messages.

mod bounds;
mod consuming;
mod durability;

use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::broker::{Broker, Deliveries, Delivery, Incoming, Keep, QueuePlan};
use bus_core::vocabulary::{Envelope, QueueName, StreamName};

pub use bounds::*;
pub use consuming::*;
pub use durability::*;

use crate::sample;

/// Within this time whatever must happen has happened, on a slow machine too.
pub const SOON: Duration = Duration::from_secs(30);

/// For so long nothing must happen. A broken broker shows itself on a fast machine, a correct one passes on any.
pub const QUIET: Duration = Duration::from_millis(200);

/// One broker under test.
#[async_trait]
pub trait BrokerFixture: Send + Sync {
    /// The broker.
    fn broker(&self) -> &dyn Broker;

    /// Ends the broker (or its connections) and opens it again on the same data, without a plan declared.
    async fn reopen(&mut self);

    /// Puts bytes that are no message of the bus into the queue; `false` where nobody else can reach the queues.
    async fn put_foreign(&self, _queue: &QueueName, _raw: &[u8]) -> bool {
        false
    }
}

/// Runs every property, each on a fixture of its own. The name of the running property is printed, so that a panic
/// is easily placed.
pub async fn broker_suite<F, Fut, B>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: BrokerFixture,
{
    macro_rules! properties {
        ($($property:ident),* $(,)?) => {$(
            println!("broker contract: {}", stringify!($property));
            $property(&mut make().await).await;
        )*};
    }
    properties![
        messages_come_in_the_order_of_publishing,
        an_envelope_comes_back_as_it_was,
        confirmed_messages_survive_a_reopen,
        what_was_acked_in_order_is_gone_after_a_clean_reopen_or_comes_first,
        declaring_again_keeps_messages,
        a_stream_without_queues_confirms_and_forgets,
        publishing_nothing_is_nothing,
        bodies_of_one_mebibyte_pass,
        concurrent_publishers_keep_their_own_order,
        two_queues_of_one_stream_are_independent,
        streams_do_not_mix,
        a_queue_declared_later_starts_at_the_end,
        a_removed_queue_is_gone_and_the_others_stay,
        a_queue_declared_after_its_removal_is_empty,
        prefetch_bounds_what_is_unsettled,
        dropping_the_consumer_gives_back_in_order,
        partial_acks_then_a_drop_lose_nothing_and_repeat_nothing_acked,
        taken_but_dropped_deliveries_come_again,
        an_ack_after_the_consumer_ended_keeps_its_word,
        redelivered_says_what_was_handed_out_before,
        one_consumer_at_a_time,
        a_cancelled_next_loses_nothing,
        a_waiting_consumer_wakes_up,
        depth_counts_unsettled_messages,
        a_bounded_queue_drops_its_oldest,
        a_foreign_message_comes_as_such,
        an_open_broker_is_healthy,
    ];
}

/// A queue of a route: never drops anything.
pub(crate) fn plan(queue: &QueueName, stream: &StreamName) -> QueuePlan {
    QueuePlan { queue: queue.clone(), stream: stream.clone(), keep: None }
}

/// A subscriber's queue, bounded by bytes.
pub(crate) fn bounded(queue: &QueueName, stream: &StreamName, bytes: u64) -> QueuePlan {
    let keep = Some(Keep { age: Duration::from_secs(3600), bytes });
    QueuePlan { queue: queue.clone(), stream: stream.clone(), keep }
}

/// A queue name no other property uses.
pub(crate) fn queue(prefix: &str) -> QueueName {
    QueueName::new(&format!("{prefix}-{}", sample::fresh())).expect("letters, digits and hyphens are a name")
}

/// A stream with one declared queue.
pub(crate) async fn one_queue(fixture: &impl BrokerFixture) -> (StreamName, QueueName) {
    let (stream, queue) = (sample::stream(), queue("маршрут"));
    fixture.broker().declare(&[plan(&queue, &stream)]).await.expect("declaring a queue");
    (stream, queue)
}

/// Publishes and expects every message to be confirmed.
pub(crate) async fn publish(broker: &dyn Broker, stream: &StreamName, messages: &[Envelope]) {
    let results = tokio::time::timeout(SOON, broker.publish(stream, messages)).await.expect("publishing is bounded");
    assert_eq!(results.len(), messages.len(), "one result per message");
    for (index, result) in results.into_iter().enumerate() {
        assert_eq!(result, Ok(()), "message {index} was not confirmed");
    }
}

/// Starts consuming. A broker may need a moment to notice that the consumer before has gone, so a refusal is asked
/// again within the deadline.
pub(crate) async fn consume(broker: &dyn Broker, queue: &QueueName, prefetch: u16) -> Box<dyn Deliveries> {
    let retrying = async {
        loop {
            match broker.consume(queue, prefetch).await {
                Ok(deliveries) => return deliveries,
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    tokio::time::timeout(SOON, retrying).await.expect("a queue without a consumer can be consumed")
}

/// The next delivery, which must come.
pub(crate) async fn next(deliveries: &mut Box<dyn Deliveries>) -> Delivery {
    tokio::time::timeout(SOON, deliveries.next())
        .await
        .expect("a delivery was due")
        .expect("the consumer ended")
        .expect("the consumer failed")
}

/// The next `count` deliveries, unsettled.
pub(crate) async fn take(deliveries: &mut Box<dyn Deliveries>, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::with_capacity(count);
    for _ in 0..count {
        taken.push(next(deliveries).await);
    }
    taken
}

/// Takes and acks the next `count` deliveries, and gives their envelopes.
pub(crate) async fn drain(deliveries: &mut Box<dyn Deliveries>, count: usize) -> Vec<Envelope> {
    let mut envelopes = Vec::with_capacity(count);
    for _ in 0..count {
        let delivery = next(deliveries).await;
        envelopes.push(sealed(&delivery).clone());
        delivery.ack().await.expect("acking an open delivery");
    }
    envelopes
}

/// Nothing comes for a while.
pub(crate) async fn expect_quiet(deliveries: &mut Box<dyn Deliveries>, why: &str) {
    if let Ok(Some(Ok(delivery))) = tokio::time::timeout(QUIET, deliveries.next()).await {
        panic!("{why}, but message {} came", sealed(&delivery).seq);
    }
}

/// The depth becomes `messages` (a remote broker counts a moment later).
pub(crate) async fn expect_depth(broker: &dyn Broker, queue: &QueueName, messages: u64) {
    let mut seen = None;
    let counting = async {
        loop {
            let depth = broker.depth(queue).await.expect("asking for the depth").messages;
            if depth == messages {
                return;
            }
            seen = Some(depth);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    if tokio::time::timeout(SOON, counting).await.is_err() {
        panic!("the depth stays at {seen:?} instead of {messages}");
    }
}

pub(crate) fn sealed(delivery: &Delivery) -> &Envelope {
    match &delivery.message {
        Incoming::Sealed(envelope) => envelope,
        Incoming::Foreign { reason, .. } => panic!("a message of ours came as foreign: {reason}"),
    }
}

pub(crate) fn numbers<'a>(deliveries: impl IntoIterator<Item = &'a Delivery>) -> Vec<u64> {
    deliveries.into_iter().map(|delivery| sealed(delivery).seq.number).collect()
}

pub(crate) fn seqs(envelopes: &[Envelope]) -> Vec<u64> {
    envelopes.iter().map(|envelope| envelope.seq.number).collect()
}
