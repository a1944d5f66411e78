//! The state store: what must survive a crash besides the queues.
//!
//! Every method is one transaction: it has happened entirely or not at all, and a returned `Ok` is on disk.
//! Rule numbers (R1 …, D1 …) are those of docs/protocol.md, which a model checker forced.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | [`StateStore`] and [`StateError`] |
//! | `feed.rs` | where a capture stands |
//! | `route.rs` | where a worker stands: fences, rows of `waiting` |
//! | `change.rs` | what a worker commits |
//! | `dead.rs` | dead letters and their replay |
//! | `gate.rs` | what was reserved of a system's pace |
//! | `outbox.rs` | what a subscriber finds, and how far behind it is |

mod change;
mod dead;
mod feed;
mod gate;
mod outbox;
mod route;

use std::time::Duration;

use async_trait::async_trait;

use crate::vocabulary::{
    Envelope, FeedName, GateName, Key, MessageId, Moment, RouteName, StreamName, SubscriptionName, UnreadableRecord,
};
pub use change::{Applied, Change, HoldReason, Settlement};
pub use dead::{DeadFilter, DeadLetter, DeadRow, Replay, ReplayMode, Replayed};
pub use feed::{FeedState, Published, ScanTotals, SealedBatch};
pub use gate::Reserved;
pub use outbox::{Backlog, Page, Taken};
pub use route::{RouteCounts, RouteState, Settled, WaitingRow};

/// Cursors, fences, waiting rows, dead letters, attempt marks, gates and outboxes.
#[async_trait]
pub trait StateStore: Send + Sync {
    // --- capture -------------------------------------------------------------------------------------------------

    /// Raises the feed's epoch above that of every feed, and to `now` at least (R15), then loads cursor and sealed batch, in
    /// one transaction (R3). From now on writes with an older epoch are refused.
    async fn open_feed(&self, feed: &FeedName, now: Moment) -> Result<FeedState, StateError>;

    /// What was last published of each key, in order of `keys`.
    async fn published(&self, stream: &StreamName, keys: &[Key]) -> Result<Vec<Option<Published>>, StateError>;

