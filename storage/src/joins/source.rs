//! [`JoinSource`]: the joined records that have changed, oldest change first.
//!
//! The position is the place of a change in the line. A record that changes again goes to the end of the line and leaves its
//! old place, so nothing after a position is ever skipped; what is read is always the newest state of all parts, and a
//! repeat of what was published is dropped by the engine.

use async_trait::async_trait;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, ScanPage, Source, SourceError, SourceFault, SystemReport};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{Cursor, Key, Record, StreamName, UnreadableRecord};
use rusqlite::Connection;

use super::compose::{Composed, JoinPlan, Numbered};
use crate::database::Database;
use crate::failure::Failure;
use crate::names::Kind;

/// Reads a joined stream from the state store: it reaches no system, and takes no permit.
pub struct JoinSource {
    database: Database,
    plan: JoinPlan,
    /// The last key of a scan under way.
    scanned: Option<String>,
}

/// A key, and the place of its change in the line.
type Place = (i64, String);

#[derive(Default)]
struct Read {
    records: Vec<Record>,
    unreadable: Vec<UnreadableRecord>,
    /// The last one that was put together.
    last: Option<Place>,
    /// There is more.
    more: bool,
}

impl JoinSource {
    /// Reads nothing yet.
    pub fn new(database: Database, plan: JoinPlan) -> Self {
        Self { database, plan, scanned: None }
    }

    /// Puts together what `select` names, up to the limit.
    async fn read(
        &self,
        limit: BatchLimit,
        select: impl FnOnce(&Connection, i64, i64) -> Result<Vec<Place>, Failure> + Send + 'static,
    ) -> Result<Read, SourceError> {
        let (joined, main, with) = self.numbers().await.map_err(failed)?;
        let plan = self.plan.clone();
        let work = move |connection: &Connection| {
            let places = select(connection, joined, main)?;
            let numbered = Numbered { plan: &plan, joined, main, with };
            let (mut read, mut bytes) = (Read { more: places.len() == limit.records, ..Read::default() }, 0);
            for place in places {
                if bytes >= limit.bytes {
                    read.more = true;
                    break;
                }
                match numbered.compose(connection, &place.1)? {
                    Composed::Record(record) => {
                        bytes += record.body.len();
                        read.records.push(record);
                    }
                    Composed::Unreadable(row) => read.unreadable.push(row),
                }
                read.last = Some(place);
            }
            Ok(read)
        };
        self.database.read(work).await.map_err(failed)
    }

    async fn numbers(&self) -> Result<(i64, i64, Vec<i64>), StateError> {
        let number = |name: &StreamName| {
            let name = name.clone();
            async move {
                // Looked up first: a person may look with nothing but reading allowed.
                match self.database.known_number(Kind::Stream, name.as_str()).await? {
                    Some(known) => Ok(known),
                    None => self.database.number(Kind::Stream, name.as_str()).await,
                }
            }
        };
        let mut with = Vec::with_capacity(self.plan.with.len());
        for part in &self.plan.with {
            with.push(number(&part.stream).await?);
        }
        Ok((number(&self.plan.stream).await?, number(&self.plan.main).await?, with))
    }
}

#[async_trait]
impl Source for JoinSource {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        Ok(SystemReport::default())
    }

    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        _permits: &Permits,
    ) -> Result<Batch, SourceError> {
        let after = after.map_or(Ok(0), place)?;
        let rows = i64::try_from(limit.records).unwrap_or(i64::MAX);
        let select = move |connection: &Connection, joined: i64, _: i64| {
            let mut select = connection.prepare_cached(
                "SELECT place, key FROM join_changes WHERE joined = ?1 AND place > ?2 ORDER BY place LIMIT ?3",
            )?;
            let places = select.query_map((joined, after, rows), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(places.collect::<Result<Vec<Place>, _>>()?)
        };
        let read = self.read(limit, select).await?;
        let next = read.last.map(|(place, _)| Cursor::new(place.to_string()));
        Ok(Batch { records: read.records, unreadable: read.unreadable, next, more: read.more })
    }

    async fn scan(&mut self, restart: bool, limit: BatchLimit, _permits: &Permits) -> Result<ScanPage, SourceError> {
        let after = if restart { None } else { self.scanned.clone() };
        let rows = i64::try_from(limit.records).unwrap_or(i64::MAX);
        let select = move |connection: &Connection, joined: i64, main: i64| {
            let mut select = connection.prepare_cached(
                "SELECT DISTINCT 0, key FROM join_parts
                 WHERE joined = ?1 AND part = ?2 AND key > ?3 ORDER BY key LIMIT ?4",
            )?;
            // No key is empty.
            let after = after.unwrap_or_default();
            let places = select.query_map((joined, main, after, rows), |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(places.collect::<Result<Vec<Place>, _>>()?)
        };
        let read = self.read(limit, select).await?;
        self.scanned = read.last.map(|(_, key)| key);
        Ok(ScanPage { records: read.records, unreadable: read.unreadable, complete: !read.more, ..ScanPage::default() })
    }

    async fn present(
        &mut self,
        _stream: &StreamName,
        keys: &[Key],
        _permits: &Permits,
    ) -> Result<Vec<bool>, SourceError> {
        let (joined, main, _) = self.numbers().await.map_err(failed)?;
        let keys = keys.to_vec();
        let work = move |connection: &Connection| {
            let mut select = connection
                .prepare_cached("SELECT 1 FROM join_parts WHERE (joined, part, key) = (?1, ?2, ?3) LIMIT 1")?;
            let found = keys.iter().map(|key| select.exists((joined, main, key.as_str())));
            Ok(found.collect::<Result<Vec<_>, _>>()?)
        };
        self.database.read(work).await.map_err(failed)
    }

    /// Nothing to tell anybody: the line is our own.
    async fn committed(&mut self, _cursor: Option<&Cursor>, _: &Permits) -> Result<(), SourceError> {
        Ok(())
    }
}

fn place(cursor: &Cursor) -> Result<i64, SourceError> {
    cursor.as_str().parse().ok().filter(|place| *place >= 0).ok_or_else(|| {
        let why = "the position of the joined stream in the state store is not a number";
        SourceError::new(SourceFault::CursorUnreadable, why)
    })
}

fn failed(error: StateError) -> SourceError {
    SourceError::new(SourceFault::Unavailable, format!("the state store: {error}"))
}
