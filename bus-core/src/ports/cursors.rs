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
    /// It is there, and a sealed batch of so many records was given up (R14).
    GivenUp(u64),
    /// No feed of this name has ever run.
    Unknown,
}

/// Each method is one transaction; `Ok` is on disk.
#[async_trait]
pub trait CursorStore: Send + Sync {
    /// Every feed that has ever run.
    async fn standings(&self) -> Result<Vec<Standing>, StateError>;
    /// For a feed that does not run: raises the epoch and moves the cursor. `force` gives up a sealed batch: some of it may
    /// be at receivers, so its keys count as published in a form that nothing equals, and what is read of them next goes out
    /// as a newer version (R14).
    async fn move_cursor(&self, feed: &FeedName, cursor: &Cursor, force: bool) -> Result<Moved, StateError>;
}
