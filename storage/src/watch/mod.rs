//! [`WatchStore`] on a [`Database`](crate::Database): few and small rows, so each method is plain SQL.

use async_trait::async_trait;
use bus_core::ports::state::StateError;
use bus_core::ports::watch::{Maintenance, Told, Unreadable, WatchStore};
use bus_core::vocabulary::{
    Cursor, FeedName, Identity, Incident, IncidentKind, Moment, RouteName, StreamName, SystemName,
};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::{signed, unsigned};
use crate::state::SqliteState;

/// Closed incidents that are kept: what a person may want to look back on, and never a burden.
const KEPT: i64 = 1000;
/// What one list may hold: open incidents are bounded by the configuration, this only by its mistakes.
const LISTED: i64 = 10_000;

const COLUMNS: &str = "kind, subject, message, remedy, since, last, count, closed";

#[async_trait]
impl WatchStore for SqliteState {
    async fn open_incidents(&self) -> Result<Vec<Incident>, StateError> {
        let select = format!("SELECT {COLUMNS} FROM incidents WHERE closed IS NULL ORDER BY since LIMIT ?1");
        self.database().read(move |connection| list(connection, &select, LISTED)).await
    }

    async fn keep_incidents(&self, incidents: &[Incident]) -> Result<(), StateError> {
        let incidents = incidents.to_vec();
        let weight = incidents.iter().map(|i| i.message.len() + i.remedy.len() + 100).sum();
        self.database().write(weight, move |connection| keep(connection, &incidents)).await
    }

    async fn past_incidents(&self, limit: usize) -> Result<Vec<Incident>, StateError> {
        let select = format!("SELECT {COLUMNS} FROM incidents WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?1");
        let limit = i64::try_from(limit).unwrap_or(LISTED).min(LISTED);
        self.database().read(move |connection| list(connection, &select, limit)).await
    }

    async fn told(&self, channel: &str) -> Result<Vec<Told>, StateError> {
        let channel = channel.to_owned();
        let work = move |connection: &Connection| {
            let mut select = connection.prepare_cached("SELECT kind, subject, at FROM told WHERE channel = ?1")?;
            let mut rows = select.query([channel])?;
            let mut told = Vec::new();
            while let Some(row) = rows.next()? {
                told.push(Told { kind: kind(row, 0)?, subject: row.get(1)?, at: Moment(row.get(2)?) });
            }
            Ok(told)
        };
        self.database().read(work).await
    }

    async fn keep_told(&self, channel: &str, now: &[Told], over: &[(IncidentKind, String)]) -> Result<(), StateError> {
        let (channel, now, over) = (channel.to_owned(), now.to_vec(), over.to_vec());
        let work = move |connection: &Connection| {
            let mut delete =
                connection.prepare_cached("DELETE FROM told WHERE channel = ?1 AND kind = ?2 AND subject = ?3")?;
            for (kind, subject) in &over {
                delete.execute((&channel, kind.as_str(), subject))?;
            }
            let mut insert = connection.prepare_cached(
                "INSERT INTO told (channel, kind, subject, at) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (channel, kind, subject) DO UPDATE SET at = excluded.at",
            )?;
            for told in &now {
                insert.execute((&channel, told.kind.as_str(), &told.subject, told.at.0))?;
            }
            Ok(())
        };
        self.database().write(0, work).await
    }

