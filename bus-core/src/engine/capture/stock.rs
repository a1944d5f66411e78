//! Reading the source for a task, as a whole or by date (L1).

use std::collections::HashSet;
use std::sync::Arc;

use super::{Capture, Changes, RoundError};
use crate::engine::crash;
use crate::engine::seal::bounded;
use crate::engine::tasks::Tasks;
use crate::ports::source::{Part, SourceError, SourceFault};
use crate::ports::state::StateError;
use crate::ports::tasks::{Kind, Stage, Task, TaskStore};
use crate::vocabulary::{ContentHash, Envelope, MessageId, Moment, Operation, Period, Record, StreamName};

impl Capture {
    /// What the oldest task, and those that want the same, want to have read. A source that is away is asked again with the
    /// next round.
    pub(super) async fn read_for_a_task(&mut self) -> Result<(), RoundError> {
        let Some(task) = self.ports.tasks.to_read(&self.plan.name) else { return Ok(()) };
        match self.take_stock(&task).await {
            Err(RoundError::Source(SourceError { fault: SourceFault::Misconfigured, message })) => {
                Ok(fail(&self.ports.tasks, &self.ports.tasks.read_together(&task), &message).await?)
            }
            outcome => outcome,
        }
    }

    /// One scan for a task, and for those that want the same. While it lasts the feed fetches nothing else, and a page is one
    /// snapshot, so a page is not older than anything that was published before.
    pub async fn take_stock(&mut self, task: &Task) -> Result<(), RoundError> {
        let mut together = self.ports.tasks.read_together(task);
        let Some(stream) = self.plan.streams.iter().find(|stream| stream.name == task.order.stream) else {
            return Ok(fail(&self.ports.tasks, &together, "the feed does not serve this stream").await?);
        };
        if matches!(self.plan.changes, Changes::Push) {
            return Ok(self.read_archive(task, &mut together).await?);
        }
        let part = match (task.order.part, &stream.date) {
            (None, _) => None,
            (Some(period), Some(column)) => Some(self.part(stream.name.clone(), column.clone(), period)),
            (Some(_), None) => {
                return Ok(fail(&self.ports.tasks, &together, "the stream names no `date` to be read by").await?);
            }
        };
        let mut position = match self.position.take() {
            Some(position) => position,
            None => self.open().await?,
        };
        let permits = self.ports.permits();
        let store = Arc::clone(self.ports.tasks.store());
        begin_reading(&self.ports.tasks, &mut together).await?;
        let mut restart = true;
        while is_wanted(&self.ports.tasks, &together) {
            let page = match &part {
                Some(part) if restart => self.ports.source.begin_part(part, self.plan.limit, &permits).await?,
                _ => self.ports.source.scan(restart, self.plan.limit, &permits).await?,
            };
            restart = false;
            self.keep_unreadable(&page.unreadable).await?;
            let read = page.records.len() as u64;
            let wanted: Vec<Record> =
                page.records.iter().filter(|record| record.stream == task.order.stream).cloned().collect();
            let cursor = position.cursor.clone();
            self.publish_new(&mut position, page.records, cursor).await?;
            crash::point("task.published");
            let rows = as_published(&*store, task, wanted).await?;
            keep(&self.ports.tasks, &mut together, read, &rows).await?;
            if page.complete {
                send(&self.ports.tasks, &together).await?;
                break;
            }
        }
        self.position = Some(position);
        Ok(())
    }

