//! Tasks and the rows they keep.

use async_trait::async_trait;
use bus_core::policy::Slice;
use bus_core::ports::source::BatchLimit;
use bus_core::ports::state::StateError;
use bus_core::ports::tasks::{Kind, Line, Order, Place, Stage, Task, TaskStore};
use bus_core::vocabulary::{ContentHash, Envelope, FeedName, Key, Moment, Period, RouteName, Seq, StreamName};
use rusqlite::{Connection, OptionalExtension, Row};

use crate::SqliteState;
use crate::failure::{Failure, damaged};
use crate::journal::recent;
use crate::names;
use crate::number::{signed, unsigned};
use crate::state::route;

/// Of the tasks that ended, so many are shown and kept.
const ENDED: i64 = 100;

#[async_trait]
impl TaskStore for SqliteState {
    async fn places(&self, stream: &StreamName, keys: &[Key]) -> Result<Vec<Option<Place>>, StateError> {
        let Some(stream) = self.database().known_number(names::Kind::Stream, stream.as_str()).await? else {
            return Ok(vec![None; keys.len()]);
        };
        let keys = keys.to_vec();
        self.database().read(move |connection| places(connection, stream, &keys)).await
    }

    async fn order_task(&self, order: &Order) -> Result<i64, StateError> {
        let (order, now) = (order.clone(), Moment::now());
        self.database().write(0, move |connection| insert(connection, &order, now)).await
    }

    async fn tasks(&self) -> Result<Vec<Task>, StateError> {
        self.database().read(list).await
    }

    async fn set_stage(&self, id: i64, stage: Stage, error: Option<&str>) -> Result<bool, StateError> {
        let (error, now) = (error.map(str::to_owned), Moment::now());
        self.database().write(0, move |connection| set_stage(connection, id, stage, error.as_deref(), now)).await
    }

    async fn begin_reading(&self, id: i64) -> Result<bool, StateError> {
        let work = move |connection: &Connection| {
            let update = "UPDATE tasks SET read = 0, kept = sent, bytes = 0 WHERE id = ?1 AND stage = 'reading'";
            if connection.execute(update, [id])? == 0 {
                return Ok(false);
            }
            connection.execute("DELETE FROM task_rows WHERE task = ?1", [id])?;
            Ok(true)
        };
        self.database().write(0, work).await
    }

    async fn keep_rows(&self, id: i64, read: u64, rows: &[Envelope]) -> Result<u64, StateError> {
        let frames: Vec<_> = rows.iter().map(|row| (signed(Slice::place(&row.key)), row.to_frame())).collect();
        let weight: usize = frames.iter().map(|(_, frame)| frame.len()).sum();
        let work = move |connection: &Connection| {
            let update = "UPDATE tasks SET read = read + ?2, kept = kept + ?3, bytes = bytes + ?4
                          WHERE id = ?1 AND stage = 'reading' RETURNING bytes";
            let counts = (id, signed(read), signed(frames.len() as u64), signed(weight as u64));
            let bytes: Option<i64> =
                connection.prepare_cached(update)?.query_row(counts, |row| row.get(0)).optional()?;
            // Cancelled meanwhile: nobody would ever forget the rows.
            let Some(bytes) = bytes else { return Ok(0) };
            let mut insert =
                connection.prepare_cached("INSERT INTO task_rows (task, slot, frame) VALUES (?1, ?2, ?3)")?;
            for (slot, frame) in &frames {
                insert.execute((id, slot, frame.as_ref()))?;
            }
            Ok(unsigned(bytes))
        };
        self.database().write(weight, work).await
    }

    async fn narrow(&self, id: i64, slice: Slice) -> Result<u64, StateError> {
        let work = move |connection: &Connection| {
            let (from, to) = (signed(slice.from), signed(slice.to));
            connection
                .execute("DELETE FROM task_rows WHERE task = ?1 AND (slot < ?2 OR slot >= ?3)", (id, from, to))?;
            let mut left = connection
                .prepare_cached("SELECT count(*), coalesce(sum(length(frame)), 0) FROM task_rows WHERE task = ?1")?;
            let (rows, bytes): (i64, i64) = left.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
            connection.execute(
                "UPDATE tasks SET kept = sent + ?2, bytes = ?3, slice_from = ?4, slice_to = ?5 WHERE id = ?1",
                (id, rows, bytes, from, to),
            )?;
            Ok(unsigned(bytes))
        };
        self.database().write(0, work).await
    }

