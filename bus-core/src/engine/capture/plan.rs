//! What the configuration says about a feed, and what it tells of itself.

use chrono_tz::Tz;

use super::DeletionGuard;
use crate::policy::Schedule;
use crate::ports::source::{BatchLimit, SourceError, SourceFault};
use crate::ports::state::StateError;
use crate::vocabulary::{FeedName, Moment, StreamName};

/// What the configuration says about a feed.
#[derive(Debug, Clone)]
pub struct FeedPlan {
    /// Its name.
    pub name: FeedName,
    /// The streams it serves.
    pub streams: Vec<StreamPlan>,
    /// When a round is due.
    pub schedule: Schedule,
    /// The zone that schedules are read in.
    pub timezone: Tz,
    /// How changes are found.
    pub changes: Changes,
    /// Bounds of one batch.
    pub limit: BatchLimit,
}

/// A stream of a feed.
#[derive(Debug, Clone)]
pub struct StreamPlan {
    /// Its name.
    pub name: StreamName,
    /// Key columns, to name the values in a deletion's body.
    pub key: Vec<String>,
    /// The column of dates that parts of it are read by.
    pub date: Option<String>,
}

/// How a feed finds changes.
#[derive(Debug, Clone)]
pub enum Changes {
    /// The source has a position; now and then a full comparison finds what no position can.
    Cursor {
        /// When to compare everything.
        recheck: Option<(Schedule, DeletionGuard)>,
    },
    /// Everything is compared with what was last published.
    Diff(DeletionGuard),
    /// Records are pushed to us; `fetch` waits for them.
    Push,
}

/// What `status` tells about a feed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FeedStatus {
    /// The last round without an error.
    pub last_success: Option<Moment>,
    /// The last error, while it lasts.
    pub error: Option<String>,
    /// It has stopped and does not go on by itself.
    pub stopped: bool,
    /// When the next round is due.
    pub next: Option<Moment>,
    /// Paused by a person: who, since when and why.
    pub paused: Option<String>,
    /// When a person moved its position last, since this process began.
    pub moved: Option<Moment>,
}

/// Why a round did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum RoundError {
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The state store.
    #[error(transparent)]
    State(#[from] StateError),
}

impl RoundError {
    /// The feed must not go on by itself.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            RoundError::State(StateError::Fenced | StateError::Corrupt(_))
                | RoundError::Source(SourceError { fault: SourceFault::CursorUnreadable, .. })
        )
    }
}
