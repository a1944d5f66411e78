//! Work that people order beside the live flow: filling a receiver (load) and sending again (resend).
//!
//! The rules L1 to L9 of docs/protocol.md.

use async_trait::async_trait;

use super::source::BatchLimit;
use super::state::StateError;
use crate::policy::Slice;
use crate::vocabulary::{ContentHash, Envelope, FeedName, Key, Moment, Period, RouteName, Seq, StreamName};

/// What a task does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Sends what the receiver has not got.
    Load,
    /// Sends what it has got, once more.
    Resend,
}

impl Kind {
    /// A stable word for stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Load => "load",
            Kind::Resend => "resend",
        }
    }

    /// Reads [`Kind::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Load, Self::Resend].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its feed scans the source, or will.
    Reading,
    /// What was read goes to the receiver.
    Sending,
    /// Everything has entered the route's line, and left it.
    Done,
    /// A person ended it; what is in the route's line is still sent.
    Cancelled,
    /// It cannot be done.
    Failed,
}

impl Stage {
    /// A stable word for stores and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Reading => "reading",
            Stage::Sending => "sending",
            Stage::Done => "done",
            Stage::Cancelled => "cancelled",
            Stage::Failed => "failed",
        }
    }

    /// Reads [`Stage::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Reading, Self::Sending, Self::Done, Self::Cancelled, Self::Failed];
        all.into_iter().find(|stage| stage.as_str() == text)
    }

    /// There is something left to do.
    pub fn is_open(self) -> bool {
        matches!(self, Stage::Reading | Stage::Sending)
    }
}

/// What a person ordered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// What is done.
    pub kind: Kind,
    /// Who reads the source.
    pub feed: FeedName,
    /// Which of its streams.
    pub stream: StreamName,
    /// Where it goes.
    pub route: RouteName,
    /// Only records of these keys or labels; empty is all of them.
    pub only: Vec<String>,
    /// Only records of these dates.
    pub part: Option<Period>,
    /// The backfill whose step it is; it decides what follows.
    pub backfill: Option<i64>,
    /// The share of the route's sends, in percent, that it may take while other messages wait: 1 to 100.
    pub share: u8,
    /// Who ordered it, as `user@host`.
    pub who: String,
}

/// A task and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Its number.
    pub id: i64,
    /// What was ordered.
    pub order: Order,
    /// When it was ordered.
    pub at: Moment,
    /// How far it is.
    pub stage: Stage,
    /// When it ended.
    pub ended: Option<Moment>,
    /// Records read from the source so far.
    pub read: u64,
    /// Of these, kept for the route.
    pub kept: u64,
    /// Of these, handed to the route: put into its line, or known to be there or settled.
    pub sent: u64,
    /// Which keys this reading keeps; those before it are done.
    pub slice: Slice,
    /// Why it failed.
    pub error: Option<String>,
}

/// The place in the order of what was last published of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its seq.
    pub seq: Seq,
    /// Its generation.
    pub generation: u64,
    /// Its content.
    pub hash: ContentHash,
}

/// What a route has in its line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Line {
    /// Rows that a task put there and that were not tried in vain.
    pub loaded: u64,
    /// All rows of `waiting`.
    pub waiting: u64,
}

/// Keeps tasks and what they have read. Each method is one transaction; `Ok` is on disk.
#[async_trait]
pub trait TaskStore: Send + Sync {
    /// The place of what was last published of each key, in order of `keys`.
    async fn places(&self, stream: &StreamName, keys: &[Key]) -> Result<Vec<Option<Place>>, StateError>;

    /// Keeps a new task, in [`Stage::Reading`], and gives its number.
    async fn order_task(&self, order: &Order) -> Result<i64, StateError>;
    /// The open tasks and the last hundred that ended, oldest first.
    async fn tasks(&self) -> Result<Vec<Task>, StateError>;
    /// Changes the stage of an open task; an end forgets the rows it still kept. `false`: it is not open.
    async fn set_stage(&self, id: i64, stage: Stage, error: Option<&str>) -> Result<bool, StateError>;

    /// A scan begins: what an earlier one had kept is forgotten. `false`: it is not in [`Stage::Reading`], and nothing changes.
    async fn begin_reading(&self, id: i64) -> Result<bool, StateError>;
    /// Keeps rows for the route, of so many records read. Gives the bytes that this reading has kept.
    async fn keep_rows(&self, id: i64, read: u64, rows: &[Envelope]) -> Result<u64, StateError>;
    /// A reading goes on with fewer keys: the rows of others are forgotten. Gives the bytes that are left.
    async fn narrow(&self, id: i64, slice: Slice) -> Result<u64, StateError>;
    /// What was read is sent: the source is read again, for these keys. `false`: the task is not open.
    async fn read_on(&self, id: i64, slice: Slice) -> Result<bool, StateError>;
    /// Kept rows in the order they were kept, with their places: at most `limit`, and none behind the one that reaches
    /// `bytes`.
    async fn rows(&self, id: i64, limit: usize, bytes: usize) -> Result<Vec<(i64, Envelope)>, StateError>;
    /// L9: of each message whether nothing newer of its key was published. `None`: the feed has sealed what is not yet behind
    /// it, so nobody knows.
    async fn are_latest(&self, feed: &FeedName, messages: &[Envelope]) -> Result<Option<Vec<bool>>, StateError>;
    /// L5: these are durable in the route's line, or need not be there.
    async fn forget_rows(&self, id: i64, places: &[i64]) -> Result<(), StateError>;
    /// For streams whose source cannot be read again: archived messages below a place, the newest first, up to `limit`;
    /// of those that were read `between` two moments. There is one where there are any. Masked fields hold signs, so the
    /// hash is not that of the published content.
    async fn archived(
        &self,
        stream: &StreamName,
        below: Option<Seq>,
        between: Option<(Moment, Moment)>,
        limit: BatchLimit,
    ) -> Result<Vec<Envelope>, StateError>;
    /// The keys of what a route has delivered from `since` to before `until`, as far as the journal knows; at most `limit`.
    async fn delivered_between(
        &self,
        route: &RouteName,
        since: Moment,
        until: Moment,
        limit: usize,
    ) -> Result<Vec<Key>, StateError>;
    /// What a route has in its line.
    async fn line(&self, route: &RouteName) -> Result<Line, StateError>;
}