    /// Stores the batch before it is published (R1). Refused with [`StateError::Fenced`] if the epoch was raised (R4).
    /// A feed has at most one sealed batch.
    async fn seal(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError>;

    /// After the confirms: compare-and-swap on (epoch, `batch.expected`), then cursor, last-published and the removal
    /// of the sealed batch in one transaction.
    async fn advance(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError>;

    /// Keeps rows that nobody can seal, as dead letters of their stream. The same row again changes nothing.
    async fn keep_unreadable(&self, rows: &[UnreadableRecord]) -> Result<(), StateError>;

    // --- comparison scans (progress is not durable: a crash starts the scan again) -------------------------------

    /// Forgets what an earlier scan of the stream had seen. What follows fails, with [`StateError::Failed`], if the scan has
    /// not begun, or if what it had seen is lost; then it has to begin anew.
    async fn scan_begin(&self, stream: &StreamName) -> Result<(), StateError>;
    /// Notes keys as seen.
    async fn scan_seen(&self, stream: &StreamName, keys: &[Key]) -> Result<(), StateError>;
    /// Keys last published as existing that the scan has not seen, after `after`, in key order.
    async fn scan_missing(
        &self,
        stream: &StreamName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Key>, StateError>;
    /// How many keys exist by what was last published, and how many of them the scan has not seen.
    async fn scan_totals(&self, stream: &StreamName) -> Result<ScanTotals, StateError>;

    // --- worker --------------------------------------------------------------------------------------------------

    /// The keys that have something in `waiting` or an open dead letter, and the position reached (D8). A commit that was
    /// under way and whose caller was dropped is done before it answers, or is never done.
    async fn open_route(&self, route: &RouteName) -> Result<RouteState, StateError>;

    /// The fence of each key, in order of `keys`.
    async fn settled(&self, route: &RouteName, keys: &[Key]) -> Result<Vec<Option<Settled>>, StateError>;

    /// Applies all changes in one transaction, in order, and says of each whether it took effect. Calls made at the
    /// same time share one disk flush.
    async fn commit(&self, route: &RouteName, changes: Vec<Change>) -> Result<Vec<Applied>, StateError>;

    /// Waiting rows whose time has come, in line order: at most `limit`, and none behind the one that reaches `bytes`. The
    /// time of a row that lies further ahead than `longest`, the longest that any row waits, was set by a clock that has been
    /// put back since: it has come, unless another row of its key has to wait.
    async fn waiting(
        &self,
        route: &RouteName,
        now: Moment,
        longest: Duration,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<WaitingRow>, StateError>;

    /// Whether a durable attempt mark exists for each id (D7).
    async fn marked(&self, route: &RouteName, ids: &[MessageId]) -> Result<Vec<bool>, StateError>;

    // --- dead letters --------------------------------------------------------------------------------------------

    /// Dead letters, newest last.
    async fn dead_letters(&self, filter: &DeadFilter) -> Result<Vec<DeadRow>, StateError>;

    /// Moves a dead letter back to `waiting` in one transaction (R10), as far as `mode` allows. Clears its attempt mark;
    /// newer rows of its key go behind it.
    async fn replay(&self, id: i64, mode: ReplayMode) -> Result<Replay, StateError>;

    /// Removes a dead letter for good. `false` if there is none.
    async fn drop_dead(&self, id: i64) -> Result<bool, StateError>;

    // --- gates ---------------------------------------------------------------------------------------------------

    /// What was reserved last.
    async fn gate(&self, name: &GateName) -> Result<Option<Reserved>, StateError>;
    /// Reserves, or on a clean stop gives back.
    async fn set_gate(&self, name: &GateName, reserved: Reserved) -> Result<(), StateError>;

    // --- outboxes of HTTP subscribers ----------------------------------------------------------------------------

    /// A run of the bus begins: the positions that it gives are above all given before, and above `now` in microseconds
    /// since 1970. So a position that another life of the store has given lies below or above everything given by this one.
    async fn outbox_begin(&self, name: &SubscriptionName, now: Moment) -> Result<(), StateError>;
    /// Appends in order; positions rise, within a run by one. An envelope that is not newer than the last appended one of its key is skipped.
    async fn outbox_append(&self, name: &SubscriptionName, envelopes: &[Envelope]) -> Result<(), StateError>;
    /// Everything up to `position` was taken, if it ever was given. Of a position between two runs, everything before the
    /// later one.
    async fn outbox_take(&self, name: &SubscriptionName, position: u64) -> Result<Taken, StateError>;
    /// Messages after a position, in order: at most `limit`, and none behind the one that reaches `bytes`.
    async fn outbox_read(
        &self,
        name: &SubscriptionName,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Page, StateError>;
    /// Drops what is older than `oldest`, and the oldest over `bytes`. Says how many that were.
    async fn outbox_trim(&self, name: &SubscriptionName, oldest: Moment, bytes: u64) -> Result<u64, StateError>;
    /// Backlog for status and metrics.
    async fn outbox_backlog(&self, name: &SubscriptionName) -> Result<Backlog, StateError>;

    // --- status --------------------------------------------------------------------------------------------------

    /// Counts per route for status and metrics.
    async fn route_counts(&self, route: &RouteName) -> Result<RouteCounts, StateError>;
}

/// The store cannot do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Somebody newer owns this feed: drop the work in hand (R3, R4).
    #[error("another process has taken this feed over")]
    Fenced,
    /// The cursor is not the expected one, although the epoch is.
    #[error("the stored cursor is not the one this batch was read after")]
    CursorMoved,
    /// Disk full, I/O error: nothing was changed; try again.
    #[error("the state store failed: {0}")]
    Failed(String),
    /// The file is damaged: stop, restore from a backup. Never "start over".
    #[error("the state store is damaged: {0}")]
    Corrupt(String),
}
