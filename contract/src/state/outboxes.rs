//! Outboxes of HTTP subscribers, and gates.

use bus_core::ports::state::Backlog;
use bus_core::vocabulary::{Envelope, GateName, Moment, RouteName, SystemName};

use super::{StateFixture, subscription};
use crate::sample;

fn numbers(rows: &[(u64, Envelope)]) -> Vec<(u64, u64)> {
    rows.iter().map(|(position, envelope)| (*position, envelope.seq.number)).collect()
}

/// Reserved ahead, given back, remembered.
pub async fn gates_are_remembered(fixture: &mut impl StateFixture) {
    let name = |base: &str| SystemName::new(&format!("{base}-{}", sample::fresh())).expect("a name");
    let shop = name("магазин");
    let reads_of_it = SystemName::new(&format!("{shop}.reads")).expect("a name");
    let own = RouteName::new(shop.as_str()).expect("a name");
    let one = GateName::Deliveries(shop.clone());
    let others = [
        GateName::Deliveries(name("склад")),
        GateName::Reads(shop),
        GateName::Deliveries(reads_of_it),
        GateName::Own(own),
    ];
    assert_eq!(fixture.store().gate(&one).await, Ok(None));
    for horizon in [5_000_000_000_000_000, 4_000_000_000_000_000] {
        fixture.store().set_gate(&one, horizon).await.expect("reserving");
        fixture.reopen().await;
        assert_eq!(fixture.store().gate(&one).await, Ok(Some(horizon)));
    }
    for (horizon, other) in (1..).zip(&others) {
        assert_eq!(fixture.store().gate(other).await, Ok(None), "{other}");
        fixture.store().set_gate(other, horizon).await.expect("reserving");
    }
    for (horizon, other) in (1..).zip(&others) {
        assert_eq!(fixture.store().gate(other).await, Ok(Some(horizon)), "{other}");
    }
}

/// Positions rise by one, a repeat is skipped, also after a crash and after everything was taken.
pub async fn an_outbox_gives_positions_and_skips_repeats(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    assert_eq!(fixture.store().outbox_backlog(&name).await, Ok(Backlog::default()));
    assert_eq!(fixture.store().outbox_read(&name, 0, 10).await, Ok(Vec::new()));
    fixture.store().outbox_append(&name, &sample::run(&stream, 1, 5)).await.expect("appending");
    fixture.reopen().await;
    fixture.store().outbox_append(&name, &sample::run(&stream, 3, 7)).await.expect("appending");
    let rows = fixture.store().outbox_read(&name, 0, 100).await.expect("reading");
    assert_eq!(numbers(&rows), (1..=7).map(|n| (n, n)).collect::<Vec<_>>());
    assert_eq!(rows[0].1, sample::run(&stream, 1, 1)[0]);
    assert_eq!(numbers(&fixture.store().outbox_read(&name, 5, 1).await.expect("reading")), [(6, 6)]);

    fixture.store().outbox_trim(&name, 7, Moment(0), u64::MAX / 4).await.expect("trimming");
    fixture.reopen().await;
    fixture.store().outbox_append(&name, &sample::run(&stream, 6, 8)).await.expect("appending");
    let rows = fixture.store().outbox_read(&name, 0, 100).await.expect("reading");
    assert_eq!(numbers(&rows), [(8, 8)], "positions go on after everything was taken");
}

/// Taken is taken; age and bytes drop the oldest, and only what nobody had taken is counted.
pub async fn an_outbox_is_trimmed_and_counts_what_nobody_took(fixture: &mut impl StateFixture) {
    const NEVER: u64 = u64::MAX / 4;
    let (name, stream) = (subscription(), sample::stream());
    let store = fixture.store();
    let messages = sample::run(&stream, 1, 20);
    store.outbox_append(&name, &messages).await.expect("appending");
    let before = store.outbox_backlog(&name).await.expect("backlog");
    assert_eq!((before.messages, before.oldest, before.last), (20, Some(messages[0].time), 20));

    assert_eq!(store.outbox_trim(&name, 4, Moment(0), NEVER).await, Ok(0), "taken is not lost");
    let after = store.outbox_backlog(&name).await.expect("backlog");
    assert_eq!((after.messages, after.oldest, after.last), (16, Some(messages[4].time), 20));
    assert!(after.bytes < before.bytes && after.bytes > 0);

    assert_eq!(store.outbox_trim(&name, 2, messages[9].time, NEVER).await, Ok(5), "5 to 9 were too old");
    assert_eq!(numbers(&store.outbox_read(&name, 0, 1).await.expect("reading")), [(10, 10)]);

    let half = store.outbox_backlog(&name).await.expect("backlog").bytes / 2;
    let dropped = store.outbox_trim(&name, 2, Moment(0), half).await.expect("trimming");
    let left = store.outbox_backlog(&name).await.expect("backlog");
    assert_eq!(left.messages + dropped, 11);
    assert!(left.bytes <= half && left.messages >= 3, "{left:?} of at most {half} bytes");

    assert_eq!(store.outbox_trim(&name, 1_000_000, Moment(0), NEVER).await, Ok(0));
    let expected = Backlog { messages: 0, bytes: 0, oldest: None, last: 20 };
    assert_eq!(store.outbox_backlog(&name).await, Ok(expected));
}

/// One subscriber's taking is not another's.
pub async fn outboxes_are_separate(fixture: &mut impl StateFixture) {
    let (left, right, stream) = (subscription(), subscription(), sample::stream());
    let store = fixture.store();
    store.outbox_append(&left, &sample::run(&stream, 1, 4)).await.expect("appending");
    store.outbox_append(&right, &sample::run(&stream, 1, 6)).await.expect("appending");
    store.outbox_trim(&left, 4, Moment(i64::MAX), 0).await.expect("trimming");
    assert_eq!(store.outbox_backlog(&right).await.map(|backlog| backlog.messages), Ok(6));
    assert_eq!(store.outbox_read(&left, 1 << 50, 10).await, Ok(Vec::new()), "a position beyond the end");
    assert_eq!(store.outbox_read(&left, 0, 10).await, Ok(Vec::new()));
}

/// A publish that failed half-way is repeated from its first unconfirmed message: what comes late is not a repeat.
pub async fn an_outbox_takes_what_comes_late(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    let messages = sample::run(&stream, 1, 5);
    fixture.store().outbox_append(&name, &messages[2..]).await.expect("appending");
    fixture.store().outbox_append(&name, &messages).await.expect("appending");
    let rows = fixture.store().outbox_read(&name, 0, 100).await.expect("reading");
    assert_eq!(numbers(&rows), [(1, 3), (2, 4), (3, 5), (4, 1), (5, 2)]);
}
