//! What ran last on a schedule: runs of routes, so that a crash in the middle of one goes on with it, and rechecks of
//! feeds, so that one that was missed is made up.

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::{FeedName, Moment, RouteName};

/// Keeps the last run of each route, and the last recheck of each feed. Each method is one transaction; a returned `Ok`
/// is on disk.
#[async_trait]
pub trait Runs: Send + Sync {
    /// The last run that began.
    async fn last_run(&self, route: &RouteName) -> Result<Option<Run>, StateError>;

    /// In the place of the one kept before.
    async fn keep_run(&self, route: &RouteName, run: Run) -> Result<(), StateError>;

    /// When the last recheck of a feed began that came to its end.
    async fn last_recheck(&self, feed: &FeedName) -> Result<Option<Moment>, StateError>;

    /// In the place of the one kept before.
    async fn keep_recheck(&self, feed: &FeedName, began: Moment) -> Result<(), StateError>;
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// When it began: what was read until then belongs to it.
    pub since: Moment,
    /// Everything that belongs to it was taken from the queue, and is settled or waits.
    pub over: bool,
}
