//! Stories: what the journal and the durable tables together know about an object.
//!
//! Where they differ the durable tables are right: the journal may lack what happened right before a crash, and a
//! step in it may belong to an outcome that was never committed.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::state::{HoldReason, StateError};
use crate::vocabulary::{FeedName, Key, MessageId, Moment, Operation, RouteName, Seq, StreamName};

/// Looks things up for people. Never in the hot path; every answer is bounded.
#[async_trait]
pub trait Stories: Send + Sync {
    /// Objects by word, time and state.
    async fn find(&self, search: &Search) -> Result<Found, StateError>;

    /// One object's story. Empty for an object that nobody knows.
    async fn story(&self, of: &StoryOf) -> Result<Story, StateError>;
}

/// Which objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// A key or a label, whole.
    pub word: Option<String>,
    /// Only of this stream.
    pub stream: Option<StreamName>,
    /// Only with a version read at or after this.
    pub since: Option<Moment>,
    /// Only with a version read before this.
    pub until: Option<Moment>,
    /// Only with a message that is in this state on some route.
    pub state: Option<StateKind>,
    /// The routes there are, with the stream each takes: a message that none of them has taken yet is on its way.
    pub routes: Vec<(RouteName, StreamName)>,
    /// At most so many, the newest.
    pub limit: usize,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// The objects, the newest first.
    pub objects: Vec<Object>,
    /// Rows that nobody could read, with the word as key or label; without a word, where dead letters are asked for.
    pub unreadable: Vec<Unreadable>,
    /// There are more than `limit`, or more messages than one search looks at.
    pub more: bool,
    /// Labels and keys that stand near the word, where nothing has it.
    pub near: Vec<String>,
    /// When the oldest message that the journal still knows was read.
    pub since: Option<Moment>,
    /// Notes that could not be kept, and when that was.
    pub lost: Option<(u64, Moment, Moment)>,
}

/// A row that its stream could not read, kept as a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Number of the letter.
    pub letter: i64,
    /// The stream.
    pub stream: StreamName,
    /// Its key, as far as it could be read.
    pub key: Option<Key>,
    /// Its label, as far as it could be read.
    pub label: Option<String>,
    /// When it was read first.
    pub at: Moment,
    /// What is wrong with it.
    pub reason: String,
}

/// One object: everything under one key of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its stream.
    pub stream: StreamName,
    /// Its key.
    pub key: Key,
    /// The label of its newest version that has one.
    pub label: Option<String>,
}

/// Which story.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoryOf {
    /// The object's stream.
    pub stream: StreamName,
    /// Its key.
    pub key: Key,
    /// The routes that take the stream.
    pub routes: Vec<RouteName>,
    /// At most so many versions, the newest.
    pub versions: usize,
    /// Only versions read at or after this.
    pub since: Option<Moment>,
    /// Only versions read before this.
    pub until: Option<Moment>,
}

/// An object's story, as far back as the journal goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Story {
    /// Oldest first.
    pub versions: Vec<Version>,
    /// There are older ones that were not asked for.
    pub older: bool,
    /// What each route has settled of the key last, also where the journal no longer knows it.
    pub fences: Vec<(RouteName, Fence)>,
}

/// What a route has settled of a key last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Nothing at or below it is sent any more.
    pub seq: Seq,
    /// The receiver holds the record.
    pub present: bool,
    /// The receiver's own id of it.
    pub receiver_id: Option<String>,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Its place in the stream.
    pub seq: Seq,
    /// Its id.
    pub id: MessageId,
    /// Which version of its key.
    pub generation: u64,
    /// Exists or is gone.
    pub operation: Operation,
    /// Its label.
    pub label: Option<String>,
    /// Where the journal knows it: the feed, and the number of the round's first message.
    pub run: Option<(FeedName, u64)>,
    /// When it was read.
    pub read_at: Moment,
    /// When the broker had confirmed it.
    pub published_at: Option<Moment>,
    /// The archived body, with masked fields.
    pub body: Option<Bytes>,
    /// By route.
    pub routes: Vec<OnRoute>,
}

/// A message on a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnRoute {
    /// The route.
    pub route: RouteName,
    /// What is true of it now.
    pub state: State,
    /// What happened, oldest first.
    pub steps: Vec<PastStep>,
}

/// What is true of a message on a route, by the durable tables first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The receiver has taken it.
    Delivered,
    /// Not sent, for this reason.
    Skipped(String),
    /// It had its outcome, which the journal does not know: delivered, or overtaken by a newer version.
    Settled,
    /// A dead letter with this number, open.
    Dead(i64),
    /// It was a dead letter, which a person has dropped or replayed.
    WasDead,
    /// In `waiting`.
    Waiting {
        /// Why.
        reason: HoldReason,
        /// Not to be tried before.
        until: Moment,
        /// Attempts so far that count.
        attempts: u32,
        /// Earlier messages of its key wait before it.
        behind: u64,
        /// What it waits for, where it is something of its own (see `Change::Await`), and since when.
        held: Option<(String, Moment)>,
    },
    /// In the queue or in hand.
    OnItsWay,
    /// The route has taken later messages, and nothing says that it ever had this one: it was read before the route took
    /// the stream, or is in hand right now.
    NoTrace,
}

/// The states one can search for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateKind {
    /// [`State::Delivered`].
    Delivered,
    /// [`State::Skipped`].
    Skipped,
    /// [`State::Dead`].
    Dead,
    /// [`State::Waiting`].
    Waiting,
    /// [`State::OnItsWay`].
    OnItsWay,
}

impl StateKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Delivered, Self::Skipped, Self::Dead, Self::Waiting, Self::OnItsWay];

    /// A stable word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Skipped => "skipped",
            Self::Dead => "dead",
            Self::Waiting => "waiting",
            Self::OnItsWay => "on-its-way",
        }
    }

    /// Reads [`StateKind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

impl State {
    /// What one searches for it by, if one can.
    pub fn kind(&self) -> Option<StateKind> {
        match self {
            State::Delivered => Some(StateKind::Delivered),
            State::Skipped(_) => Some(StateKind::Skipped),
            State::Dead(_) => Some(StateKind::Dead),
            State::Waiting { .. } => Some(StateKind::Waiting),
            State::OnItsWay => Some(StateKind::OnItsWay),
            State::Settled | State::WasDead | State::NoTrace => None,
        }
    }
}

/// One or several equal steps in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastStep {
    /// What it was.
    pub kind: StepKind,
    /// `ok` or a fault, the reason of a skip or a hold, the fault of a dead letter.
    pub word: String,
    /// The first of them.
    pub since: Moment,
    /// The last of them.
    pub at: Moment,
    /// How many.
    pub times: u64,
    /// How long the last attempt took.
    pub took: Option<Duration>,
    /// The receiver's status code.
    pub status: Option<u16>,
    /// Until when it was held.
    pub until: Option<Moment>,
    /// The last of them in words.
    pub message: Option<String>,
    /// What was answered last, an excerpt.
    pub answer: Option<String>,
}

/// What a past step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepKind {
    /// An attempt at the receiver.
    Attempt,
    /// Not sent.
    Skipped,
    /// Moved to `waiting`, or left there.
    Held,
    /// Became a dead letter.
    Dead,
    /// A person did something about it: the word says what, the message who.
    Person,
}
