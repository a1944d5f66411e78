//! The state store: what must survive a crash besides the queues.
//!
//! Every method is one transaction: it has happened entirely or not at all, and a returned `Ok` is on disk.
//! Rule numbers (R1 …, D1 …) are those of docs/protocol.md, which a model checker forced.

use async_trait::async_trait;
use bytes::Bytes;

use super::triage::{Edited, History};
use crate::vocabulary::{
    ContentHash, Cursor, Envelope, Exchange, FeedName, Key, MessageId, Moment, RouteName, Seq, StreamName,
    SubscriptionName, SystemName, UnreadableRecord,
};

/// Cursors, fences, waiting rows, dead letters, attempt marks, gates and outboxes.
#[async_trait]
pub trait StateStore: Send + Sync {
    // --- capture -------------------------------------------------------------------------------------------------

    /// Raises the feed's epoch, then loads cursor and sealed batch, in one transaction (R3). From now on writes
    /// with an older epoch are refused.
    async fn open_feed(&self, feed: &FeedName) -> Result<FeedState, StateError>;

    /// What was last published of each key, in order of `keys`.
    async fn published(&self, stream: &StreamName, keys: &[Key]) -> Result<Vec<Option<Published>>, StateError>;

    /// Stores the batch before it is published (R1). Refused with [`StateError::Fenced`] if the epoch was raised (R4).
    /// A feed has at most one sealed batch.
    async fn seal(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError>;

    /// After the confirms: compare-and-swap on (epoch, `batch.expected`), then cursor, last-published and the removal
    /// of the sealed batch in one transaction.
    async fn advance(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError>;

    /// Keeps rows that nobody can seal, as dead letters of their stream. The same row again changes nothing.
    async fn keep_unreadable(&self, rows: &[UnreadableRecord]) -> Result<(), StateError>;

    // --- comparison scans (progress is not durable: a crash starts the scan again) -------------------------------

    /// Forgets what an earlier scan of the stream had seen.
    async fn scan_begin(&self, stream: &StreamName) -> Result<(), StateError>;
    /// Notes keys as seen.
    async fn scan_seen(&self, stream: &StreamName, keys: &[Key]) -> Result<(), StateError>;
    /// Keys last published as existing that the scan has not seen, after `after`, in key order.
    async fn scan_missing(
        &self,
        stream: &StreamName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Key>, StateError>;
    /// How many keys exist by what was last published, and how many of them the scan has not seen.
    async fn scan_totals(&self, stream: &StreamName) -> Result<ScanTotals, StateError>;

    // --- worker --------------------------------------------------------------------------------------------------

    /// The keys that have something in `waiting` or an open dead letter, and the position reached (D8).
    async fn open_route(&self, route: &RouteName) -> Result<RouteState, StateError>;

    /// The fence of each key, in order of `keys`.
    async fn settled(&self, route: &RouteName, keys: &[Key]) -> Result<Vec<Option<Settled>>, StateError>;

    /// Applies all changes in one transaction, in order, and says of each whether it took effect. Calls made at the
    /// same time share one disk flush.
    async fn commit(&self, route: &RouteName, changes: Vec<Change>) -> Result<Vec<Applied>, StateError>;

    /// Waiting rows whose time has come, in line order, after place `after`.
    async fn waiting(
        &self,
        route: &RouteName,
        now: Moment,
        after: i64,
        limit: usize,
    ) -> Result<Vec<WaitingRow>, StateError>;

    /// Whether a durable attempt mark exists for each id (D7).
    async fn marked(&self, route: &RouteName, ids: &[MessageId]) -> Result<Vec<bool>, StateError>;

    // --- dead letters --------------------------------------------------------------------------------------------

    /// Dead letters, newest last.
    async fn dead_letters(&self, filter: &DeadFilter) -> Result<Vec<DeadRow>, StateError>;

    /// Moves a dead letter back to `waiting` in one transaction (R10), as far as `mode` allows. Clears its attempt mark;
    /// newer rows of its key go behind it.
    async fn replay(&self, id: i64, mode: ReplayMode) -> Result<Replay, StateError>;

    /// Removes a dead letter for good. `false` if there is none.
    async fn drop_dead(&self, id: i64) -> Result<bool, StateError>;

    // --- gates ---------------------------------------------------------------------------------------------------

    /// The moment until which sends to the system may have begun (reserved ahead), in microseconds since 1970;
    /// negative after a clean stop, when none of them can still be under way.
    async fn gate(&self, system: &SystemName) -> Result<Option<i64>, StateError>;
    /// Reserves, or on a clean stop gives back.
    async fn set_gate(&self, system: &SystemName, horizon: i64) -> Result<(), StateError>;

    // --- outboxes of HTTP subscribers ----------------------------------------------------------------------------

    /// Appends in order; positions rise. An envelope that is not newer than the last appended one of its key is skipped.
    async fn outbox_append(&self, name: &SubscriptionName, envelopes: &[Envelope]) -> Result<(), StateError>;
    /// Messages after a position, in order.
    async fn outbox_read(
        &self,
        name: &SubscriptionName,
        after: u64,
        limit: usize,
    ) -> Result<Vec<(u64, Envelope)>, StateError>;
    /// Everything up to `position` was taken; also drops what is older than `oldest` or over `bytes`, and says how many
    /// of those had not been taken.
    async fn outbox_trim(
        &self,
        name: &SubscriptionName,
        position: u64,
        oldest: Moment,
        bytes: u64,
    ) -> Result<u64, StateError>;
    /// Backlog for status and metrics.
    async fn outbox_backlog(&self, name: &SubscriptionName) -> Result<Backlog, StateError>;

    // --- status --------------------------------------------------------------------------------------------------

    /// Counts per route for status and metrics.
    async fn route_counts(&self, route: &RouteName) -> Result<RouteCounts, StateError>;
}

/// What a starting capture goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedState {
    /// Ours from now on.
    pub epoch: u64,
    /// The last durable position.
    pub cursor: Option<Cursor>,
    /// Sealed by a predecessor and perhaps published: publish it again as it is (same ids, same seq: R2, R7) and
    /// advance before anything is fetched.
    pub sealed: Option<SealedBatch>,
}

/// A batch between seal and advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    /// The cursor it was fetched after.
    pub expected: Option<Cursor>,
    /// The cursor once it is confirmed.
    pub next: Option<Cursor>,
    /// In publishing order; at most one version of a key (R8).
    pub envelopes: Vec<Envelope>,
}

/// What was last published of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Generation of the key.
    pub generation: u64,
    /// Hash of operation and body.
    pub hash: ContentHash,
    /// The last operation was a delete.
    pub deleted: bool,
}

