//! Where a worker stands: its fences, its rows of `waiting`, and the counts of both.

use super::change::HoldReason;
use super::dead::Replayed;
use crate::ports::triage::Edited;
use crate::vocabulary::{Envelope, Key, MessageId, Moment, Seq};

/// What a starting worker loads before its first take.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RouteState {
    /// Each key with rows in `waiting`, and how many.
    pub waiting: Vec<(Key, u32)>,
    /// Keys with an open dead letter.
    pub dead: Vec<Key>,
    /// Highest seq taken from the queue and settled or held, for the gap check.
    pub reached: Option<Seq>,
}

/// The fence of one key on one route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Nothing at or below this is sent.
    pub seq: Seq,
    /// Last id delivered, if any was.
    pub id: Option<MessageId>,
    /// The receiver holds the record.
    pub present: bool,
    /// It may hold one although `present` says no: a version that may have been tried was superseded (D10).
    pub doubt: bool,
    /// The receiver's own id.
    pub receiver_id: Option<String>,
}

/// A row of `waiting`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingRow {
    /// The message.
    pub envelope: Envelope,
    /// Attempts made so far.
    pub attempts: u32,
    /// Why it waits.
    pub reason: HoldReason,
    /// How it may pass the fence.
    pub replayed: Replayed,
    /// It was a dead letter, and a person changed what it sends.
    pub edited: Option<Edited>,
    /// Since when it waits for something of its own (see [`Change::Await`](super::Change::Await)).
    pub held_since: Option<Moment>,
}

/// Counts of a route.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RouteCounts {
    /// Rows in `waiting`.
    pub waiting: u64,
    /// When the oldest of them was read.
    pub oldest: Option<Moment>,
    /// Of them, those that wait for something of their own: a map, or a record that they refer to.
    pub held: u64,
    /// Open dead letters.
    pub dead: u64,
}
