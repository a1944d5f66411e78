//! Feeds: where records come from, and how changes are found.

use std::time::Duration;

use bus_core::policy::Schedule;
use bus_core::vocabulary::{FeedName, StreamName, SystemName};
use bus_options::SecretRef;
use url::Url;

use super::Overlap;
use super::own::JOINS;

/// One reader with one cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Feed {
    /// Its name: the stream's, where it is read by itself.
    pub name: FeedName,
    /// The streams it serves; at least one.
    pub streams: Vec<StreamName>,
    /// The column that names a record's entity, where each of the streams has one.
    pub entity_column: Option<String>,
    /// Where records come from.
    pub source: FeedSource,
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq)]
pub enum FeedSource {
    /// They are read.
    Query {
        /// The system that is read.
        system: SystemName,
        /// What to read.
        query: String,
        /// When.
        schedule: Schedule,
        /// How changes are found.
        changes: Changes,
    },
    /// They are read from a base of 1C; each stream says what.
    Odata {
        /// The base.
        system: SystemName,
        /// When.
        schedule: Schedule,
        /// How changes are found.
        changes: Changes,
    },
    /// They are put together from other streams.
    Join(Join),
    /// They are pushed.
    Push {
        /// Path under the bus's own address.
        path: String,
        /// What the sender must present.
        key: SecretRef,
    },
}

/// What a joined stream is put together from.
#[derive(Debug, Clone, PartialEq)]
pub struct Join {
    /// The joined stream.
    pub stream: StreamName,
    /// The stream whose records its are.
    pub main: StreamName,
    /// Its fields that hold the key.
    pub key: Vec<String>,
    /// The other parts.
    pub with: Vec<JoinPart>,
    /// When to look for changed parts.
    pub schedule: Schedule,
}

/// A part of a joined stream.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinPart {
    /// Its stream.
    pub stream: StreamName,
    /// Its fields that hold the key of the record it belongs to.
    pub on: Vec<String>,
    /// A list.
    pub many: bool,
    /// Where it stands in the joined record.
    pub field: String,
}

impl Join {
    /// Each stream that it takes, with the fields that hold the joined record's key; the main one first.
    pub fn parts(&self) -> impl Iterator<Item = (&StreamName, &[String])> {
        let others = self.with.iter().map(|part| (&part.stream, &part.on[..]));
        std::iter::once((&self.main, &self.key[..])).chain(others)
    }

    /// The name of the bus's own route that keeps a part.
    pub fn route_of(&self, part: &StreamName) -> String {
        format!("{JOINS}{}.{part}", self.stream)
    }
}

/// How changes are found.
#[derive(Debug, Clone, PartialEq)]
pub enum Changes {
    /// By a column that grows.
    Cursor {
        /// The column.
        column: String,
        /// How far to read back.
        overlap: Overlap,
        /// When to compare everything, and the share of deletions above which a person must agree.
        recheck: Option<Recheck>,
    },
    /// By comparing with what was published last.
    Diff {
        /// The share of deletions above which a person must agree, from 0.0 to 1.0.
        guard: f64,
        /// Of a base of 1C: by `DataVersion` first, and the records of which it is another.
        by_version: bool,
    },
    /// By what a base of 1C registers for a node.
    Plan {
        /// The exchange plan.
        plan: String,
        /// The node's code.
        node: String,
        /// The root of the interface as 1C writes it, where it is another than ours.
        point: Option<Url>,
        /// How long a question that was cut off may be at work in 1C.
        quiet: Duration,
        /// When to compare everything, and the share of deletions above which a person must agree.
        recheck: Option<Recheck>,
    },
}

/// A full comparison beside a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Recheck {
    /// When.
    pub schedule: Schedule,
    /// The share of deletions above which a person must agree, from 0.0 to 1.0.
    pub guard: f64,
}
