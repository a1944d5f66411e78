//! The scripted source: a table in memory, read by position, by comparison, or as pushed records.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, Part, ScanPage, Source, SourceError, SourceFault, SystemReport};
use bus_core::vocabulary::{Cursor, Key, Operation, Period, Record, StreamName};
use bytes::Bytes;

use super::cuts::Cuts;

/// Rows that outlive every crash of the bus, and what each key has held over time.
#[derive(Clone, Default)]
pub struct Table(Arc<Mutex<Rows>>);

#[derive(Default)]
struct Rows {
    rows: BTreeMap<String, (String, u64)>,
    changes: u64,
    history: BTreeMap<String, Vec<Option<String>>>,
    pushed: Vec<(String, String)>,
    committed: Vec<Option<Cursor>>,
    hidden: BTreeSet<String>,
    less: Option<Duration>,
    refused: Option<Instant>,
    asked_since: Option<Instant>,
    twice: BTreeMap<String, String>,
}

impl Rows {
    /// A request, which takes no permit; answered by asking for less, if that was planned.
    fn asked(&mut self, refuses: bool) -> Option<Duration> {
        let now = Some(Instant::now());
        let less = if refuses { self.less.take() } else { None };
        match less {
            Some(_) => (self.refused, self.asked_since) = (now, None),
            None => self.asked_since = self.asked_since.or(now),
        }
        less
    }
}

impl Table {
    /// Inserts or changes a row.
    pub fn put(&self, key: &str, value: &str) {
        let mut rows = self.lock();
        rows.changes += 1;
        let (content, at) = (content(value), rows.changes);
        rows.rows.insert(key.to_owned(), (content.clone(), at));
        rows.history.entry(key.to_owned()).or_default().push(Some(content));
    }

    /// Changes a row and leaves its position where it is, which only a comparison can see.
    pub fn put_below(&self, key: &str, value: &str) {
        let mut rows = self.lock();
        let content = content(value);
        rows.rows.get_mut(key).expect("a row that is there").0.clone_from(&content);
        rows.history.entry(key.to_owned()).or_default().push(Some(content));
    }

    /// From now on no scan shows the row, although it is there: it moves while pages are read, or the query has left it out.
    pub fn hide(&self, key: &str) {
        self.lock().hidden.insert(key.to_owned());
    }

    /// The next question is answered by asking for less, for so long.
    pub fn ask_for_less(&self, retry_after: Duration) {
        self.lock().less = Some(retry_after);
    }

    /// When it asked for less, and the first request after that: a question, or word of what is durable.
    pub fn refused(&self) -> Option<(Instant, Option<Instant>)> {
        let rows = self.lock();
        rows.refused.map(|refused| (refused, rows.asked_since))
    }

    /// From now on a scan shows the row with this value and then as it is, as a query may that joins.
    pub fn show_twice(&self, key: &str, value: &str) {
        self.lock().twice.insert(key.to_owned(), content(value));
    }

    /// Removes a row, which only a comparison can see.
    pub fn remove(&self, key: &str) {
        let mut rows = self.lock();
        rows.rows.remove(key);
        rows.history.entry(key.to_owned()).or_default().push(None);
    }

    /// Somebody sends a record and waits for the answer.
    pub fn push(&self, key: &str, value: &str) {
        let content = content(value);
        let mut rows = self.lock();
        rows.pushed.push((key.to_owned(), content.clone()));
        rows.history.entry(key.to_owned()).or_default().push(Some(content));
    }

    /// Pushed records whose sender has no answer yet.
    pub fn unanswered(&self) -> usize {
        self.lock().pushed.len()
    }

    /// What each key holds now; `None` for one that is gone.
    pub fn now(&self) -> BTreeMap<String, Option<String>> {
        let rows = self.lock();
        rows.history.iter().map(|(key, held)| (key.clone(), held.last().cloned().flatten())).collect()
    }

    /// Everything that a key has held, oldest first.
    pub fn history(&self, key: &str) -> Vec<Option<String>> {
        self.lock().history.get(key).cloned().unwrap_or_default()
    }

    /// The cursors that were told to the source as durable, in order.
    pub fn committed(&self) -> Vec<Option<Cursor>> {
        self.lock().committed.clone()
    }

