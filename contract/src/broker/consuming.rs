//! What a consumer relies on: bounded, in order, given back in order, and never lost.

use super::{
    BrokerFixture, QUIET, SOON, consume, drain, expect_quiet, next, numbers, one_queue, publish, sealed, seqs, take,
};
use crate::sample;

/// Prefetch is the bound of unsettled messages; an ack makes room for one.
pub async fn prefetch_bounds_what_is_unsettled(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 10)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 3).await;
    let mut taken = take(&mut deliveries, 3).await;
    expect_quiet(&mut deliveries, "three of three are unsettled").await;
    taken.remove(1).ack().await.expect("acking out of order");
    assert_eq!(sealed(&next(&mut deliveries).await).seq.number, 4);
    expect_quiet(&mut deliveries, "three of three are unsettled again").await;
}

/// Nothing is settled: everything comes again, in order, before what was never handed out.
pub async fn dropping_the_consumer_gives_back_in_order(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 30)).await;
    for round in 0..3 {
        let mut deliveries = consume(fixture.broker(), &queue, 16).await;
        let taken = take(&mut deliveries, 16).await;
        assert_eq!(numbers(&taken), (1..=16).collect::<Vec<_>>(), "round {round}");
        drop(deliveries);
    }
    let mut deliveries = consume(fixture.broker(), &queue, 8).await;
    assert_eq!(seqs(&drain(&mut deliveries, 30).await), (1..=30).collect::<Vec<_>>());
}

/// The holes that acks leave stay holes; the rest comes again in order.
pub async fn partial_acks_then_a_drop_lose_nothing_and_repeat_nothing_acked(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 20)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 12).await;
    let mut kept = Vec::new();
    for delivery in take(&mut deliveries, 12).await {
        match sealed(&delivery).seq.number {
            1 | 3 | 6 | 12 => delivery.ack().await.expect("acking an open delivery"),
            _ => kept.push(delivery),
        }
    }
    drop(deliveries);
    let mut deliveries = consume(fixture.broker(), &queue, 50).await;
    let expected = [2, 4, 5, 7, 8, 9, 10, 11, 13, 14, 15, 16, 17, 18, 19, 20];
    assert_eq!(seqs(&drain(&mut deliveries, expected.len()).await), expected);
    expect_quiet(&mut deliveries, "every message was acked").await;
}

/// A worker that panics drops its deliveries and its consumer together.
pub async fn taken_but_dropped_deliveries_come_again(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 6)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 6).await;
    drop(take(&mut deliveries, 4).await);
    drop(deliveries);
    let mut deliveries = consume(fixture.broker(), &queue, 6).await;
    assert_eq!(seqs(&drain(&mut deliveries, 6).await), [1, 2, 3, 4, 5, 6]);
}

/// An ack that says yes holds; one that fails means the message comes again.
pub async fn an_ack_after_the_consumer_ended_keeps_its_word(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 2)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 1).await;
    let late = next(&mut deliveries).await;
    drop(deliveries);
    let expected: &[u64] = if late.ack().await.is_ok() { &[2] } else { &[1, 2] };
    let mut deliveries = consume(fixture.broker(), &queue, 10).await;
    assert_eq!(seqs(&drain(&mut deliveries, expected.len()).await), expected);
}

/// What a consumer had in its hands is marked when it comes again; what is new is not.
pub async fn redelivered_says_what_was_handed_out_before(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 3)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 3).await;
    let taken = take(&mut deliveries, 3).await;
    assert!(taken.iter().all(|delivery| !delivery.redelivered), "nothing was handed out before");
    drop((taken, deliveries));
    let mut deliveries = consume(fixture.broker(), &queue, 5).await;
    let again = take(&mut deliveries, 3).await;
    assert!(again.iter().all(|delivery| delivery.redelivered), "all three were handed out before");
    publish(fixture.broker(), &stream, &sample::run(&stream, 4, 4)).await;
    assert!(!next(&mut deliveries).await.redelivered, "message 4 is new");
}

/// A second consumer is refused, or waits until the first has gone; it never shares.
pub async fn one_consumer_at_a_time(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let broker = fixture.broker();
    let mut first = consume(broker, &queue, 1).await;
    let second = tokio::time::timeout(QUIET, broker.consume(&queue, 1)).await;
    publish(broker, &stream, &sample::run(&stream, 1, 4)).await;
    let mut second = match second {
        Ok(Ok(mut waiting)) => {
            expect_quiet(&mut waiting, "another consumer is active").await;
            Some(waiting)
        }
        Ok(Err(_)) | Err(_) => None,
    };
    assert_eq!(seqs(&drain(&mut first, 2).await), [1, 2]);
    drop(first);
    let mut deliveries = match second.take() {
        Some(waiting) => waiting,
        None => consume(broker, &queue, 1).await,
    };
    assert_eq!(seqs(&drain(&mut deliveries, 2).await), [3, 4]);
}

/// `next` is a branch of a `select!`: cancelling it takes nothing away.
pub async fn a_cancelled_next_loses_nothing(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let broker = fixture.broker();
    let mut deliveries = consume(broker, &queue, 4).await;
    let mut came = Vec::new();
    let consuming = async {
        while came.len() < 60 {
            let taken = tokio::select! {
                biased;
                // Sometimes nothing is polled first, so `next` is dropped at many different moments.
                () = tokio::task::yield_now(), if fastrand::bool() => continue,
                taken = deliveries.next() => taken,
                () = tokio::task::yield_now() => continue,
            };
            let delivery = taken.expect("the consumer ended").expect("the consumer failed");
            came.push(sealed(&delivery).seq.number);
            delivery.ack().await.expect("acking an open delivery");
        }
    };
    let publishing = async {
        for number in 1..=60 {
            publish(broker, &stream, &sample::run(&stream, number, number)).await;
        }
    };
    tokio::time::timeout(SOON, async { tokio::join!(consuming, publishing) }).await.expect("every message comes");
    assert_eq!(came, (1..=60).collect::<Vec<_>>());
}

/// A consumer of an empty queue gets what is published later, by a waiting `next`.
pub async fn a_waiting_consumer_wakes_up(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let broker = fixture.broker();
    let mut deliveries = consume(broker, &queue, 4).await;
    let late = async {
        tokio::time::sleep(QUIET / 2).await;
        publish(broker, &stream, &sample::run(&stream, 1, 1)).await;
    };
    let (delivery, ()) = tokio::join!(next(&mut deliveries), late);
    assert_eq!(sealed(&delivery).seq.number, 1);
}
