//! Depth, bounded subscriber queues, foreign messages and health.

use bus_core::ports::broker::{BrokerHealth, Incoming};

use super::{BrokerFixture, bounded, consume, drain, expect_depth, next, one_queue, plan, publish, queue, seqs, take};
use crate::sample;

/// Unsettled messages are still in the queue; acked ones are not.
pub async fn depth_counts_unsettled_messages(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let broker = fixture.broker();
    expect_depth(broker, &queue, 0).await;
    publish(broker, &stream, &sample::run(&stream, 1, 12)).await;
    expect_depth(broker, &queue, 12).await;
    let mut deliveries = consume(broker, &queue, 5).await;
    let mut taken = take(&mut deliveries, 5).await;
    expect_depth(broker, &queue, 12).await;
    for _ in 0..2 {
        taken.pop().expect("five were taken").ack().await.expect("acking an open delivery");
    }
    expect_depth(broker, &queue, 10).await;
}

/// A subscriber that takes nothing must not fill the disk: the oldest go, the newest stay, other queues keep all.
pub async fn a_bounded_queue_drops_its_oldest(fixture: &mut impl BrokerFixture) {
    const BODY: usize = 1024;
    let (stream, route, subscriber) = (sample::stream(), queue("маршрут"), queue("подписчик"));
    let broker = fixture.broker();
    let plans = [plan(&route, &stream), bounded(&subscriber, &stream, 20 * BODY as u64)];
    broker.declare(&plans).await.expect("declaring a bounded queue");
    for number in 1..=100 {
        let message = sample::with_body(&stream, "ключ", number, vec![b'x'; BODY]);
        publish(broker, &stream, &[message]).await;
    }
    expect_depth(broker, &route, 100).await;
    let mut deliveries = consume(broker, &subscriber, 1).await;
    let mut came = Vec::new();
    while came.last() != Some(&100) {
        came.extend(seqs(&drain(&mut deliveries, 1).await));
    }
    let first = *came.first().expect("something came");
    assert!(first > 60, "the bound of 20 KiB was not kept: {} messages came", came.len());
    assert!(came.len() >= 5, "much less than the bound was kept: {} messages came", came.len());
    assert_eq!(came, (first..=100).collect::<Vec<_>>(), "only the oldest may go");
}

/// What somebody else put into the queue is handed out with its bytes, in its place, and can be acked.
pub async fn a_foreign_message_comes_as_such(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 1)).await;
    if !fixture.put_foreign(&queue, "чужое".as_bytes()).await {
        return;
    }
    publish(fixture.broker(), &stream, &sample::run(&stream, 2, 2)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 10).await;
    assert_eq!(seqs(&drain(&mut deliveries, 1).await), [1]);
    let foreign = next(&mut deliveries).await;
    match &foreign.message {
        Incoming::Foreign { raw, reason } => {
            assert_eq!(raw, "чужое".as_bytes());
            assert!(!reason.is_empty(), "an operator needs to know why");
        }
        Incoming::Sealed(_) => panic!("a foreign message came as one of ours"),
    }
    foreign.ack().await.expect("acking a foreign message");
    assert_eq!(seqs(&drain(&mut deliveries, 1).await), [2]);
    expect_depth(fixture.broker(), &queue, 0).await;
}

/// Nothing is wrong, so nothing is said to be.
pub async fn an_open_broker_is_healthy(fixture: &mut impl BrokerFixture) {
    assert_eq!(*fixture.broker().health().borrow(), BrokerHealth::Connected);
}
