//! What a subscriber that asks finds, and how far behind it is.

use crate::vocabulary::{Envelope, Moment};

/// Backlog of a subscription.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Messages not yet taken.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// When the oldest of them was read.
    pub oldest: Option<Moment>,
    /// The last position given, 0 if none was.
    pub last: u64,
    /// Messages that were dropped behind the last position taken, and before anything that is there now.
    pub missed: u64,
}

/// What a subscriber gets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Page {
    /// In order, each with its position.
    pub messages: Vec<(u64, Envelope)>,
    /// Messages that were dropped between the position asked for and the first of these.
    pub missed: u64,
    /// Messages behind these.
    pub backlog: u64,
}

/// What a position that is acknowledged did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Everything up to it is taken.
    Yes,
    /// It is above all that were ever given: whoever names it knows another store. Nothing was taken.
    NeverGiven {
        /// The last one that was given, 0 if none was.
        last: u64,
    },
}