    async fn read_on(&self, id: i64, slice: Slice) -> Result<bool, StateError> {
        let work = move |connection: &Connection| {
            let update =
                "UPDATE tasks SET stage = 'reading', slice_from = ?2, slice_to = ?3 WHERE id = ?1 AND ended IS NULL";
            Ok(connection.execute(update, (id, signed(slice.from), signed(slice.to)))? > 0)
        };
        self.database().write(0, work).await
    }

    async fn rows(&self, id: i64, limit: usize, bytes: usize) -> Result<Vec<(i64, Envelope)>, StateError> {
        let work = move |connection: &Connection| {
            let mut select = connection
                .prepare_cached("SELECT place, frame FROM task_rows WHERE task = ?1 ORDER BY place LIMIT ?2")?;
            let mut rows = select.query((id, signed(limit as u64)))?;
            let (mut found, mut read) = (Vec::new(), 0);
            while (read < bytes || found.is_empty())
                && let Some(row) = rows.next()?
            {
                let frame: Vec<u8> = row.get(1)?;
                read += frame.len();
                found.push((row.get(0)?, Envelope::from_frame(frame.into()).map_err(damaged)?));
            }
            Ok(found)
        };
        self.database().read(work).await
    }

    async fn are_latest(&self, feed: &FeedName, messages: &[Envelope]) -> Result<Option<Vec<bool>>, StateError> {
        let Some(first) = messages.first() else { return Ok(Some(Vec::new())) };
        let feed = self.database().known_number(names::Kind::Feed, feed.as_str()).await?;
        let Some(stream) = self.database().known_number(names::Kind::Stream, first.stream.as_str()).await? else {
            return Ok(Some(vec![true; messages.len()]));
        };
        let messages: Vec<_> = messages.iter().map(|message| (message.key.clone(), message.seq)).collect();
        self.database().read(move |connection| are_latest(connection, feed, stream, &messages)).await
    }

    async fn forget_rows(&self, id: i64, places: &[i64]) -> Result<(), StateError> {
        let places = places.to_vec();
        let work = move |connection: &Connection| {
            let mut delete = connection.prepare_cached("DELETE FROM task_rows WHERE place = ?1 AND task = ?2")?;
            let mut gone = 0;
            for place in &places {
                gone += delete.execute((place, id))?;
            }
            connection.execute("UPDATE tasks SET sent = sent + ?2 WHERE id = ?1", (id, signed(gone as u64)))?;
            Ok(())
        };
        self.database().write(0, work).await
    }

    async fn archived(
        &self,
        stream: &StreamName,
        below: Option<Seq>,
        between: Option<(Moment, Moment)>,
        limit: BatchLimit,
    ) -> Result<Vec<Envelope>, StateError> {
        let stream = stream.clone();
        self.database().read(move |connection| recent::archived(connection, &stream, below, between, limit)).await
    }

    async fn delivered_between(
        &self,
        route: &RouteName,
        since: Moment,
        until: Moment,
        limit: usize,
    ) -> Result<Vec<Key>, StateError> {
        let route = route.clone();
        self.database()
            .read(move |connection| recent::delivered_between(connection, &route, (since, until), limit))
            .await
    }

    async fn line(&self, route: &RouteName) -> Result<Line, StateError> {
        let Some(route) = self.database().known_number(names::Kind::Route, route.as_str()).await? else {
            return Ok(Line::default());
        };
        let select = "SELECT count(*), count(*) FILTER (WHERE reason = 'load') FROM waiting WHERE route = ?1";
        let work = move |connection: &Connection| {
            let (waiting, loaded): (i64, i64) =
                connection.prepare_cached(select)?.query_row([route], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(Line { loaded: unsigned(loaded), waiting: unsigned(waiting) })
        };
        self.database().read(work).await
    }
}

fn are_latest(
    connection: &Connection,
    feed: Option<i64>,
    stream: i64,
    messages: &[(Key, Seq)],
) -> Result<Option<Vec<bool>>, Failure> {
    let sealed = "SELECT 1 FROM feeds WHERE id = ?1 AND sealed IS NOT NULL";
    if connection.prepare_cached(sealed)?.exists([feed])? {
        return Ok(None);
    }
    let mut newer = connection
        .prepare_cached("SELECT 1 FROM published WHERE stream = ?1 AND key = ?2 AND (epoch, number) > (?3, ?4)")?;
    let mut latest = Vec::with_capacity(messages.len());
    for (key, seq) in messages {
        latest.push(!newer.exists((stream, key.as_str(), signed(seq.epoch), signed(seq.number)))?);
    }
    Ok(Some(latest))
}

fn places(connection: &Connection, stream: i64, keys: &[Key]) -> Result<Vec<Option<Place>>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT epoch, number, generation, hash FROM published WHERE stream = ?1 AND key = ?2 AND NOT deleted",
    )?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let row = select.query_row((stream, key.as_str()), |row| {
            Ok((route::seq(row.get(0)?, row.get(1)?), row.get::<_, i64>(2)?, row.get::<_, Vec<u8>>(3)?))
        });
        found.push(match row.optional()? {
            Some((seq, generation, hash)) => {
                let hash = hash.try_into().map_err(|_| damaged("a stored hash has a wrong length"))?;
                Some(Place { seq, generation: unsigned(generation), hash: ContentHash::from_bytes(hash) })
            }
            None => None,
        });
    }
    Ok(found)
}

