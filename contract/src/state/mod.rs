//! The contract of [`StateStore`]: the protocol's rules as the store has to enforce them.

mod again;
mod capture;
mod dead_letters;
mod fences;
mod latest;
mod outboxes;
mod waiting;

use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::state::{Applied, Change, DeadLetter, HoldReason, Settled, Settlement, StateStore};
use bus_core::vocabulary::{Envelope, Exchange, FeedName, Key, Moment, RouteName, Seq, SubscriptionName};

pub use again::*;
pub use capture::*;
pub use dead_letters::*;
pub use fences::*;
pub use latest::*;
pub use outboxes::*;
pub use waiting::*;

use crate::sample;

/// One state store under test.
#[async_trait]
pub trait StateFixture: Send + Sync {
    /// The store.
    fn store(&self) -> &dyn StateStore;

    /// Ends the store and opens it again on the same data, as after a crash.
    async fn reopen(&mut self);
}

/// Runs every property, each on a fixture of its own, and prints its name first.
pub async fn state_suite<F, Fut, S>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = S>,
    S: StateFixture,
{
    macro_rules! properties {
        ($($property:ident),* $(,)?) => {$(
            println!("state contract: {}", stringify!($property));
            $property(&mut make().await).await;
        )*};
    }
    properties![
        a_feed_starts_empty_and_its_epoch_rises,
        an_epoch_is_above_those_of_all_feeds_and_no_less_than_the_clock,
        what_a_former_feed_finishes_late_is_not_what_was_published_last,
        a_round_moves_cursor_and_last_published_together,
        a_sealed_batch_comes_back_after_a_crash,
        a_zombie_moves_nothing,
        the_cursor_is_compared,
        an_open_batch_is_not_replaced_by_another,
        last_published_follows_deletes_and_generations,
        a_scan_finds_what_it_has_not_seen,
        unreadable_rows_are_kept_once,
        fences_rise_and_never_fall,
        skipping_keeps_what_the_receiver_holds,
        a_receiver_id_stays_until_a_new_one_comes,
        routes_do_not_share_fences,
        random_histories_keep_fences_monotone,
        reached_is_monotone,
        marks_last_until_a_known_outcome,
        changes_of_one_call_see_each_other,
        concurrent_commits_all_count,
        held_messages_wait_in_line,
        what_a_message_waits_for_is_noted_with_it,
        a_held_key_is_woken_and_no_other,
        a_hold_is_ignored_when_it_is_not_needed_any_more,
        a_later_version_never_overtakes_a_deferred_one,
        a_row_further_ahead_than_any_wait_is_due,
        the_newest_version_stands_in_the_oldest_place,
        an_attempt_ends_though_its_row_was_written_over,
        a_superseded_version_raises_no_fence_and_leaves_a_doubt,
        a_replayed_row_is_sent_before_what_comes_after_it,
        deferring_counts_attempts_and_moves_the_whole_key,
        settling_removes_exactly_its_own_row,
        an_opened_route_knows_its_keys,
        an_opened_route_knows_what_was_handed_in_before,
        a_long_line_is_bounded_by_rows_and_bytes,
        what_is_sent_again_passes_its_own_fence_and_no_newer_one,
        dead_letters_come_back_whole_and_newest_last,
        a_brief_list_holds_no_bodies,
        burying_raises_the_fence_and_empties_waiting,
        a_message_is_buried_once,
        a_foreign_letter_touches_no_fence,
        replay_puts_a_letter_back_in_line,
        replay_is_refused_when_something_newer_is_there,
        a_forced_replay_goes_before_newer_rows_of_its_key,
        a_forced_replay_delivered_names_what_the_receiver_holds,
        a_replayed_row_may_die_again,
        dropped_letters_are_gone,
        gates_are_remembered,
        an_outbox_gives_positions_and_skips_repeats,
        an_outbox_takes_what_comes_late,
        an_outbox_is_trimmed_and_counts_what_nobody_took,
        an_outbox_takes_nothing_by_a_position_that_it_never_gave,
        an_outbox_knows_positions_of_a_life_that_was_lost,
        an_outbox_from_before_runs_goes_on,
        a_page_of_an_outbox_is_bounded_by_bytes,
        outboxes_are_separate,
    ];
}

