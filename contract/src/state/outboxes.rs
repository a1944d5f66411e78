//! Outboxes of HTTP subscribers, and gates.

use std::time::Duration;

use bus_core::ports::state::{Backlog, Page, Reserved, StateStore, Taken};
use bus_core::vocabulary::{Envelope, GateName, Moment, RouteName, SubscriptionName, SystemName};

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
    for (horizon, deadline) in [(5_000_000_000_000_000, 61_000), (4_000_000_000_000_000, 0)] {
        let reserved = Reserved { horizon, deadline: Duration::from_millis(deadline) };
        fixture.store().set_gate(&one, reserved).await.expect("reserving");
        fixture.reopen().await;
        assert_eq!(fixture.store().gate(&one).await, Ok(Some(reserved)));
    }
    for (horizon, other) in (1..).zip(&others) {
        assert_eq!(fixture.store().gate(other).await, Ok(None), "{other}");
        fixture.store().set_gate(other, Reserved::at(horizon)).await.expect("reserving");
    }
    for (horizon, other) in (1..).zip(&others) {
        assert_eq!(fixture.store().gate(other).await, Ok(Some(Reserved::at(horizon))), "{other}");
    }
}

const NEVER: u64 = u64::MAX / 4;

async fn read(store: &dyn StateStore, name: &SubscriptionName, after: u64, limit: usize) -> Page {
    store.outbox_read(name, after, limit, 1 << 30).await.expect("reading")
}

/// Positions rise by one, a repeat is skipped, also after a crash and after everything was taken.
pub async fn an_outbox_gives_positions_and_skips_repeats(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    assert_eq!(fixture.store().outbox_backlog(&name).await, Ok(Backlog::default()));
    assert_eq!(read(fixture.store(), &name, 0, 10).await, Page::default());
    fixture.store().outbox_append(&name, &sample::run(&stream, 1, 5)).await.expect("appending");
    fixture.reopen().await;
    fixture.store().outbox_append(&name, &sample::run(&stream, 3, 7)).await.expect("appending");
    let rows = read(fixture.store(), &name, 0, 100).await.messages;
    assert_eq!(numbers(&rows), (1..=7).map(|n| (n, n)).collect::<Vec<_>>());
    assert_eq!(rows[0].1, sample::run(&stream, 1, 1)[0]);
    let page = read(fixture.store(), &name, 5, 1).await;
    assert_eq!((numbers(&page.messages), page.backlog), (vec![(6, 6)], 1));

    assert_eq!(fixture.store().outbox_take(&name, 7).await, Ok(Taken::Yes));
    fixture.reopen().await;
    fixture.store().outbox_append(&name, &sample::run(&stream, 6, 8)).await.expect("appending");
    let page = read(fixture.store(), &name, 0, 100).await;
    assert_eq!(numbers(&page.messages), [(8, 8)], "positions go on after everything was taken");
    assert_eq!((page.missed, page.backlog), (0, 0));
}