/// For the guard of deletions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanTotals {
    /// Keys last published as existing.
    pub existing: u64,
    /// Of these, not seen by the scan.
    pub missing: u64,
}

/// What a starting worker loads before its first take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteState {
    /// Each key with rows in `waiting`, and how many.
    pub waiting: Vec<(Key, u32)>,
    /// Keys with an open dead letter.
    pub dead: Vec<Key>,
    /// Highest seq taken from the queue and settled or held, for the gap check.
    pub reached: Option<Seq>,
}

/// The fence of one key on one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Nothing at or below this is sent.
    pub seq: Seq,
    /// Last id delivered, if any was.
    pub id: Option<MessageId>,
    /// The receiver holds the record.
    pub present: bool,
    /// It may hold one although `present` says no: a version that may have been tried was superseded (D10).
    pub doubt: bool,
    /// The receiver's own id.
    pub receiver_id: Option<String>,
}

/// One durable change of a route's state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The message has its final outcome. Raises the fence, never lowers it (R13), and deletes the waiting row with
    /// exactly this seq (D3).
    Settle {
        /// Key of the message.
        key: Key,
        /// Its seq.
        seq: Seq,
        /// Its id.
        id: MessageId,
        /// What became of it.
        outcome: Settlement,
    },
    /// To `waiting`. Ignored if the fence is as new, the id is dead or waiting (D4), or the key waits with a higher
    /// seq (R12). A key's rows share one `not_before`, so a later version never overtakes a deferred one.
    Hold {
        /// The message.
        envelope: Envelope,
        /// Not to be tried before.
        not_before: Moment,
        /// Attempts made so far.
        attempts: u32,
        /// Why, for an operator.
        reason: HoldReason,
        /// Clears the attempt mark: the receiver is known not to have applied it (D7).
        clear_mark: bool,
        /// `latest`: takes the place of the key's newest row, unless a person replayed that one (D9).
        latest: bool,
        /// An older version of the key is in the worker's hands and may have been tried (D10).
        doubt: bool,
    },
    /// A message from `waiting` failed for now: all rows of its key wait until `not_before`.
    Defer {
        /// Key of the message.
        key: Key,
        /// Its seq.
        seq: Seq,
        /// Its id, for the mark.
        id: MessageId,
        /// Not to be tried before.
        not_before: Moment,
        /// Attempts made so far.
        attempts: u32,
        /// Why.
        reason: HoldReason,
        /// As in `Hold`.
        clear_mark: bool,
    },
    /// To `waiting`, although it was settled: it passes a fence at its own seq (L4). Ignored if the fence is newer, the id
    /// is dead or waiting, or the key waits with a seq as high.
    Again {
        /// The message.
        envelope: Envelope,
    },
    /// Before a send to a receiver that is not idempotent: a crash after it makes the outcome unknown, not unsent.
    Mark {
        /// The message about to be sent.
        id: MessageId,
    },
    /// The receiver is known not to have applied the attempt, and the message stays where it is.
    Unmark {
        /// The message.
        id: MessageId,
    },
    /// Notes on a message in `waiting` what it waits for, and since when: the first time stands. Follows the
    /// [`Change::Hold`] or [`Change::Defer`] of the message in one transaction.
    Await {
        /// The message.
        id: MessageId,
        /// What it waits for, for an operator.
        what: String,
        /// Since when, if it does not wait yet.
        since: Moment,
    },
    /// What the key was held for may be there: its rows are due at once, if the key is held for a record ([`HoldReason::Requires`]).
    Wake {
        /// The key.
        key: Key,
    },
    /// The route has written something, or may have, that can come back to another one (see `engine::echo`).
    Wrote {
        /// That one.
        reader: RouteName,
        /// The record, by the key under which it is read.
        key: String,
        /// Of what was written.
        print: ContentHash,
        /// When the attempt began.
        began: Moment,
    },
    /// Writes of a key that began before this moment cannot come back to this route any more.
    ForgetWrites {
        /// The record.
        key: String,
        /// The moment.
        before: Moment,
    },
    /// Everything up to here was taken from the queue and settled or held.
    Reached {
        /// Highest such seq.
        seq: Seq,
    },
}

