//! What the bus remembers of its troubles: incidents, who was told, maintenance, and which base a source was.
//!
//! Every method is one transaction, as in [`StateStore`](super::state::StateStore).

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::{
    Cursor, FeedName, Identity, Incident, IncidentKind, Moment, RouteName, StreamName, SystemName,
};

/// Incidents and everything around them.
#[async_trait]
pub trait WatchStore: Send + Sync {
    /// The open incidents.
    async fn open_incidents(&self) -> Result<Vec<Incident>, StateError>;

    /// Writes incidents as they are now, by kind, subject and `since`; of the closed ones a bounded number is kept, the
    /// latest.
    async fn keep_incidents(&self, incidents: &[Incident]) -> Result<(), StateError>;

    /// Closed incidents, the latest first.
    async fn past_incidents(&self, limit: usize) -> Result<Vec<Incident>, StateError>;

    /// Which causes a channel was told of, and when last.
    async fn told(&self, channel: &str) -> Result<Vec<Told>, StateError>;

    /// The channel was told of `now`, and that `over` are resolved.
    async fn keep_told(&self, channel: &str, now: &[Told], over: &[(IncidentKind, String)]) -> Result<(), StateError>;

    /// Maintenance that has not ended by `now`, in order of its numbers.
    async fn maintenance(&self, now: Moment) -> Result<Vec<Maintenance>, StateError>;

    /// Keeps a maintenance and gives its number; `id` of the argument says nothing.
    async fn start_maintenance(&self, maintenance: &Maintenance) -> Result<i64, StateError>;

    /// Ends one now; `false` if none of this number is under way.
    async fn end_maintenance(&self, id: i64, now: Moment) -> Result<bool, StateError>;

    /// What could not be read and waits for a person: how many of each stream, and why the last of them.
    async fn unreadable(&self) -> Result<Vec<Unreadable>, StateError>;

    /// Open dead letters of each route that has any, of this configuration or not.
    async fn dead_by_route(&self) -> Result<Vec<(RouteName, u64)>, StateError>;

    /// Since when the position of a feed has stayed although rows come, if it is this one.
    async fn standing(&self, feed: &FeedName, cursor: &Cursor) -> Result<Option<Moment>, StateError>;

    /// It stays since then.
    async fn keep_standing(&self, feed: &FeedName, cursor: &Cursor, since: Moment) -> Result<(), StateError>;

    /// Which base the feed read last.
    async fn identity(&self, feed: &FeedName) -> Result<Option<Identity>, StateError>;

    /// It reads this one now; `None`: whatever answers next is right.
    async fn keep_identity(&self, feed: &FeedName, identity: Option<&Identity>) -> Result<(), StateError>;
}

/// A channel was told of a cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The kind of the cause.
    pub kind: IncidentKind,
    /// Its subject.
    pub subject: String,
    /// When, the last time.
    pub at: Moment,
}

/// Work at a system, or at all: incidents are kept and shown, but nobody is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Maintenance {
    /// Its number.
    pub id: i64,
    /// Only this system; `None` is everything.
    pub system: Option<SystemName>,
    /// From when.
    pub begins: Moment,
    /// Until when.
    pub ends: Moment,
    /// Who began it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// Records of one stream that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The stream; the feed, for what none of its streams takes.
    pub stream: StreamName,
    /// How many are kept.
    pub count: u64,
    /// Why the last of them could not be read.
    pub last: String,
}
