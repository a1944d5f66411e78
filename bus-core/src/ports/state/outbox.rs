//! How far behind a subscriber is.

use crate::vocabulary::Moment;

/// Backlog of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages not yet taken.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was read.
    pub oldest: Option<Moment>,
    /// The last position given.
    pub last: u64,
}
