//! Comparison with what was last published: the only way to find changes without a position, and deletions at all.
//!
//! While a scan runs, the feed fetches nothing else, and a page is one snapshot: so a page can not overwrite a newer
//! change. Deletions leave only after a complete scan, a point check of each key, and never above the guard.

use std::collections::HashMap;

use super::{Capture, Changes, DeletionGuard, Position, RoundError, StreamPlan};
use crate::engine::incident::Kind;
use crate::ports::permits::Permits;
use crate::vocabulary::{Key, Record, StreamName};

/// Keys checked and deleted at a time.
const CHECK: usize = 500;

/// What came of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compared {
    /// Everything that differs is published.
    Whole,
    /// Of one stream at least more is missing than may be deleted without a person: nothing of it was.
    WithoutDeletions,
}

impl Capture {
    pub(super) async fn compare(
        &mut self,
        position: &mut Position,
        guard: DeletionGuard,
        permits: &Permits,
    ) -> Result<Compared, RoundError> {
        let streams = self.plan.streams.clone();
        for stream in &streams {
            self.ports.store.scan_begin(&stream.name).await?;
        }
        let mut restart = true;
        loop {
            let page = self.ports.source.compare(restart, self.plan.limit, permits).await?;
            restart = false;
            self.keep_unreadable(&page.unreadable).await?;
            let mut seen: HashMap<StreamName, Vec<Key>> = HashMap::new();
            for record in &page.records {
                seen.entry(record.stream.clone()).or_default().push(record.key.clone());
            }
            for (stream, key) in page.unchanged {
                seen.entry(stream).or_default().push(key);
            }
            for (stream, keys) in seen {
                self.ports.store.scan_seen(&stream, &keys).await?;
            }
            let cursor = position.cursor.clone();
            self.publish_new(position, page.records, cursor).await?;
            if page.complete {
                break;
            }
        }
        let mut compared = Compared::Whole;
        for stream in &streams {
            if !self.delete_missing(position, stream, guard, permits).await? {
                compared = Compared::WithoutDeletions;
            }
        }
        Ok(compared)
    }

    /// `false`: the guard refuses, and somebody was told.
    async fn delete_missing(
        &mut self,
        position: &mut Position,
        stream: &StreamPlan,
        guard: DeletionGuard,
        permits: &Permits,
    ) -> Result<bool, RoundError> {
        let totals = self.ports.store.scan_totals(&stream.name).await?;
        if !guard.lets_go(totals.missing, totals.existing) {
            let (missing, existing) = (totals.missing, totals.existing);
            let message = format!(
                "{missing} of {existing} records are missing at the source, more than the {} % that may be deleted \
                 without a person",
                guard.percent
            );
            let again = match self.plan.changes {
                Changes::Cursor { .. } => {
                    "; this recheck is not done: it is made again at its next time, and at once after a reload that \
                     changes the stream or a restart"
                }
                Changes::Diff(_) | Changes::Push => "",
            };
            let enough = missing.saturating_mul(100).div_ceil(existing.max(1));
            let remedy = format!(
                "no deletion was sent; if they are really gone, set `guard = \"{enough}%\"` and `bus reload` until one \
                 comparison has run, else mend the query{again}"
            );
            self.ports.incidents.open(Kind::TooManyDeletions, stream.name.as_str(), &message, &remedy);
            return Ok(false);
        }
        self.ports.incidents.close(Kind::TooManyDeletions, stream.name.as_str());
        let mut after: Option<Key> = None;
        loop {
            let missing = self.ports.store.scan_missing(&stream.name, after.as_ref(), CHECK).await?;
            let Some(last) = missing.last().cloned() else { return Ok(true) };
            let present = self.ports.source.present(&stream.name, &missing, permits).await?;
            let gone = missing.into_iter().zip(present).filter(|(_, present)| !present);
            let deletions = gone.map(|(key, _)| Record::deletion(stream.name.clone(), &stream.key, key)).collect();
            let cursor = position.cursor.clone();
            self.publish_new(position, deletions, cursor).await?;
            after = Some(last);
        }
    }
}