/// Final outcomes of a message on a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Settlement {
    /// The receiver has it.
    Delivered {
        /// Whether it now holds the record (false after a delete).
        present: bool,
        /// Its own id; `None` keeps the one known.
        receiver_id: Option<String>,
    },
    /// Not sent, with a counted reason; raises the fence and keeps id, presence and receiver's id.
    Skipped,
    /// A newer version stands in its place (`latest`). The fence stays: an older version may be under way. Of an upsert
    /// the receiver may hold something from now on, because whether it was tried before a crash is not known (D10).
    Superseded {
        /// It was an upsert.
        upsert: bool,
    },
    /// Kept for a person; raises the fence (R9).
    DeadLettered {
        /// The letter.
        letter: Box<DeadLetter>,
        /// The outcome is unknown, so the mark stays (D7); after an upsert the receiver counts as holding the record.
        keep_mark: bool,
    },
}

/// Whether a change took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// Yes.
    Yes,
    /// It was not needed any more, by its own condition.
    Ignored,
    /// It stands in the place of an older version, which is superseded.
    Replaced {
        /// The older one's.
        seq: Seq,
    },
    /// A newer version waits already, and this one is superseded.
    Outdated,
    /// A dead letter was stored under this number.
    Dead(i64),
}

/// Why a message waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldReason {
    /// Behind an earlier message of its key.
    Behind,
    /// Its key failed for now.
    Retry,
    /// The system takes nothing for longer than messages are held in memory (closed window, long outage, slow pace).
    Closed,
    /// The route is paused.
    Paused,
    /// Replayed by a person.
    Replay,
    /// Put there by a task.
    Load,
    /// A map has no answer for it yet.
    Map,
    /// The receiver lacks a record that it refers to.
    Requires,
}

impl HoldReason {
    /// A stable word for stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            HoldReason::Behind => "behind",
            HoldReason::Retry => "retry",
            HoldReason::Closed => "closed",
            HoldReason::Paused => "paused",
            HoldReason::Replay => "replay",
            HoldReason::Load => "load",
            HoldReason::Map => "map",
            HoldReason::Requires => "requires",
        }
    }

    /// Reads [`HoldReason::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        let own = [Self::Behind, Self::Retry, Self::Closed, Self::Paused, Self::Replay, Self::Load];
        own.into_iter().chain([Self::Map, Self::Requires]).find(|reason| reason.as_str() == text)
    }
}