    /// A connection to the table.
    pub fn reader(&self, stream: StreamName, pushes: bool, cuts: Cuts) -> Reader {
        Reader { table: self.clone(), stream, pushes, cuts, scanned: None, within: None, handed: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The record that a value makes.
pub fn content(value: &str) -> String {
    format!("{{\"остаток\":\"{value}\"}}")
}

/// The engine's side of the table.
pub struct Reader {
    table: Table,
    stream: StreamName,
    pushes: bool,
    cuts: Cuts,
    scanned: Option<String>,
    within: Option<Period>,
    handed: usize,
}

impl Reader {
    fn record(&self, key: &str, content: &str) -> Record {
        Record {
            stream: self.stream.clone(),
            key: Key::from_stored(key),
            operation: Operation::Upsert,
            label: None,
            body: Bytes::copy_from_slice(content.as_bytes()),
        }
    }
}

/// The date of a record: the day of January that its key's first letter is in the alphabet.
fn date(key: &str) -> chrono::NaiveDateTime {
    let day = u32::from(key.bytes().next().unwrap_or(b'a').saturating_sub(b'a')) + 1;
    let date = chrono::NaiveDate::from_ymd_opt(2026, 1, day).expect("a letter is a day of January");
    date.and_hms_opt(0, 0, 0).expect("midnight")
}

fn planned() -> SourceError {
    SourceError::new(SourceFault::Unavailable, "a planned failure")
}

#[async_trait]
impl Source for Reader {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        Ok(SystemReport::default())
    }

    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        _permits: &Permits,
    ) -> Result<Batch, SourceError> {
        if let Some(retry_after) = self.table.lock().asked(true) {
            let fault = SourceFault::Throttled { retry_after: Some(retry_after) };
            return Err(SourceError::new(fault, "planned: fewer requests, please"));
        }
        let passage = self.cuts.enter("source.fetch").await;
        if passage.fails() {
            return Err(planned());
        }
        let batch = if self.pushes {
            let pushed: Vec<_> = self.table.lock().pushed.iter().take(limit.records).cloned().collect();
            self.handed = pushed.len();
            let records = pushed.iter().map(|(key, content)| self.record(key, content)).collect();
            Batch { records, ..Batch::default() }
        } else {
            let after = after.map_or(0, |cursor| cursor.as_str().parse().expect("the cursor is one of ours"));
            let mut found: Vec<(u64, Record)> = {
                let rows = self.table.lock();
                let newer = rows.rows.iter().filter(|(_, (_, at))| *at > after);
                newer.map(|(key, (content, at))| (*at, self.record(key, content))).collect()
            };
            found.sort_by_key(|(at, _)| *at);
            let more = found.len() > limit.records;
            found.truncate(limit.records);
            let next = found.last().map_or(after, |(at, _)| *at);
            let next = (next > 0).then(|| Cursor::new(next.to_string()));
            Batch { records: found.into_iter().map(|(_, record)| record).collect(), next, more, ..Batch::default() }
        };
        if passage.leave().await { Err(planned()) } else { Ok(batch) }
    }

    async fn scan(&mut self, restart: bool, limit: BatchLimit, _permits: &Permits) -> Result<ScanPage, SourceError> {
        let passage = self.cuts.enter("source.scan").await;
        if passage.fails() {
            return Err(planned());
        }
        if restart {
            (self.scanned, self.within) = (None, None);
        }
        let within = |key: &str| self.within.is_none_or(|period| date(key) >= period.from && date(key) < period.to);
        let (rows, twice): (Vec<(String, String)>, _) = {
            let table = self.table.lock();
            let after = |key: &str| self.scanned.as_deref().is_none_or(|scanned| key > scanned);
            let shown = |key: &String| after(key) && within(key) && !table.hidden.contains(key);
            let rows = table.rows.iter().filter(|(key, _)| shown(key)).take(limit.records);
            (rows.map(|(key, (content, _))| (key.clone(), content.clone())).collect(), table.twice.clone())
        };
        let complete = rows.len() < limit.records;
        if let Some((last, _)) = rows.last() {
            self.scanned = Some(last.clone());
        }
        let both =
            rows.iter().flat_map(|(key, content)| twice.get(key).into_iter().chain([content]).map(move |c| (key, c)));
        let records = both.map(|(key, content)| self.record(key, content)).collect();
        let page = ScanPage { records, complete, ..ScanPage::default() };
        if passage.leave().await { Err(planned()) } else { Ok(page) }
    }

    async fn begin_part(&mut self, part: &Part, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        (self.scanned, self.within) = (None, Some(part.period));
        self.scan(false, limit, permits).await
    }

    async fn present(
        &mut self,
        _stream: &StreamName,
        keys: &[Key],
        _permits: &Permits,
    ) -> Result<Vec<bool>, SourceError> {
        let passage = self.cuts.enter("source.present").await;
        if passage.fails() {
            return Err(planned());
        }
        let present = {
            let table = self.table.lock();
            keys.iter().map(|key| table.rows.contains_key(key.as_str())).collect()
        };
        if passage.leave().await { Err(planned()) } else { Ok(present) }
    }

    async fn committed(&mut self, cursor: Option<&Cursor>, _: &Permits) -> Result<(), SourceError> {
        let passage = self.cuts.enter("source.committed").await;
        if passage.fails() {
            return Err(planned());
        }
        {
            let mut table = self.table.lock();
            table.asked(false);
            table.committed.push(cursor.cloned());
            let answered = self.handed.min(table.pushed.len());
            table.pushed.drain(..answered);
        }
        self.handed = 0;
        if passage.leave().await { Err(planned()) } else { Ok(()) }
    }
}
