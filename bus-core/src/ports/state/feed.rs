//! Where a capture stands: its cursor, what it has sealed, what was published of each key.

use crate::vocabulary::{ContentHash, Cursor, Envelope};

/// What a starting capture goes on from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedState {
    /// Ours from now on.
    pub epoch: u64,
    /// The last durable position.
    pub cursor: Option<Cursor>,
    /// Sealed by a predecessor and perhaps published: publish it again as it is (same ids, same seq: R2, R7) and
    /// advance before anything is fetched.
    pub sealed: Option<SealedBatch>,
}

/// A batch between seal and advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    /// The cursor it was fetched after.
    pub expected: Option<Cursor>,
    /// The cursor once it is confirmed.
    pub next: Option<Cursor>,
    /// In publishing order; of a key there may be several versions, with rising generations (R8 cuts between them).
    pub envelopes: Vec<Envelope>,
}

/// What was last published of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Generation of the key.
    pub generation: u64,
    /// Hash of operation and body.
    pub hash: ContentHash,
    /// The last operation was a delete.
    pub deleted: bool,
}

/// For the guard of deletions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScanTotals {
    /// Keys last published as existing.
    pub existing: u64,
    /// Of these, not seen by the scan.
    pub missing: u64,
}
