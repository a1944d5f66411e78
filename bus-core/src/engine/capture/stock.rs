//! Reading the source as a whole for a task (L1).

use std::collections::HashSet;

use super::{Capture, Changes, RoundError};
use crate::engine::crash;
use crate::ports::permits::Permits;
use crate::ports::source::{SourceError, SourceFault};
use crate::ports::state::StateError;
use crate::ports::tasks::{Kind, Stage, Task, TaskStore};
use crate::vocabulary::{ContentHash, Envelope, MessageId, Moment, Operation, Record, StreamName};

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
        if !serves {
            self.tasks.set_stage(task.id, Stage::Failed, Some("the feed does not serve this stream")).await?;
            return Ok(());
        }
        if matches!(self.plan.changes, Changes::Push) {
            return Ok(self.read_archive(task).await?);
        }
        let mut position = match self.position.take() {
            Some(position) => position,
            None => self.open().await?,
        };
        let permits = Permits::new(None, std::sync::Arc::clone(&self.gate) as _);
        let store = std::sync::Arc::clone(self.tasks.store());
        store.begin_reading(task.id).await?;
        let named = Named::of(task);
        let mut restart = true;
        while self.tasks.is_open(task.id) {
            let page = self.source.scan(restart, self.plan.limit, &permits).await?;
            restart = false;
            self.keep_unreadable(&page.unreadable).await?;
            let read = page.records.len() as u64;
            let wanted: Vec<Record> = page.records.iter().filter(|record| named.wants(record)).cloned().collect();
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

    /// A source that cannot be asked: what the archive holds, if that is still what was published last. It runs between
    /// two rounds like a scan, begins anew after a crash, and needs no order among keys: each has one version.
    async fn read_archive(&mut self, task: &Task) -> Result<(), StateError> {
        let (store, stream) = (std::sync::Arc::clone(self.tasks.store()), &task.order.stream);
        store.begin_reading(task.id).await?;
        let named = Named::of(task);
        let (mut below, mut any) = (None, false);
        while self.tasks.is_open(task.id) {
            let page = store.archived(stream, below, self.plan.limit.records).await?;
            let Some(last) = page.last() else {
                let empty = "the records of this stream are pushed to the bus, and its archive holds none (`archive`)";
                let (stage, why) = if any { (Stage::Sending, None) } else { (Stage::Failed, Some(empty)) };
                self.tasks.set_stage(task.id, stage, why).await?;
                break;
            };
            (below, any) = (Some(last.seq), true);
            let read = page.len() as u64;
            let wanted = |envelope: &Envelope| named.has(envelope.key.as_str(), envelope.label.as_deref());
            let page: Vec<Envelope> = page.into_iter().filter(wanted).collect();
            let keys: Vec<_> = page.iter().map(|envelope| envelope.key.clone()).collect();
            let places = store.places(stream, &keys).await?;
            let newest = page.into_iter().zip(places).filter_map(|(envelope, place)| Some((envelope, place?)));
            let (mut rows, mut masked) = (Vec::new(), false);
            // An older version has another seq: it was overwritten, and goes nowhere.
            for (envelope, place) in newest.filter(|(envelope, place)| envelope.seq == place.seq) {
                masked |= envelope.hash != place.hash;
                // To a receiver that never had it there is nothing to delete.
                let gone = task.order.kind == Kind::Load && envelope.operation == Operation::Delete;
                rows.extend((!gone).then_some(envelope));
            }
            if masked {
                let why = "fields of this stream are masked in the archive, so it is not what was published; its senders \
                           have to push again";
                self.tasks.set_stage(task.id, Stage::Failed, Some(why)).await?;
                break;
            }
            store.keep_rows(task.id, read, &rows).await?;
            crash::point("task.archived");
        }
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

/// The keys and labels that a task is about; none are all.
struct Named<'a> {
    stream: &'a StreamName,
    words: HashSet<&'a str>,
}

impl<'a> Named<'a> {
    fn of(task: &'a Task) -> Self {
        Self { stream: &task.order.stream, words: task.order.only.iter().map(String::as_str).collect() }
    }

    fn wants(&self, record: &Record) -> bool {
        record.stream == *self.stream && self.has(record.key.as_str(), record.label.as_deref())
    }

    fn has(&self, key: &str, label: Option<&str>) -> bool {
        let words = &self.words;
        words.is_empty() || words.contains(key) || label.is_some_and(|label| words.contains(label))
    }
}
