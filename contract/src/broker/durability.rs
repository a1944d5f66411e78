//! What a confirm promises: the message is in every queue of its stream, in order, and stays through a restart.

use bus_core::ports::broker::NoDepth;

use super::{BrokerFixture, consume, drain, expect_depth, expect_quiet, one_queue, plan, publish, queue, seqs, take};
use crate::sample;

/// Order is the order of publishing, over batches.
pub async fn messages_come_in_the_order_of_publishing(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let messages = sample::run(&stream, 1, 600);
    for batch in messages.chunks(100) {
        publish(fixture.broker(), &stream, batch).await;
    }
    let mut deliveries = consume(fixture.broker(), &queue, 64).await;
    assert_eq!(seqs(&drain(&mut deliveries, 600).await), (1..=600).collect::<Vec<_>>());
}

/// Every field arrives, digits and Cyrillic included.
pub async fn an_envelope_comes_back_as_it_was(fixture: &mut impl BrokerFixture) {
    use bus_core::vocabulary::{ContentHash, Operation};
    let (stream, queue) = one_queue(fixture).await;
    let plain = sample::envelope(&stream, "[\"склад №1\",\"a,b\"]", 1);
    let mut gone = sample::with_body(&stream, "ключ с пробелом", 2, Vec::new());
    (gone.operation, gone.label) = (Operation::Delete, None);
    gone.hash = ContentHash::of(Operation::Delete, b"");
    publish(fixture.broker(), &stream, &[plain.clone(), gone.clone()]).await;
    let mut deliveries = consume(fixture.broker(), &queue, 10).await;
    assert_eq!(drain(&mut deliveries, 2).await, [plain, gone]);
}

/// Confirmed is durable: nobody needs to have consumed it.
pub async fn confirmed_messages_survive_a_reopen(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 300)).await;
    fixture.reopen().await;
    fixture.broker().declare(&[plan(&queue, &stream)]).await.expect("declaring a queue that exists");
    let mut deliveries = consume(fixture.broker(), &queue, 64).await;
    assert_eq!(seqs(&drain(&mut deliveries, 300).await), (1..=300).collect::<Vec<_>>());
    publish(fixture.broker(), &stream, &sample::run(&stream, 301, 310)).await;
    assert_eq!(seqs(&drain(&mut deliveries, 10).await), (301..=310).collect::<Vec<_>>());
}

/// After a restart every unacked message comes, in order; what was acked may come again, but only in its own place.
pub async fn what_was_acked_in_order_is_gone_after_a_clean_reopen_or_comes_first(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 40)).await;
    let mut deliveries = consume(fixture.broker(), &queue, 50).await;
    assert_eq!(drain(&mut deliveries, 10).await.len(), 10);
    let _unsettled = take(&mut deliveries, 10).await;
    drop(deliveries);
    fixture.reopen().await;
    fixture.broker().declare(&[plan(&queue, &stream)]).await.expect("declaring a queue that exists");
    let mut deliveries = consume(fixture.broker(), &queue, 50).await;
    let mut came = Vec::new();
    while came.last() != Some(&40) {
        came.extend(seqs(&drain(&mut deliveries, 1).await));
    }
    let first = *came.first().expect("something came");
    assert!(first <= 11, "messages up to {first} were lost");
    assert_eq!(came, (first..=40).collect::<Vec<_>>());
}

/// A reload declares the plan again.
pub async fn declaring_again_keeps_messages(fixture: &mut impl BrokerFixture) {
    let (stream, first) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 5)).await;
    let second = queue("второй");
    let both = [plan(&first, &stream), plan(&second, &stream)];
    fixture.broker().declare(&both).await.expect("declaring a larger plan");
    publish(fixture.broker(), &stream, &sample::run(&stream, 6, 8)).await;
    fixture.broker().declare(&both).await.expect("declaring the same plan");
    let mut deliveries = consume(fixture.broker(), &first, 10).await;
    assert_eq!(seqs(&drain(&mut deliveries, 8).await), (1..=8).collect::<Vec<_>>());
}

/// A stream that nobody takes is no error: its only route may have been removed by a reload.
pub async fn a_stream_without_queues_confirms_and_forgets(fixture: &mut impl BrokerFixture) {
    let (_, other) = one_queue(fixture).await;
    let stream = sample::stream();
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 3)).await;
    expect_depth(fixture.broker(), &other, 0).await;
}

/// An empty batch has no results.
pub async fn publishing_nothing_is_nothing(fixture: &mut impl BrokerFixture) {
    let (stream, _) = one_queue(fixture).await;
    assert!(fixture.broker().publish(&stream, &[]).await.is_empty());
}

/// Larger than any frame or page of a broker.
pub async fn bodies_of_one_mebibyte_pass(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let messages: Vec<_> = (1..=3u8)
        .map(|number| sample::with_body(&stream, "большой", number.into(), vec![b'a' + number; 1024 * 1024]))
        .collect();
    publish(fixture.broker(), &stream, &messages).await;
    let mut deliveries = consume(fixture.broker(), &queue, 2).await;
    assert!(drain(&mut deliveries, 3).await == messages, "a large body was changed");
}

