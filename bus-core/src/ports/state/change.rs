//! What a worker commits: durable changes of a route's state, and whether each took effect.

use super::dead::DeadLetter;
use crate::vocabulary::{ContentHash, Envelope, Key, MessageId, Moment, RouteName, Seq};

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
        /// Whether the receiver has taken it is not known.
        in_doubt: bool,
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
