//! Reading the source as a whole for a task (L1).

use std::collections::HashSet;

use super::{Capture, Changes, RoundError};
use crate::engine::crash;
use crate::ports::permits::Permits;
use crate::ports::source::{SourceError, SourceFault};
use crate::ports::state::StateError;
use crate::ports::tasks::{Stage, Task, TaskStore};
use crate::vocabulary::{ContentHash, Envelope, MessageId, Moment, Record};

impl Capture {
    /// Everything that tasks want to have read. A source that is away is asked again with the next round.
    pub(super) async fn read_for_tasks(&mut self) -> Result<(), RoundError> {
        while let Some(task) = self.tasks.to_read(&self.plan.name) {
            match self.take_stock(&task).await {
                Err(RoundError::Source(SourceError { fault: SourceFault::Misconfigured, message })) => {
                    self.tasks.set_stage(task.id, Stage::Failed, Some(&message)).await?;
                }
                outcome => outcome?,
            }
        }
        Ok(())
    }

    /// One scan for one task. While it lasts the feed fetches nothing else, and a page is one snapshot, so a page is not
    /// older than anything that was published before.
    pub async fn take_stock(&mut self, task: &Task) -> Result<(), RoundError> {
        let serves = self.plan.streams.iter().any(|stream| stream.name == task.order.stream);
        if matches!(self.plan.changes, Changes::Push) || !serves {
            let why = "the records of this stream are pushed to the bus: their source cannot be read again";
            let why = if serves { why } else { "the feed does not serve this stream" };
            self.tasks.set_stage(task.id, Stage::Failed, Some(why)).await?;
            return Ok(());
        }
        let mut position = match self.position.take() {
            Some(position) => position,
            None => self.open().await?,
        };
        let permits = Permits::new(None, std::sync::Arc::clone(&self.gate) as _);
        let store = std::sync::Arc::clone(self.tasks.store());
        store.begin_reading(task.id).await?;
        let mut restart = true;
        while self.tasks.is_open(task.id) {
            let page = self.source.scan(restart, self.plan.limit, &permits).await?;
            restart = false;
            self.keep_unreadable(&page.unreadable).await?;
            let read = page.records.len() as u64;
            let wanted: Vec<Record> = page.records.iter().filter(|record| wants(task, record)).cloned().collect();
            let cursor = position.cursor.clone();
            self.publish_new(&mut position, page.records, cursor).await?;
            crash::point("task.published");
            let rows = as_published(&*store, task, wanted).await?;
            store.keep_rows(task.id, read, &rows).await?;
            if page.complete {
                self.tasks.set_stage(task.id, Stage::Sending, None).await?;
                break;
            }
        }
        self.position = Some(position);
        Ok(())
    }
}

/// The same messages that were published last: same id, same place.
async fn as_published(store: &dyn TaskStore, task: &Task, records: Vec<Record>) -> Result<Vec<Envelope>, StateError> {
    let keys: Vec<_> = records.iter().map(|record| record.key.clone()).collect();
    let places = store.places(&task.order.stream, &keys).await?;
    let (now, mut seen) = (Moment::now(), HashSet::new());
    let mut rows = Vec::with_capacity(records.len());
    for (record, place) in records.into_iter().zip(places) {
        let hash = ContentHash::of(record.operation, &record.body);
        // Of two rows with one key in a page only the one that was published last is a version.
        let Some(place) = place.filter(|place| place.hash == hash && seen.insert(record.key.clone())) else {
            continue;
        };
        rows.push(Envelope {
            id: MessageId::derive(&record.stream, &record.key, place.generation, &hash),
            stream: record.stream,
            key: record.key,
            seq: place.seq,
            generation: place.generation,
            operation: record.operation,
            time: now,
            label: record.label,
            hash,
            body: record.body,
        });
    }
    Ok(rows)
}

fn wants(task: &Task, record: &Record) -> bool {
    let only = &task.order.only;
    let named = |name: &String| record.key.as_str() == name || record.label.as_ref() == Some(name);
    record.stream == task.order.stream && (only.is_empty() || only.iter().any(named))
}