/// A row of `waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// Place in line; lower goes first.
    pub place: i64,
    /// The message.
    pub envelope: Envelope,
    /// Attempts made so far.
    pub attempts: u32,
    /// Why it waits.
    pub reason: HoldReason,
    /// How it may pass the fence.
    pub replayed: Replayed,
    /// It was a dead letter, and a person changed what it sends.
    pub edited: Option<Edited>,
    /// Since when it waits for something of its own (see [`Change::Await`]).
    pub held_since: Option<Moment>,
}

/// What a person needs to decide about a message that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The message; `None` for a foreign message in the queue.
    pub envelope: Option<Envelope>,
    /// Raw bytes of a foreign message.
    pub raw: Option<Bytes>,
    /// What the transformation made of it.
    pub transformed: Option<Bytes>,
    /// What was sent and answered last.
    pub exchange: Exchange,
    /// Word of the fault (`rejected`, `busy`, `ambiguous`, `shape`, `foreign`, `unreadable`).
    pub fault: String,
    /// What happened, in words.
    pub message: String,
    /// Attempts made.
    pub attempts: u32,
    /// When.
    pub at: Moment,
}

/// A stored dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadRow {
    /// Its number.
    pub id: i64,
    /// The route, or `None` for a row its stream could not read.
    pub route: Option<RouteName>,
    /// The stream.
    pub stream: Option<StreamName>,
    /// The key of the message; of a row that could not be read, as far as its key could.
    pub key: Option<Key>,
    /// The label of the same.
    pub label: Option<String>,
    /// The letter.
    pub letter: DeadLetter,
    /// What was done with it before.
    pub history: History,
}

/// Which dead letters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeadFilter {
    /// Only this number.
    pub id: Option<i64>,
    /// Only of this route.
    pub route: Option<RouteName>,
    /// Only of this key or label.
    pub key: Option<String>,
    /// Only of this group: see [`crate::policy::fingerprint()`].
    pub group: Option<String>,
    /// Only numbers from this one.
    pub from: Option<i64>,
    /// Only numbers up to and including this one.
    pub to: Option<i64>,
    /// Only those that died at this moment or later.
    pub since: Option<Moment>,
    /// Only those that died before this moment.
    pub until: Option<Moment>,
    /// At most so many (the newest); 0 means 1000.
    pub limit: usize,
}

/// How far a replay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplayMode {
    /// Refused if a newer version of the key was settled or waits.
    Careful,
    /// The letters of a run of rejects come back: refused if a newer version was settled.
    Return,
    /// A person wants it at the receiver, whatever that holds.
    Forced,
}

/// Whether a row of `waiting` was a dead letter, and so how it may pass the fence, which its death raised to its own seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replayed {
    /// It was none.
    Never,
    /// It passes a fence at its own seq.
    Asked,
    /// It passes any fence.
    Forced,
}

/// What a replay did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replay {
    /// It waits again on this route.
    Waiting {
        /// The route.
        route: RouteName,
        /// Its stream.
        stream: StreamName,
        /// Its key, for the worker's index.
        key: Key,
        /// Its seq.
        seq: Seq,
        /// Its label.
        label: Option<String>,
    },
    /// Refused: a newer version of the key was settled or waits.
    Newer {
        /// The newer one.
        seq: Seq,
    },
    /// There is no such dead letter, or it cannot go back (foreign or unreadable).
    NotFound,
}

/// Backlog of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages not yet taken.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was read.
    pub oldest: Option<Moment>,
    /// The last position given.
    pub last: u64,
}

/// Counts of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Rows in `waiting`.
    pub waiting: u64,
    /// When the oldest of them was read.
    pub oldest: Option<Moment>,
    /// Of them, those that wait for something of their own: a map, or a record that they refer to.
    pub held: u64,
    /// Open dead letters.
    pub dead: u64,
}

/// The store cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Somebody newer owns this feed: drop the work in hand (R3, R4).
    #[error("another process has taken this feed over")]
    Fenced,
    /// The cursor is not the expected one, although the epoch is.
    #[error("the stored cursor is not the one this batch was read after")]
    CursorMoved,
    /// Disk full, I/O error: nothing was changed; try again.
    #[error("the state store failed: {0}")]
    Failed(String),
    /// The file is damaged: stop, restore from a backup. Never "start over".
    #[error("the state store is damaged: {0}")]
    Corrupt(String),
}
