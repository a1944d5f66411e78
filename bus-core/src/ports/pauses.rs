//! What people have stopped, kept across restarts.

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::{FeedName, Moment, NameError, RouteName, SystemName};

/// What can be paused by a person.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A feed reads nothing.
    Feed(FeedName),
    /// A route sends nothing.
    Route(RouteName),
    /// Nothing is sent to the system, and nothing is read from it.
    System(SystemName),
}

impl Subject {
    /// A stable word: `feed`, `route` or `system`.
    pub fn kind(&self) -> &'static str {
        match self {
            Subject::Feed(_) => "feed",
            Subject::Route(_) => "route",
            Subject::System(_) => "system",
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Subject::Feed(name) => name.as_str(),
            Subject::Route(name) => name.as_str(),
            Subject::System(name) => name.as_str(),
        }
    }

    /// From the word of [`Subject::kind`] and a name; `None` for another word.
    pub fn parse(kind: &str, name: &str) -> Option<Result<Self, NameError>> {
        match kind {
            "feed" => Some(FeedName::new(name).map(Subject::Feed)),
            "route" => Some(RouteName::new(name).map(Subject::Route)),
            "system" => Some(SystemName::new(name).map(Subject::System)),
            _ => None,
        }
    }
}

/// `route orders-to-shop`
impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// A pause that a person ordered; it ends only when a person ends it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// What is paused.
    pub subject: Subject,
    /// Who ordered it, as `user@host`.
    pub who: String,
    /// Why, in the person's words.
    pub why: String,
    /// Since when.
    pub since: Moment,
}

/// `by anna@erp1 since 2026-11-22T20:00:00.000Z: stock-taking`
impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "by {} since {}: {}", self.who, self.since, self.why)
    }
}

/// Keeps pauses. Every method is one transaction; `Ok` is on disk.
#[async_trait]
pub trait PauseStore: Send + Sync {
    /// All of them, by subject.
    async fn pauses(&self) -> Result<Vec<Pause>, StateError>;
    /// Keeps a pause; of a subject that is paused already, the new words count.
    async fn keep_pause(&self, pause: &Pause) -> Result<(), StateError>;
    /// Ends a pause; `false` if there was none.
    async fn end_pause(&self, subject: &Subject) -> Result<bool, StateError>;
}