pub(crate) fn route() -> RouteName {
    RouteName::new(&format!("маршрут-{}", sample::fresh())).expect("letters, digits and hyphens are a name")
}

pub(crate) fn feed() -> FeedName {
    FeedName::new(&format!("лента-{}", sample::fresh())).expect("letters, digits and hyphens are a name")
}

pub(crate) fn subscription() -> SubscriptionName {
    SubscriptionName::new(&format!("подписка-{}", sample::fresh())).expect("letters, digits and hyphens are a name")
}

pub(crate) fn seq(number: u64) -> Seq {
    Seq { epoch: 1, number }
}

pub(crate) fn delivered(envelope: &Envelope) -> Change {
    settle(envelope, Settlement::Delivered { present: true, receiver_id: None })
}

pub(crate) fn settle(envelope: &Envelope, outcome: Settlement) -> Change {
    Change::Settle { key: envelope.key.clone(), seq: envelope.seq, id: envelope.id, outcome }
}

pub(crate) fn hold(envelope: &Envelope, not_before: i64) -> Change {
    Change::Hold {
        envelope: envelope.clone(),
        not_before: Moment(not_before),
        attempts: 0,
        reason: HoldReason::Behind,
        clear_mark: false,
        latest: false,
        doubt: false,
    }
}

pub(crate) fn letter(envelope: &Envelope) -> DeadLetter {
    DeadLetter {
        envelope: Some(envelope.clone()),
        raw: None,
        transformed: Some("{\"сумма\":1}".into()),
        exchange: Exchange {
            request: Some("PUT /заказы/1".into()), answer: Some("422 неверная сумма".into())
        },
        fault: "rejected".into(),
        message: "получатель не принял".into(),
        attempts: 3,
        at: Moment(1_763_800_000_777),
    }
}

pub(crate) fn buried(envelope: &Envelope) -> Change {
    settle(envelope, Settlement::DeadLettered { letter: Box::new(letter(envelope)), keep_mark: false })
}

/// Commits and expects success.
pub(crate) async fn commit(store: &dyn StateStore, route: &RouteName, changes: Vec<Change>) -> Vec<Applied> {
    let count = changes.len();
    let applied = store.commit(route, changes).await.expect("committing changes");
    assert_eq!(applied.len(), count, "one answer per change");
    applied
}

pub(crate) async fn one(store: &dyn StateStore, route: &RouteName, change: Change) -> Applied {
    commit(store, route, vec![change]).await[0]
}

/// Buries a message and gives its number.
pub(crate) async fn bury(store: &dyn StateStore, route: &RouteName, envelope: &Envelope) -> i64 {
    match one(store, route, buried(envelope)).await {
        Applied::Dead(number) => number,
        other => panic!("a new dead letter was answered with {other:?}"),
    }
}

pub(crate) async fn fence(store: &dyn StateStore, route: &RouteName, key: &Key) -> Option<Settled> {
    let mut found = store.settled(route, std::slice::from_ref(key)).await.expect("looking a fence up");
    assert_eq!(found.len(), 1, "one answer per key");
    found.remove(0)
}

/// The numbers of all waiting rows, in line order, whenever they are due.
pub(crate) async fn line(store: &dyn StateStore, route: &RouteName) -> Vec<u64> {
    due(store, route, i64::MAX).await
}

pub(crate) async fn due(store: &dyn StateStore, route: &RouteName, now: i64) -> Vec<u64> {
    let rows =
        store.waiting(route, Moment(now), Duration::MAX, 1000, usize::MAX).await.expect("reading the waiting rows");
    rows.iter().map(|row| row.envelope.seq.number).collect()
}