    /// A source that cannot be asked: what the archive holds, if that is still what was published last. It runs between
    /// two rounds like a scan, begins anew after a crash, and needs no order among keys: each has one version.
    async fn read_archive(&mut self, task: &Task, together: &mut Vec<Task>) -> Result<(), StateError> {
        let (store, stream) = (Arc::clone(self.ports.tasks.store()), &task.order.stream);
        let between = task.order.part.map(|period| period.moments(self.plan.timezone));
        begin_reading(&self.ports.tasks, together).await?;
        let (mut below, mut any) = (None, false);
        while is_wanted(&self.ports.tasks, together) {
            let page = store.archived(stream, below, between, self.plan.limit).await?;
            let Some(last) = page.last() else {
                // That nothing was pushed on a day is no mistake.
                if !any && between.is_none() {
                    let empty =
                        "the records of this stream are pushed to the bus, and its archive holds none (`archive`)";
                    return fail(&self.ports.tasks, together, empty).await;
                }
                return send(&self.ports.tasks, together).await;
            };
            (below, any) = (Some(last.seq), true);
            let read = page.len() as u64;
            let named: Vec<Named> = together.iter().map(Named::of).collect();
            let wanted = |envelope: &Envelope| named.iter().any(|named| named.wants(envelope));
            let page: Vec<Envelope> = page.into_iter().filter(wanted).collect();
            let keys: Vec<_> = page.iter().map(|envelope| envelope.key.clone()).collect();
            let places = store.places(stream, &keys).await?;
            let newest = page.into_iter().zip(places).filter_map(|(envelope, place)| Some((envelope, place?)));
            // An older version has another seq: it was overwritten, and goes nowhere.
            let newest: Vec<_> = newest.filter(|(envelope, place)| envelope.seq == place.seq).collect();
            if newest.iter().any(|(envelope, place)| envelope.hash != place.hash) {
                let why = "fields of this stream are masked in the archive, so it is not what was published; its senders \
                           have to push again";
                return fail(&self.ports.tasks, together, why).await;
            }
            let rows: Vec<Envelope> = newest.into_iter().map(|(envelope, _)| envelope).collect();
            keep(&self.ports.tasks, together, read, &rows).await?;
            crash::point("task.archived");
        }
        Ok(())
    }

    fn part(&self, stream: StreamName, column: String, period: Period) -> Part {
        let (from, to) = period.moments(self.plan.timezone);
        Part { stream, column, period, from, to }
    }
}

fn is_wanted(tasks: &Tasks, together: &[Task]) -> bool {
    together.iter().any(|task| tasks.is_open(task.id))
}

/// A feed that was stopped at its end may have read them already, and the store alone knows: those are left out.
async fn begin_reading(tasks: &Tasks, together: &mut Vec<Task>) -> Result<(), StateError> {
    let mut reading = Vec::with_capacity(together.len());
    for task in together.drain(..) {
        if tasks.store().begin_reading(task.id).await? {
            reading.push(task);
        } else {
            tasks.refresh().await?;
        }
    }
    *together = reading;
    Ok(())
}

/// Keeps for each task what it is about.
async fn keep(tasks: &Tasks, together: &mut [Task], read: u64, rows: &[Envelope]) -> Result<(), StateError> {
    for task in together {
        let named = Named::of(task);
        let wanted = |row: &&Envelope| named.wants(row) && task.slice.holds(&row.key);
        let rows: Vec<Envelope> = rows.iter().filter(wanted).cloned().collect();
        let bytes = tasks.store().keep_rows(task.id, read, &rows).await?;
        tasks.narrow(task, bytes).await?;
    }
    Ok(())
}

/// Everything was read.
async fn send(tasks: &Tasks, together: &[Task]) -> Result<(), StateError> {
    for task in together {
        if tasks.store().rows(task.id, 1, 1).await?.is_empty() {
            tasks.read_on_or_end(task).await?;
        } else {
            tasks.set_stage(task.id, Stage::Sending, None).await?;
        }
    }
    Ok(())
}

async fn fail(tasks: &Tasks, together: &[Task], why: &str) -> Result<(), StateError> {
    for task in together {
        tasks.set_stage(task.id, Stage::Failed, Some(why)).await?;
    }
    Ok(())
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
            label: record.label.map(bounded),
            hash,
            body: record.body,
        });
    }
    Ok(rows)
}

/// The keys and labels that a task is about; none are all.
struct Named<'a> {
    kind: Kind,
    words: HashSet<&'a str>,
}

impl<'a> Named<'a> {
    fn of(task: &'a Task) -> Self {
        Self { kind: task.order.kind, words: task.order.only.iter().map(String::as_str).collect() }
    }

    fn wants(&self, row: &Envelope) -> bool {
        // To a receiver that never had it there is nothing to delete.
        let gone = self.kind == Kind::Load && row.operation == Operation::Delete;
        let named = |words: &HashSet<&str>| {
            words.contains(row.key.as_str()) || row.label.as_deref().is_some_and(|label| words.contains(label))
        };
        !gone && (self.words.is_empty() || named(&self.words))
    }
}
