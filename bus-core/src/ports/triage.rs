//! Looking at many dead letters at once, changing what one of them sends, and taking them out and back in.

use async_trait::async_trait;
use bytes::Bytes;

use super::state::{DeadLetter, StateError};
use crate::vocabulary::{Moment, RouteName};

/// Letters with the same thing wrong: same route, same fault, same words but for numbers, ids and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadGroup {
    /// Eight hexadecimal digits, from [`crate::policy::fingerprint()`].
    pub id: String,
    /// The route; `None` for rows that their stream could not read.
    pub route: Option<RouteName>,
    /// The word of the fault.
    pub fault: String,
    /// What they have in common.
    pub pattern: String,
    /// How many are open.
    pub count: u64,
    /// When the first of them died.
    pub first: Moment,
    /// When the last of them died.
    pub last: Moment,
    /// The newest of them.
    pub example: i64,
    /// What that one says, numbers and names included.
    pub example_words: String,
}

/// What a person wants a letter to send instead. The original is kept beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Another record, which passes filter and transformation again.
    Record(Bytes),
    /// Another body, sent as it is: filter and transformation are not asked.
    Body(Bytes),
}

/// What a replayed row of `waiting` sends differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// How often the letter was edited; part of the idempotency key, because the content is another one.
    pub number: u32,
    /// Sent as it is; `None`: the row's own record was edited, and is transformed as usual.
    pub body: Option<Bytes>,
}

/// What a letter was before, and how often it was sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// How often it was put back into the line.
    pub replays: u32,
    /// How often it was edited.
    pub edits: u32,
    /// Who edited it last.
    pub editor: Option<String>,
    /// The record before the first edit.
    pub original_record: Option<Bytes>,
    /// What was made of it before the first edit.
    pub original_body: Option<Bytes>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Imported {
    /// The open letter is now as in the file.
    Edited,
    /// It had been dropped, and is open again.
    Restored,
    /// The open letter is as in the file already.
    Unchanged,
    /// Refused: this bus has not settled that message on that route, so it may still be under way, or the letter is of
    /// another bus, whose order is not comparable.
    Unknown,
    /// Refused: the message was delivered.
    Delivered,
}

/// Each method is one transaction; `Ok` is on disk.
#[async_trait]
pub trait TriageStore: Send + Sync {
    /// The open letters by what is wrong with them, the largest group first; at most 1000 groups.
    async fn dead_groups(&self, route: Option<&RouteName>) -> Result<Vec<DeadGroup>, StateError>;

    /// Changes what a letter will send when it is replayed, and gives the number of the edit; `None` if there is no such
    /// letter of a route.
    async fn edit_dead(&self, id: i64, edit: &Edit, who: &str) -> Result<Option<u32>, StateError>;

    /// Takes a letter in that an export wrote: changed content is an edit, a letter that was dropped is open again.
    async fn import_dead(&self, route: &RouteName, letter: &DeadLetter, who: &str) -> Result<Imported, StateError>;
}
