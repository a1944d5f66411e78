//! Stories as people get them: gathered from the journal and from what runs, told as JSON or as a tree.

mod changes;
mod lines;
mod present;
mod teller;
mod tree;
mod words;

use serde::{Deserialize, Serialize};

pub use lines::Style;
pub use present::{Present, Standing, Stopped, paused, standing};
pub use teller::{Question, Teller};
pub use tree::tree;

/// The answer to `bus where`. Times are RFC 3339 in UTC.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Answer {
    pub word: Option<String>,
    pub objects: Vec<Object>,
    /// More objects than asked for, or more messages than one search looks at.
    pub more: bool,
    /// Rows that could not be read, so that they never became a message.
    #[serde(default)]
    pub unreadable: Vec<Unreadable>,
    /// Known words that are like the asked one, if nothing has it.
    pub near: Vec<String>,
    /// Feeds that could bring more and do not, and why; all feeds, where nothing was found.
    #[serde(default)]
    pub feeds: Vec<String>,
    pub journal: Journal,
}

impl Answer {
    /// Neither a message nor a row.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty() && self.unreadable.is_empty()
    }
}

/// A row that its stream could not read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unreadable {
    /// Number of its dead letter.
    pub dead: i64,
    pub stream: String,
    /// As far as they could be read.
    pub key: Option<String>,
    pub label: Option<String>,
    pub read_at: String,
    pub reason: String,
}

/// How far the journal goes.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Journal {
    pub kept_for_seconds: u64,
    /// When the oldest message that it knows was read.
    pub since: Option<String>,
    /// What it could not keep.
    pub lost: Option<String>,
}

/// One object.
#[derive(Debug, Serialize, Deserialize)]
pub struct Object {
    pub stream: String,
    pub key: String,
    pub label: Option<String>,
    /// There are older versions than those shown.
    pub older: bool,
    /// Oldest first.
    pub versions: Vec<Version>,
    /// What each route has settled last.
    pub settled: Vec<Settled>,
}

/// What a route has settled of a key last.
#[derive(Debug, Serialize, Deserialize)]
pub struct Settled {
    pub route: String,
    pub seq: String,
    pub at_receiver: bool,
    pub receiver_id: Option<String>,
}

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub struct Version {
    pub seq: String,
    pub message_id: String,
    pub generation: u64,
    pub operation: String,
    pub label: Option<String>,
    pub feed: Option<String>,
    /// The round that read it, by the place of its first message.
    pub run: Option<String>,
    pub read_at: String,
    pub published_at: Option<String>,
    /// Against the version before; empty where `comparison` says why there are none.
    pub changes: Vec<Change>,
    pub comparison: Comparison,
    pub routes: Vec<Route>,
}

/// Whether a version could be compared with the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Comparison {
    /// It was; `changes` holds everything.
    Done,
    /// It was, and there are more changes than shown.
    Cut,
    /// It is the first one.
    First,
    /// It is a deletion.
    Deletion,
    /// One of the two is not in the archive.
    NotArchived,
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub field: String,
    /// `changed`, `added`, `removed`, or `perhaps-changed` (masked by different processes).
    pub what: String,
    /// JSON text, cut; nothing where it is masked.
    pub before: Option<String>,
    pub after: Option<String>,
    pub masked: bool,
}

/// A message on a route.
#[derive(Debug, Serialize, Deserialize)]
pub struct Route {
    pub route: String,
    /// `delivered`, `skipped`, `settled`, `dead`, `was-dead`, `waiting`, `on-its-way`, `no-trace`.
    pub state: String,
    /// The state in a sentence.
    pub words: String,
    /// What it waits for, if it waits.
    pub waits_for: Vec<String>,
    /// Number of the open dead letter.
    pub dead: Option<i64>,
    /// What a person can do.
    pub remedy: Option<String>,
    pub steps: Vec<Step>,
}

/// One or several equal steps.
#[derive(Debug, Serialize, Deserialize)]
pub struct Step {
    /// `attempt`, `skipped`, `held`, `dead`, `person`.
    pub kind: String,
    /// What of that; of a person, what he did.
    pub word: String,
    pub since: String,
    pub at: String,
    pub times: u64,
    pub took_ms: Option<u64>,
    pub status: Option<u16>,
    pub until: Option<String>,
    /// In words; of a person, who.
    pub message: Option<String>,
    pub answer: Option<String>,
}
