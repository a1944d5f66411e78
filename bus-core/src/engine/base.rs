//! A source that is asked which base it is, before it is read: a test copy that answers by mistake, or a restored
//! backup, must not overwrite what receivers hold.
//!
//! Asked at the start, after every failure (a restore cuts connections) and now and then. The first answer is believed
//! and kept; another one stops the reading until a person has agreed.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::incident::{Incidents, Kind};
use crate::policy::{CursorRound, CursorWatch, same_base};
use crate::ports::permits::Permits;
use crate::ports::source::{Batch, BatchLimit, Part, ScanPage, Source, SourceError, SourceFault, SystemReport};
use crate::ports::watch::WatchStore;
use crate::vocabulary::{Cursor, FeedName, Identity, Key, Moment, StreamName};

/// One request more in ten minutes. What was written since the last look cannot tell a snapshot of that time from now.
const AGAIN: Duration = Duration::from_secs(600);

/// A position that stays for less is not worth a write; so much is lost at most when the bus is restarted.
const LASTS: Duration = Duration::from_secs(3600);

/// What a person does about a position that stays.
const CURSOR_REMEDY: &str = "the cursor column does not follow the changes: look at its values in the newest rows, and \
                             whether the query orders by it";

/// See the module's comment.
pub struct Watched {
    inner: Box<dyn Source>,
    feed: FeedName,
    store: Arc<dyn WatchStore>,
    incidents: Incidents,
    /// When it has to be asked again; `None` before anything.
    again: Option<Instant>,
    cursor: CursorWatch,
    /// The beginning of a stand that the store knows; `None` before it was asked.
    standing: Option<Option<Moment>>,
    last: u64,
    clock: fn() -> Moment,
}

impl Watched {
    /// Watches a source of a feed.
    pub fn new(inner: Box<dyn Source>, feed: FeedName, store: Arc<dyn WatchStore>, incidents: Incidents) -> Self {
        let (cursor, clock) = (CursorWatch::default(), Moment::now);
        Self { inner, feed, store, incidents, again: None, cursor, standing: None, last: 0, clock }
    }

    /// The same by another clock: a test does not wait for a day.
    #[must_use]
    pub fn by(self, clock: fn() -> Moment) -> Self {
        Self { clock, ..self }
    }

    async fn same(&mut self, permits: &Permits) -> Result<(), SourceError> {
        if self.again.is_some_and(|again| Instant::now() < again) {
            return Ok(());
        }
        self.again = None;
        if let Some(now) = self.inner.identity(permits).await? {
            let known = self.store.identity(&self.feed).await.map_err(unavailable)?;
            if let Some(known) = &known {
                same_base(known, &now).map_err(|words| SourceError::new(SourceFault::AnotherBase, words))?;
            }
            let position = now.position.max(known.as_ref().and_then(|known| known.position));
            let now = Identity { position, ..now };
            if known.as_ref() != Some(&now) {
                self.store.keep_identity(&self.feed, Some(&now)).await.map_err(unavailable)?;
            }
        }
        self.again = Some(Instant::now() + AGAIN);
        Ok(())
    }

    /// After a failure nobody knows who answers next.
    fn noted<T>(&mut self, result: Result<T, SourceError>) -> Result<T, SourceError> {
        if result.is_err() {
            self.again = None;
        }
        result
    }

    async fn watch_cursor(&mut self, after: Option<&Cursor>, batch: &Batch) {
        self.recall(after).await;
        let mut hash = DefaultHasher::new();
        for record in &batch.records {
            (&record.key, &record.body).hash(&mut hash);
        }
        let content = hash.finish();
        let moved = batch.next.as_ref().is_some_and(|next| Some(next) != after);
        let changed = content != self.last && !batch.records.is_empty();
        let sign = self.cursor.judge(CursorRound { changed, more: batch.more, moved }, (self.clock)());
        self.last = content;
        self.incidents.judge(Kind::CursorStuck, self.feed.as_str(), sign, CURSOR_REMEDY);
        self.remember(after).await;
    }

    /// A predecessor may have seen the position stay. Without its answer the watch begins anew: only a telling is late.
    async fn recall(&mut self, after: Option<&Cursor>) {
        if self.standing.is_some() {
            return;
        }
        let since = match after {
            Some(cursor) => self.store.standing(&self.feed, cursor).await.ok().flatten(),
            None => None,
        };
        if let Some(since) = since {
            self.cursor.stands_since(since);
        }
        self.standing = Some(since);
    }

    /// A stand that lasts is kept, once.
    async fn remember(&mut self, after: Option<&Cursor>) {
        let (Some(since), Some(cursor)) = (self.cursor.since(), after) else { return };
        if since.until((self.clock)()) < LASTS || self.standing == Some(Some(since)) {
            return;
        }
        if self.store.keep_standing(&self.feed, cursor, since).await.is_ok() {
            self.standing = Some(Some(since));
        }
    }
}

fn unavailable(error: crate::ports::state::StateError) -> SourceError {
    SourceError::new(SourceFault::Unavailable, error.to_string())
}

#[async_trait]
impl Source for Watched {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        self.inner.check().await
    }

    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<Batch, SourceError> {
        self.same(permits).await?;
        let fetched = self.inner.fetch(after, limit, permits).await;
        let batch = self.noted(fetched)?;
        self.watch_cursor(after, &batch).await;
        Ok(batch)
    }

    async fn scan(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        self.same(permits).await?;
        let page = self.inner.scan(restart, limit, permits).await;
        self.noted(page)
    }

    async fn begin_part(&mut self, part: &Part, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        self.same(permits).await?;
        let page = self.inner.begin_part(part, limit, permits).await;
        self.noted(page)
    }

    async fn compare(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        self.same(permits).await?;
        let page = self.inner.compare(restart, limit, permits).await;
        self.noted(page)
    }

    async fn present(
        &mut self,
        stream: &StreamName,
        keys: &[Key],
        permits: &Permits,
    ) -> Result<Vec<bool>, SourceError> {
        let present = self.inner.present(stream, keys, permits).await;
        self.noted(present)
    }

    fn cursor_at(&self, value: &str) -> Result<Cursor, SourceError> {
        self.inner.cursor_at(value)
    }

    fn skips(&self, present: &Cursor, named: &Cursor) -> Result<bool, SourceError> {
        self.inner.skips(present, named)
    }

    async fn identity(&mut self, permits: &Permits) -> Result<Option<Identity>, SourceError> {
        self.inner.identity(permits).await
    }

    async fn committed(&mut self, cursor: Option<&Cursor>, permits: &Permits) -> Result<(), SourceError> {
        let committed = self.inner.committed(cursor, permits).await;
        self.noted(committed)
    }
}