/// Two callers at once: each one's messages keep their order.
pub async fn concurrent_publishers_keep_their_own_order(fixture: &mut impl BrokerFixture) {
    let (stream, queue) = one_queue(fixture).await;
    let odd: Vec<_> = (1..=400).step_by(2).map(|number| sample::envelope(&stream, "нечётный", number)).collect();
    let even: Vec<_> = (2..=400).step_by(2).map(|number| sample::envelope(&stream, "чётный", number)).collect();
    let broker = fixture.broker();
    let send = async |messages: &[bus_core::vocabulary::Envelope]| {
        for batch in messages.chunks(9) {
            publish(broker, &stream, batch).await;
        }
    };
    tokio::join!(send(&odd), send(&even));
    let mut deliveries = consume(broker, &queue, 64).await;
    let came = seqs(&drain(&mut deliveries, 400).await);
    for rest in [0, 1] {
        let own: Vec<_> = came.iter().copied().filter(|number| number % 2 == rest).collect();
        assert_eq!(own.len(), 200, "messages are missing");
        assert!(own.is_sorted(), "a publisher's own order was broken: {own:?}");
    }
}

/// Each queue has its own copy and its own acks.
pub async fn two_queues_of_one_stream_are_independent(fixture: &mut impl BrokerFixture) {
    let (stream, first, second) = (sample::stream(), queue("первый"), queue("второй"));
    let broker = fixture.broker();
    broker.declare(&[plan(&first, &stream), plan(&second, &stream)]).await.expect("declaring two queues");
    publish(broker, &stream, &sample::run(&stream, 1, 50)).await;
    let mut fast = consume(broker, &first, 10).await;
    assert_eq!(drain(&mut fast, 50).await.len(), 50);
    expect_depth(broker, &first, 0).await;
    expect_depth(broker, &second, 50).await;
    let mut slow = consume(broker, &second, 10).await;
    assert_eq!(seqs(&drain(&mut slow, 50).await), (1..=50).collect::<Vec<_>>());
}

/// A queue gets its own stream only.
pub async fn streams_do_not_mix(fixture: &mut impl BrokerFixture) {
    let (left_stream, left) = one_queue(fixture).await;
    let (right_stream, right) = one_queue(fixture).await;
    let broker = fixture.broker();
    publish(broker, &left_stream, &sample::run(&left_stream, 1, 5)).await;
    publish(broker, &right_stream, &sample::run(&right_stream, 1, 7)).await;
    for (queue, stream, count) in [(&left, &left_stream, 5), (&right, &right_stream, 7)] {
        let mut deliveries = consume(broker, queue, 20).await;
        let came = drain(&mut deliveries, count).await;
        assert!(came.iter().all(|envelope| envelope.stream == *stream), "a message of another stream came");
        expect_quiet(&mut deliveries, "the queue is empty").await;
    }
}

/// A new route does not get what was published before it existed (a backfill does that).
pub async fn a_queue_declared_later_starts_at_the_end(fixture: &mut impl BrokerFixture) {
    let (stream, early) = one_queue(fixture).await;
    let broker = fixture.broker();
    publish(broker, &stream, &sample::run(&stream, 1, 20)).await;
    let late = queue("поздний");
    broker.declare(&[plan(&early, &stream), plan(&late, &stream)]).await.expect("declaring a larger plan");
    publish(broker, &stream, &sample::run(&stream, 21, 30)).await;
    let mut deliveries = consume(broker, &late, 50).await;
    assert_eq!(seqs(&drain(&mut deliveries, 10).await), (21..=30).collect::<Vec<_>>());
    expect_depth(broker, &early, 30).await;
}

/// A reload removed a route: its queue goes, and publishing goes on to the others, through a restart too.
pub async fn a_removed_queue_is_gone_and_the_others_stay(fixture: &mut impl BrokerFixture) {
    let (stream, first) = one_queue(fixture).await;
    let second = queue("второй");
    let both = [plan(&first, &stream), plan(&second, &stream)];
    fixture.broker().declare(&both).await.expect("declaring a larger plan");
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 5)).await;
    fixture.broker().remove(&first).await.expect("removing a queue");
    fixture.broker().remove(&first).await.expect("removing it again");
    publish(fixture.broker(), &stream, &sample::run(&stream, 6, 8)).await;
    let absent = Err(NoDepth::Absent(first.clone()));
    assert_eq!(fixture.broker().depth(&first).await, absent, "a removed queue has no depth");
    fixture.reopen().await;
    fixture.broker().declare(&both[1..]).await.expect("declaring what is left");
    let mut deliveries = consume(fixture.broker(), &second, 10).await;
    assert_eq!(seqs(&drain(&mut deliveries, 8).await), (1..=8).collect::<Vec<_>>());
    assert_eq!(fixture.broker().depth(&first).await, absent, "a removed queue does not come back");
}

/// The same name again is a new queue: it starts at the end of the stream, and works.
pub async fn a_queue_declared_after_its_removal_is_empty(fixture: &mut impl BrokerFixture) {
    let (stream, name) = one_queue(fixture).await;
    publish(fixture.broker(), &stream, &sample::run(&stream, 1, 5)).await;
    let mut deliveries = consume(fixture.broker(), &name, 10).await;
    let taken = take(&mut deliveries, 1).await;
    drop(deliveries);
    fixture.broker().remove(&name).await.expect("removing a queue");
    publish(fixture.broker(), &stream, &sample::run(&stream, 6, 7)).await;
    fixture.broker().declare(&[plan(&name, &stream)]).await.expect("declaring it anew");
    for delivery in taken {
        // Whatever it answers, it must not settle a message of the new queue.
        drop(delivery.ack().await);
    }
    publish(fixture.broker(), &stream, &sample::run(&stream, 8, 9)).await;
    let mut deliveries = consume(fixture.broker(), &name, 10).await;
    assert_eq!(seqs(&drain(&mut deliveries, 2).await), [8, 9]);
    expect_depth(fixture.broker(), &name, 0).await;
}
