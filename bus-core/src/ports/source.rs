//! A reader of one system.

use std::time::Duration;

use async_trait::async_trait;

use super::permits::Permits;
use crate::vocabulary::{Cursor, Identity, Key, Moment, Period, Record, StreamName, UnreadableRecord};

/// A reader of one system: usually one stream, for a 1C exchange-plan node several.
///
/// A source holds a connection, never progress. The engine passes the last durable cursor in, seals what comes
/// back, publishes it, awaits the confirms, advances the cursor, and only then calls [`Source::committed`].
/// A crash anywhere in between means the same `fetch` again or the sealed batch once more, so:
/// - `fetch` with the same cursor may return the same records, and must not skip any;
/// - a batch never ends inside a run of equal cursor values;
/// - `fetch` must not change the system (no "mark as exported"): that belongs in `committed`.
///
/// Every request to the system takes a permit. Dropping a returned future is safe at any await.
#[async_trait]
pub trait Source: Send {
    /// Verifies connectivity, credentials and rights, and reports what answered, without reading data.
    async fn check(&mut self) -> Result<SystemReport, SourceError>;

    /// Records after `after`, oldest first, and the cursor that covers them. Returns an empty batch when there is
    /// nothing new; a pushed feed waits (bounded) for something to arrive.
    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<Batch, SourceError>;

    /// The next page of a full scan; `restart` begins a new one. Pages are one consistent snapshot where the system
    /// can give one. Memory is bounded by `limit`, whatever the size of the scan.
    async fn scan(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError>;

    /// The first page of a scan of one stream's part, by a column of dates; [`Source::scan`] gives the next ones. Records
    /// without a date are in no part. What a whole scan would give of a record, this gives too, to the byte.
    async fn begin_part(&mut self, part: &Part, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        let (_, _, stream) = (limit, permits, &part.stream);
        let why = format!("the source of stream {stream} cannot be read by date");
        Err(SourceError::new(SourceFault::Misconfigured, why))
    }

    /// As [`Source::scan`], for the comparison with what was published: what is known to be as it was may be named by its key
    /// alone. The next page is asked for when everything of this one was published.
    async fn compare(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        self.scan(restart, limit, permits).await
    }

    /// Asks of each key whether its record exists now: the point check before a deletion found by a scan leaves.
    async fn present(&mut self, stream: &StreamName, keys: &[Key], permits: &Permits)
    -> Result<Vec<bool>, SourceError>;

    /// The position from which everything with at least this value is read again, as a person names it.
    fn cursor_at(&self, _value: &str) -> Result<Cursor, SourceError> {
        let why = "this source has no position that a person could name";
        Err(SourceError::new(SourceFault::Misconfigured, why))
    }

    /// Whether a position that a person named lies behind the present one in reading order, so that what is between would
    /// never be read. An error where it cannot be a value of the same column.
    fn skips(&self, _present: &Cursor, _named: &Cursor) -> Result<bool, SourceError> {
        Ok(false)
    }

    /// Which base answers, and how far its history has come; `None` where the system cannot say.
    async fn identity(&mut self, permits: &Permits) -> Result<Option<Identity>, SourceError> {
        let _ = permits;
        Ok(None)
    }

    /// Everything up to `cursor` is durable in the broker. May repeat, and is called after a restart before any fetch.
    async fn committed(&mut self, cursor: Option<&Cursor>, permits: &Permits) -> Result<(), SourceError>;
}

/// A part of a stream, by a column of dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which stream.
    pub stream: StreamName,
    /// The column, as the source names it.
    pub column: String,
    /// Which dates, where the column has no zone.
    pub period: Period,
    /// The same where it has one.
    pub from: Moment,
    /// The first moment after it.
    pub to: Moment,
}

/// Bounds of one batch. A run of equal cursor values may exceed `records`: ties are never cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimit {
    /// At most this many records.
    pub records: usize,
    /// Stop after the record that reaches this many bytes.
    pub bytes: usize,
}

/// What one `fetch` brought.
#[derive(Debug, Default)]
pub struct Batch {
    /// Oldest first.
    pub records: Vec<Record>,
    /// Rows nobody can seal; stored before the cursor passes them.
    pub unreadable: Vec<UnreadableRecord>,
    /// Covers everything above; `None` keeps the position (a comparison has none).
    pub next: Option<Cursor>,
    /// Another page is ready now: do not wait for the schedule.
    pub more: bool,
}

/// What one page of a scan brought.
#[derive(Debug, Default)]
pub struct ScanPage {
    /// In any order.
    pub records: Vec<Record>,
    /// Rows nobody can seal.
    pub unreadable: Vec<UnreadableRecord>,
    /// Records that are there and as they were when they were published; only in a comparison.
    pub unchanged: Vec<(StreamName, Key)>,
    /// Every record of the entity has been seen since the scan began: only now may absence mean deletion.
    pub complete: bool,
}

/// What answered a `check`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SystemReport {
    /// Product and version, as far as it says.
    pub version: String,
    /// One round trip.
    pub latency: Duration,
    /// What we may do there with the credentials that we have, in words, as far as it can be told without changing anything.
    pub rights: Vec<String>,
    /// What is limited or missing (no horizon, no records), for an operator.
    pub remarks: Vec<String>,
}

/// Whose fault a failed read is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceFault {
    /// Down, slow, cut: the same read again, with backoff.
    Unavailable,
    /// It asked for less.
    Throttled {
        /// As long as it said.
        retry_after: Option<Duration>,
    },
    /// Credentials, rights, address or query: a person is needed; asked again at long intervals.
    Misconfigured,
    /// Closed for a while by its own people, who know: waited for quietly, with one notice.
    Maintenance,
    /// Another base than last time, or an earlier state of it: nothing is read until a person has agreed.
    AnotherBase,
    /// What is read has lost a field, or has one of another type, that somebody reads: nothing is read until a person has
    /// agreed.
    SchemaChanged,
    /// The stored cursor cannot be read: the feed stops. It never means "start over".
    CursorUnreadable,
}

/// A failed read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Decides between retry and stop.
    pub fault: SourceFault,
    /// What happened and what to do; no payload, no secret.
    pub message: String,
}

impl SourceError {
    /// Builds an error.
    pub fn new(fault: SourceFault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into() }
    }
}