/// Taken is taken; age and bytes drop the oldest. What was dropped is told, and to whom it was lost.
pub async fn an_outbox_is_trimmed_and_counts_what_nobody_took(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    let store = fixture.store();
    let messages = sample::run(&stream, 1, 20);
    store.outbox_append(&name, &messages).await.expect("appending");
    let before = store.outbox_backlog(&name).await.expect("backlog");
    assert_eq!((before.messages, before.oldest, before.last), (20, Some(messages[0].time), 20));

    assert_eq!(store.outbox_take(&name, 4).await, Ok(Taken::Yes));
    assert_eq!(store.outbox_trim(&name, Moment(0), NEVER).await, Ok(0), "taken is not lost");
    let after = store.outbox_backlog(&name).await.expect("backlog");
    assert_eq!((after.messages, after.oldest, after.last, after.missed), (16, Some(messages[4].time), 20, 0));
    assert!(after.bytes < before.bytes && after.bytes > 0);

    assert_eq!(store.outbox_take(&name, 2).await, Ok(Taken::Yes), "asking again is no error");
    assert_eq!(store.outbox_trim(&name, messages[9].time, NEVER).await, Ok(5), "5 to 9 were too old");
    for (position, missed) in [(0, 5), (4, 5), (6, 3), (9, 0), (12, 0)] {
        let page = read(store, &name, position, 1).await;
        let first = position.max(9) + 1;
        assert_eq!((numbers(&page.messages), page.missed), (vec![(first, first)], missed), "after {position}");
    }
    assert_eq!(store.outbox_backlog(&name).await.expect("backlog").missed, 5);

    let half = store.outbox_backlog(&name).await.expect("backlog").bytes / 2;
    let dropped = store.outbox_trim(&name, Moment(0), half).await.expect("trimming");
    let left = store.outbox_backlog(&name).await.expect("backlog");
    assert_eq!((left.messages + dropped, left.missed), (11, 5 + dropped));
    assert!(left.bytes <= half && left.messages >= 3, "{left:?} of at most {half} bytes");

    assert_eq!(store.outbox_take(&name, 20).await, Ok(Taken::Yes));
    let expected = Backlog { messages: 0, bytes: 0, oldest: None, last: 20, missed: 0 };
    assert_eq!(store.outbox_backlog(&name).await, Ok(expected));
}

/// Whoever names a position that was never given has it from another store: nothing may be taken by it.
pub async fn an_outbox_takes_nothing_by_a_position_that_it_never_gave(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    assert_eq!(fixture.store().outbox_take(&name, 7).await, Ok(Taken::NeverGiven { last: 0 }));
    fixture.store().outbox_append(&name, &sample::run(&stream, 1, 50)).await.expect("appending");
    for position in [51, 10_000, i64::MAX as u64, u64::MAX] {
        assert_eq!(fixture.store().outbox_take(&name, position).await, Ok(Taken::NeverGiven { last: 50 }));
        assert_eq!(read(fixture.store(), &name, position, 100).await.messages, Vec::new(), "after {position}");
    }
    fixture.reopen().await;
    assert_eq!(read(fixture.store(), &name, 0, 100).await.messages.len(), 50, "nothing was taken");
}

/// A store that was lost and is new, or was restored, begins another run above all positions of the lost one.
pub async fn an_outbox_knows_positions_of_a_life_that_was_lost(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    let first = |page: &Page| page.messages.first().map(|(position, envelope)| (*position, envelope.seq.number));
    fixture.store().outbox_begin(&name, Moment(1_000)).await.expect("beginning");
    fixture.store().outbox_append(&name, &sample::run(&stream, 1, 3)).await.expect("appending");
    assert_eq!(first(&read(fixture.store(), &name, 0, 9).await), Some((1_000_000, 1)));
    assert_eq!(fixture.store().outbox_take(&name, 1_000_000).await, Ok(Taken::Yes));

    // From here on, a life that was lost had gone on to 1 000 500. This one begins later, and has other messages there.
    fixture.reopen().await;
    for begins in [1_500, 2_000] {
        fixture.store().outbox_begin(&name, Moment(begins)).await.expect("beginning");
    }
    fixture.store().outbox_append(&name, &sample::run(&stream, 4, 6)).await.expect("appending");
    let all = read(fixture.store(), &name, 0, 9).await.messages;
    assert_eq!(numbers(&all), [(1_000_001, 2), (1_000_002, 3), (2_000_000, 4), (2_000_001, 5), (2_000_002, 6)]);
    assert_eq!(first(&read(fixture.store(), &name, 1_000_500, 9).await), Some((2_000_000, 4)));
    let never = Ok(Taken::NeverGiven { last: 2_000_002 });
    assert_eq!(fixture.store().outbox_take(&name, 2_000_003).await, never);
    assert_eq!(
        fixture.store().outbox_take(&name, 999_999).await,
        Ok(Taken::Yes),
        "a position from before: nothing new"
    );
    assert_eq!(fixture.store().outbox_backlog(&name).await.expect("backlog").messages, 5);
    assert_eq!(fixture.store().outbox_take(&name, 1_000_500).await, Ok(Taken::Yes));
    assert_eq!(first(&read(fixture.store(), &name, 0, 9).await), Some((2_000_000, 4)), "and nothing of this life");

    // The clock was set back: positions rise all the same, also when all is taken before anything new has come.
    for _ in 0..2 {
        fixture.reopen().await;
        fixture.store().outbox_begin(&name, Moment(7)).await.expect("beginning");
        assert_eq!(fixture.store().outbox_take(&name, 2_000_002).await, Ok(Taken::Yes));
        assert_eq!(fixture.store().outbox_backlog(&name).await.expect("backlog").last, 2_000_002);
    }
    fixture.store().outbox_append(&name, &sample::run(&stream, 7, 7)).await.expect("appending");
    assert_eq!(first(&read(fixture.store(), &name, 2_000_002, 9).await), Some((2_000_003, 7)));
}

