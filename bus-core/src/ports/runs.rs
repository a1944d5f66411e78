//! Runs of routes with a schedule, so that a crash in the middle of one goes on with it.

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::{Moment, RouteName};

/// Keeps the last run of each route. Each method is one transaction; a returned `Ok` is on disk.
#[async_trait]
pub trait Runs: Send + Sync {
    /// The last run that began.
    async fn last_run(&self, route: &RouteName) -> Result<Option<Run>, StateError>;

    /// In the place of the one kept before.
    async fn keep_run(&self, route: &RouteName, run: Run) -> Result<(), StateError>;
}

/// One run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// When it began: what was read until then belongs to it.
    pub since: Moment,
    /// Everything that belongs to it was taken from the queue, and is settled or waits.
    pub over: bool,
}
