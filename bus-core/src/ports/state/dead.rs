//! Dead letters, how they are found, and what a replay does with them.

use bytes::Bytes;

use crate::ports::triage::History;
use crate::vocabulary::{Envelope, Exchange, Key, Moment, RouteName, Seq, StreamName};

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
    /// Word of the fault of the last attempt (`rejected`, `busy`, `ambiguous`, …), or why nothing was sent (`shape`, `overtaken`,
    /// `map`, `requires`, `foreign`, `unreadable`).
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
    /// Only what a line of a list shows: the body of the envelope is left empty, what was sent, answered and edited is left
    /// out. A hundred thousand letters may be gigabytes.
    pub brief: bool,
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