/// What was given before positions began above the clock keeps its positions.
pub async fn an_outbox_from_before_runs_goes_on(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    fixture.store().outbox_append(&name, &sample::run(&stream, 1, 3)).await.expect("appending");
    fixture.store().outbox_begin(&name, Moment(5)).await.expect("beginning");
    fixture.store().outbox_append(&name, &sample::run(&stream, 4, 4)).await.expect("appending");
    assert_eq!(fixture.store().outbox_take(&name, 2).await, Ok(Taken::Yes));
    assert_eq!(numbers(&read(fixture.store(), &name, 2, 9).await.messages), [(3, 3), (5_000, 4)]);
}

/// A page of large messages ends by its bytes, and always brings one.
pub async fn a_page_of_an_outbox_is_bounded_by_bytes(fixture: &mut impl StateFixture) {
    const LARGE: usize = 3 << 20;
    let (name, stream) = (subscription(), sample::stream());
    let large = |number| sample::with_body(&stream, &format!("к{number}"), number, vec![b'7'; LARGE]);
    let messages: Vec<_> = (1..=5).map(large).collect();
    let store = fixture.store();
    store.outbox_append(&name, &messages).await.expect("appending");
    for (after, bytes, brings) in [(0, 1, 1), (0, LARGE, 1), (0, LARGE + LARGE / 2, 2), (3, 8 << 20, 2), (4, 1, 1)] {
        let page = store.outbox_read(&name, after, 100, bytes).await.expect("reading");
        assert_eq!(page.messages.len(), brings, "{bytes} bytes after {after}");
        assert_eq!(page.messages[0].0, after + 1);
        assert_eq!(page.backlog, 5 - after - brings as u64);
    }
}

/// One subscriber's taking is not another's.
pub async fn outboxes_are_separate(fixture: &mut impl StateFixture) {
    let (left, right, stream) = (subscription(), subscription(), sample::stream());
    let store = fixture.store();
    store.outbox_append(&left, &sample::run(&stream, 1, 4)).await.expect("appending");
    store.outbox_append(&right, &sample::run(&stream, 1, 6)).await.expect("appending");
    store.outbox_begin(&right, Moment(7)).await.expect("beginning");
    assert_eq!(store.outbox_take(&left, 4).await, Ok(Taken::Yes));
    store.outbox_trim(&left, Moment(i64::MAX), 0).await.expect("trimming");
    assert_eq!(store.outbox_backlog(&right).await.map(|backlog| backlog.messages), Ok(6));
    assert_eq!(read(store, &left, 1 << 50, 10).await.messages, Vec::new(), "a position beyond the end");
    assert_eq!(read(store, &left, 0, 10).await.messages, Vec::new());
}

/// A publish that failed half-way is repeated from its first unconfirmed message: what comes late is not a repeat.
pub async fn an_outbox_takes_what_comes_late(fixture: &mut impl StateFixture) {
    let (name, stream) = (subscription(), sample::stream());
    let messages = sample::run(&stream, 1, 5);
    fixture.store().outbox_append(&name, &messages[2..]).await.expect("appending");
    fixture.store().outbox_append(&name, &messages).await.expect("appending");
    let rows = read(fixture.store(), &name, 0, 100).await.messages;
    assert_eq!(numbers(&rows), [(1, 3), (2, 4), (3, 5), (4, 1), (5, 2)]);
}