pub(super) fn insert(connection: &Connection, order: &Order, now: Moment) -> Result<i64, Failure> {
    let only = serde_json::to_string(&order.only).map_err(damaged)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO tasks (kind, feed, stream, route, only_these, share, who, at, stage, read, kept, sent, part_from,
                            part_to, backfill)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'reading', 0, 0, 0, ?9, ?10, ?11)",
    )?;
    let (kind, feed, stream) = (order.kind.as_str(), order.feed.as_str(), order.stream.as_str());
    let (route, share, who) = (order.route.as_str(), order.share, order.who.as_str());
    let (from, to) = (order.part.map(|part| Period::write(part.from)), order.part.map(|part| Period::write(part.to)));
    Ok(insert.insert((kind, feed, stream, route, only, share, who, now.0, from, to, order.backfill))?)
}

fn list(connection: &Connection) -> Result<Vec<Task>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT id, kind, feed, stream, route, only_these, share, who, at, stage, ended, read, kept, sent, error,
                part_from, part_to, backfill, slice_from, slice_to
         FROM tasks WHERE ended IS NULL OR backfill IS NOT NULL
             OR id IN (SELECT id FROM tasks WHERE ended IS NOT NULL ORDER BY id DESC LIMIT ?1)
         ORDER BY id",
    )?;
    let mut rows = select.query([ENDED])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Task, Failure> {
    let text = |index: usize| row.get::<_, String>(index);
    let count = |index: usize| row.get::<_, i64>(index).map(unsigned);
    let order = Order {
        kind: Kind::parse(&text(1)?).ok_or_else(|| damaged("a task is of an unknown kind"))?,
        feed: FeedName::new(&text(2)?).map_err(damaged)?,
        stream: StreamName::new(&text(3)?).map_err(damaged)?,
        route: RouteName::new(&text(4)?).map_err(damaged)?,
        only: serde_json::from_str(&text(5)?).map_err(damaged)?,
        part: match (row.get::<_, Option<String>>(15)?, row.get::<_, Option<String>>(16)?) {
            (Some(from), Some(to)) => Some(period(&from, &to)?),
            _ => None,
        },
        backfill: row.get(17)?,
        share: row.get(6)?,
        who: row.get(7)?,
    };
    Ok(Task {
        id: row.get(0)?,
        order,
        at: Moment(row.get(8)?),
        stage: Stage::parse(&text(9)?).ok_or_else(|| damaged("a task is at an unknown stage"))?,
        ended: row.get::<_, Option<i64>>(10)?.map(Moment),
        read: count(11)?,
        kept: count(12)?,
        sent: count(13)?,
        slice: Slice { from: count(18)?, to: count(19)? },
        error: row.get(14)?,
    })
}

/// Reads what [`Period::write`] wrote.
pub(super) fn period(from: &str, to: &str) -> Result<Period, Failure> {
    let bound = |text: &str| Period::parse(text).ok_or_else(|| damaged("a stored date cannot be read"));
    Ok(Period { from: bound(from)?, to: bound(to)? })
}

fn set_stage(
    connection: &Connection,
    id: i64,
    stage: Stage,
    error: Option<&str>,
    now: Moment,
) -> Result<bool, Failure> {
    let ended = (!stage.is_open()).then_some(now.0);
    let mut update = connection
        .prepare_cached("UPDATE tasks SET stage = ?2, error = ?3, ended = ?4 WHERE id = ?1 AND ended IS NULL")?;
    let changed = update.execute((id, stage.as_str(), error, ended))? > 0;
    if changed && ended.is_some() {
        connection.execute("DELETE FROM task_rows WHERE task = ?1", [id])?;
        // Nobody looks further back than the list shows. The tasks of a backfill go with their step.
        connection.execute(
            "DELETE FROM tasks WHERE ended IS NOT NULL AND backfill IS NULL AND id NOT IN
                 (SELECT id FROM tasks WHERE ended IS NOT NULL ORDER BY id DESC LIMIT ?1)",
            [ENDED],
        )?;
    }
    Ok(changed)
}
