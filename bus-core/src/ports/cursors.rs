//! Where feeds stand, to look at and to change while a feed does not run.

use async_trait::async_trait;

use super::state::StateError;
use crate::vocabulary::{Cursor, FeedName};

/// Where a feed stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The feed.
    pub feed: FeedName,
    /// How often it was opened.
    pub epoch: u64,
    /// Everything up to here is confirmed; `None`: it begins at the beginning.
    pub cursor: Option<Cursor>,
    /// A batch is sealed and not yet confirmed.
    pub sealed: bool,
}

/// What came of moving a cursor without its feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// It is there; whoever had the feed open is fenced.
    Yes,
    /// Refused: a sealed batch has to be published first, by the feed itself.
    Sealed,
    /// No feed of this name has ever run.
    Unknown,
}

/// Each method is one transaction; `Ok` is on disk.
#[async_trait]
pub trait CursorStore: Send + Sync {
    /// Every feed that has ever run.
    async fn standings(&self) -> Result<Vec<Standing>, StateError>;
    /// For a feed that does not run: raises the epoch and moves the cursor.
    async fn move_cursor(&self, feed: &FeedName, cursor: &Cursor) -> Result<Moved, StateError>;
}