    async fn maintenance(&self, now: Moment) -> Result<Vec<Maintenance>, StateError> {
        let work = move |connection: &Connection| {
            let mut select = connection.prepare_cached(
                "SELECT id, system, begins, ends, who, why FROM maintenance WHERE ends > ?1 ORDER BY id LIMIT ?2",
            )?;
            let mut rows = select.query((now.0, LISTED))?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let system: Option<String> = row.get(1)?;
                let system = system.map(|name| SystemName::new(&name)).transpose();
                found.push(Maintenance {
                    id: row.get(0)?,
                    system: system
                        .map_err(|error| damaged(format!("the name of a system under maintenance: {error}")))?,
                    begins: Moment(row.get(2)?),
                    ends: Moment(row.get(3)?),
                    who: row.get(4)?,
                    why: row.get(5)?,
                });
            }
            Ok(found)
        };
        self.database().read(work).await
    }

    async fn start_maintenance(&self, maintenance: &Maintenance) -> Result<i64, StateError> {
        let new = maintenance.clone();
        let work = move |connection: &Connection| {
            let mut insert = connection.prepare_cached(
                "INSERT INTO maintenance (system, begins, ends, who, why) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let system = new.system.as_ref().map(SystemName::as_str);
            Ok(insert.insert((system, new.begins.0, new.ends.0, &new.who, &new.why))?)
        };
        self.database().write(0, work).await
    }

    async fn end_maintenance(&self, id: i64, now: Moment) -> Result<bool, StateError> {
        let work = move |connection: &Connection| {
            let mut update =
                connection.prepare_cached("UPDATE maintenance SET ends = ?2 WHERE id = ?1 AND ends > ?2")?;
            Ok(update.execute((id, now.0))? > 0)
        };
        self.database().write(0, work).await
    }

    async fn unreadable(&self) -> Result<Vec<Unreadable>, StateError> {
        self.database().read(unreadable).await
    }

    async fn dead_by_route(&self) -> Result<Vec<(RouteName, u64)>, StateError> {
        self.database().read(dead_by_route).await
    }

    async fn standing(&self, feed: &FeedName, cursor: &Cursor) -> Result<Option<Moment>, StateError> {
        let Some(feed) = self.database().known_number(Kind::Feed, feed.as_str()).await? else { return Ok(None) };
        let cursor = cursor.clone();
        let work = move |connection: &Connection| {
            let select = "SELECT since FROM standing WHERE feed = ?1 AND cursor = ?2";
            let since = connection.prepare_cached(select)?.query_row((feed, cursor.as_str()), |row| row.get(0));
            Ok(since.optional()?.map(Moment))
        };
        self.database().read(work).await
    }

    async fn keep_standing(&self, feed: &FeedName, cursor: &Cursor, since: Moment) -> Result<(), StateError> {
        let (feed, cursor) = (self.database().number(Kind::Feed, feed.as_str()).await?, cursor.clone());
        let work = move |connection: &Connection| {
            let replace = "INSERT OR REPLACE INTO standing (feed, cursor, since) VALUES (?1, ?2, ?3)";
            connection.prepare_cached(replace)?.execute((feed, cursor.as_str(), since.0))?;
            Ok(())
        };
        self.database().write(0, work).await
    }

    async fn identity(&self, feed: &FeedName) -> Result<Option<Identity>, StateError> {
        let feed = feed.as_str().to_owned();
        let work = move |connection: &Connection| {
            let Some(feed) = names::find(connection, Kind::Feed, &feed)? else { return Ok(None) };
            let mut select = connection.prepare_cached("SELECT base, timeline, position FROM bases WHERE feed = ?1")?;
            let found = select.query_row([feed], |row| {
                let (base, timeline, position): (String, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok(Identity { base, timeline: unsigned(timeline), position: position.map(unsigned) })
            });
            Ok(found.optional()?)
        };
        self.database().read(work).await
    }

    async fn keep_identity(&self, feed: &FeedName, identity: Option<&Identity>) -> Result<(), StateError> {
        let (feed, identity) = (self.database().number(Kind::Feed, feed.as_str()).await?, identity.cloned());
        let work = move |connection: &Connection| {
            connection.prepare_cached("DELETE FROM bases WHERE feed = ?1")?.execute([feed])?;
            if let Some(identity) = &identity {
                let mut insert = connection
                    .prepare_cached("INSERT INTO bases (feed, base, timeline, position) VALUES (?1, ?2, ?3, ?4)")?;
                insert.execute((feed, &identity.base, signed(identity.timeline), identity.position.map(signed)))?;
            }
            Ok(())
        };
        self.database().write(0, work).await
    }
}

/// By the index of unreadable letters; SQLite takes `words` from the row that has the greatest number.
fn unreadable(connection: &Connection) -> Result<Vec<Unreadable>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT n.name, count(*), d.words, max(d.id) FROM dead d JOIN names n ON n.id = d.stream
         WHERE d.route IS NULL GROUP BY d.stream ORDER BY n.name LIMIT ?1",
    )?;
    let mut rows = select.query([LISTED])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let stream = StreamName::new(&row.get::<_, String>(0)?).map_err(damaged)?;
        found.push(Unreadable { stream, count: unsigned(row.get(1)?), last: row.get(2)? });
    }
    Ok(found)
}

fn dead_by_route(connection: &Connection) -> Result<Vec<(RouteName, u64)>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT n.name, d.letters FROM (SELECT route, count(*) AS letters FROM dead WHERE route IS NOT NULL GROUP BY route) d
         JOIN names n ON n.id = d.route ORDER BY n.name LIMIT ?1",
    )?;
    let mut rows = select.query([LISTED])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((RouteName::new(&row.get::<_, String>(0)?).map_err(damaged)?, unsigned(row.get(1)?)));
    }
    Ok(found)
}

fn keep(connection: &Connection, incidents: &[Incident]) -> Result<(), Failure> {
    let mut upsert = connection.prepare_cached(&format!(
        "INSERT INTO incidents ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
         ON CONFLICT (kind, subject, since) DO UPDATE SET message = excluded.message, remedy = excluded.remedy,
             last = excluded.last, count = excluded.count, closed = excluded.closed"
    ))?;
    for i in incidents {
        upsert.execute(rusqlite::params![
            i.kind.as_str(),
            i.subject,
            i.message,
            i.remedy,
            i.since.0,
            i.last.0,
            signed(i.count),
            i.closed.map(|closed| closed.0),
        ])?;
    }
    if incidents.iter().any(|incident| incident.closed.is_some()) {
        connection
            .prepare_cached(
                "DELETE FROM incidents WHERE closed IS NOT NULL AND rowid NOT IN
                     (SELECT rowid FROM incidents WHERE closed IS NOT NULL ORDER BY closed DESC LIMIT ?1)",
            )?
            .execute([KEPT])?;
    }
    Ok(())
}

fn list(connection: &Connection, select: &str, limit: i64) -> Result<Vec<Incident>, Failure> {
    let mut select = connection.prepare_cached(select)?;
    let mut rows = select.query([limit])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Incident {
            kind: kind(row, 0)?,
            subject: row.get(1)?,
            message: row.get(2)?,
            remedy: row.get(3)?,
            since: Moment(row.get(4)?),
            last: Moment(row.get(5)?),
            count: unsigned(row.get(6)?),
            closed: row.get::<_, Option<i64>>(7)?.map(Moment),
        });
    }
    Ok(found)
}

fn kind(row: &Row<'_>, index: usize) -> Result<IncidentKind, Failure> {
    let word: String = row.get(index)?;
    IncidentKind::parse(&word).ok_or_else(|| damaged(format!("`{word}` is no kind of incident")))
}
