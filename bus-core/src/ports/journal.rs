//! The journal: what happened to each message, kept for people. The bus never reads it to decide anything.

use std::time::Duration;

use async_trait::async_trait;

use super::state::{HoldReason, StateError};
use crate::vocabulary::{Envelope, FeedName, Moment, RouteName, Seq, StreamName};

/// Takes notes beside the hot path.
///
/// `note` never waits and never fails. A note that was made before a call of [`super::state::StateStore`] on the same
/// store began is durable no later than what that call writes: a failed attempt is in the journal before its
/// message can be acked. Notes may repeat after a crash. While the store takes no writes notes are kept up to a bound;
/// beyond it the newest are counted and lost, and the journal says so.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Takes a note.
    fn note(&self, event: Event);

    /// Returns when everything noted before is durable.
    async fn flush(&self) -> Result<(), StateError>;
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Messages were read and sealed; perhaps noted before.
    Sealed(Run),
    /// The broker has confirmed messages of one epoch, up to and including `last`.
    Published {
        /// Their stream.
        stream: StreamName,
        /// The first of them.
        first: Seq,
        /// Number of the last of them, in the same epoch.
        last: u64,
        /// When.
        at: Moment,
    },
    /// Something happened to a message on a route.
    Step(Step),
}

/// Neighbouring messages of one stream that one round of a feed has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The feed.
    pub feed: FeedName,
    /// The number of the round's first message of this stream: with the epoch it names the round.
    pub number: u64,
    /// Of one stream and epoch, with rising numbers without holes, never none. Bodies are masked already, and empty
    /// where they are not to be kept.
    pub envelopes: Vec<Envelope>,
    /// How long the bodies are kept; `None`: there are none.
    pub archive: Option<Duration>,
}

/// One step of a message on a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The route.
    pub route: RouteName,
    /// The message's stream.
    pub stream: StreamName,
    /// The message's place in it.
    pub seq: Seq,
    /// When it ended.
    pub at: Moment,
    /// What it was.
    pub what: What,
}

/// What a step was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// One attempt at the receiver.
    Attempt {
        /// From its start to its verdict.
        took: Duration,
        /// `ok`, or the word of a fault.
        result: &'static str,
        /// The receiver's status code, where it has such a thing.
        status: Option<u16>,
        /// What happened, in words; empty after a success.
        message: String,
        /// The beginning of what was answered to a failed attempt, masked.
        answer: Option<String>,
    },
    /// Not sent, for a fixed reason.
    Skipped(&'static str),
    /// Moved to `waiting`, or left there for longer.
    Held {
        /// Why.
        reason: HoldReason,
        /// Not to be tried before.
        until: Moment,
    },
    /// Kept as a dead letter.
    Dead {
        /// The letter's word.
        fault: String,
        /// What happened, in words, masked.
        message: String,
    },
    /// A person did something about it.
    Person {
        /// What.
        deed: Deed,
        /// Who, as `user@host`.
        who: String,
    },
}

/// What people do about a message on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Its dead letter has another content.
    Edited,
    /// An export has brought its dead letter back, or another content.
    Imported,
    /// Its dead letter is in the line again.
    Replayed,
    /// The same, even over a newer version.
    Forced,
    /// Its dead letter is removed for good.
    Dropped,
    /// It is in the line again although it was delivered.
    Resent,
    /// It is in the line of a route that had not got it.
    Loaded,
}

impl Deed {
    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Imported => "imported",
            Self::Replayed => "replayed",
            Self::Forced => "forced",
            Self::Dropped => "dropped",
            Self::Resent => "resent",
            Self::Loaded => "loaded",
        }
    }
}
