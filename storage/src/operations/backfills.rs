//! The queue of backfills.

use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::backfills::{Backfill, BackfillStore, Order, State};
use bus_core::ports::state::StateError;
use bus_core::ports::tasks::{Kind, Order as TaskOrder};
use bus_core::vocabulary::{FeedName, Moment, Period, RouteName, StreamName};
use chrono::NaiveDateTime;
use rusqlite::{Connection, Row};

use super::tasks;
use crate::SqliteState;
use crate::failure::{Failure, damaged};
use crate::number::{signed, unsigned};

/// Of those that are over, so many are shown and kept.
const OVER: i64 = 100;

#[async_trait]
impl BackfillStore for SqliteState {
    async fn order_backfill(&self, order: &Order) -> Result<i64, StateError> {
        let (order, now) = (order.clone(), Moment::now());
        self.database().write(0, move |connection| insert(connection, &order, now)).await
    }

    async fn backfills(&self) -> Result<Vec<Backfill>, StateError> {
        self.database().read(list).await
    }

    async fn begin_step(&self, backfill: &Backfill, step: &Period) -> Result<(), StateError> {
        let (backfill, step, now) = (backfill.clone(), *step, Moment::now());
        self.database().write(0, move |connection| begin_step(connection, &backfill, step, now)).await
    }

    async fn end_step(&self, id: i64, reached: NaiveDateTime) -> Result<(), StateError> {
        let now = Moment::now();
        self.database().write(0, move |connection| end_step(connection, id, reached, now)).await
    }

    async fn set_state(&self, id: i64, state: State, error: Option<&str>) -> Result<bool, StateError> {
        let (error, now) = (error.map(str::to_owned), Moment::now());
        self.database().write(0, move |connection| set_state(connection, id, state, error.as_deref(), now)).await
    }
}

fn insert(connection: &Connection, order: &Order, now: Moment) -> Result<i64, Failure> {
    let routes: Vec<&str> = order.routes.iter().map(RouteName::as_str).collect();
    let routes = serde_json::to_string(&routes).map_err(damaged)?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO backfills (kind, feed, stream, routes, first, last, step, priority, share, who, at, state, reached,
                                read, sent)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, 'open', ?5, 0, 0)",
    )?;
    let (kind, feed, stream) = (order.kind.as_str(), order.feed.as_str(), order.stream.as_str());
    let (first, last) = (Period::write(order.period.from), Period::write(order.period.to));
    let step = signed(order.step.as_secs());
    let row = (kind, feed, stream, routes, first, last, step, order.priority, order.share, &order.who, now.0);
    Ok(insert.insert(row)?)
}

fn list(connection: &Connection) -> Result<Vec<Backfill>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT id, kind, feed, stream, routes, first, last, step, priority, share, who, at, state, ended, reached, read,
                sent, error
         FROM backfills
         WHERE ended IS NULL OR id IN (SELECT id FROM backfills WHERE ended IS NOT NULL ORDER BY id DESC LIMIT ?1)
         ORDER BY id",
    )?;
    let mut rows = select.query([OVER])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: &Row<'_>) -> Result<Backfill, Failure> {
    let text = |index: usize| row.get::<_, String>(index);
    let routes: Vec<String> = serde_json::from_str(&text(4)?).map_err(damaged)?;
    let order = Order {
        kind: Kind::parse(&text(1)?).ok_or_else(|| damaged("a backfill is of an unknown kind"))?,
        feed: FeedName::new(&text(2)?).map_err(damaged)?,
        stream: StreamName::new(&text(3)?).map_err(damaged)?,
        routes: routes.iter().map(|route| RouteName::new(route).map_err(damaged)).collect::<Result<_, _>>()?,
        period: tasks::period(&text(5)?, &text(6)?)?,
        step: Duration::from_secs(unsigned(row.get(7)?)),
        priority: row.get(8)?,
        share: row.get(9)?,
        who: row.get(10)?,
    };
    Ok(Backfill {
        id: row.get(0)?,
        order,
        at: Moment(row.get(11)?),
        state: State::parse(&text(12)?).ok_or_else(|| damaged("a backfill is in an unknown state"))?,
        ended: row.get::<_, Option<i64>>(13)?.map(Moment),
        reached: Period::parse(&text(14)?).ok_or_else(|| damaged("a stored date cannot be read"))?,
        read: unsigned(row.get(15)?),
        sent: unsigned(row.get(16)?),
        error: row.get(17)?,
    })
}

fn is_open(connection: &Connection, id: i64) -> Result<bool, Failure> {
    let mut select = connection.prepare_cached("SELECT count(*) FROM backfills WHERE id = ?1 AND state = 'open'")?;
    Ok(select.query_row([id], |row| row.get::<_, i64>(0))? > 0)
}

fn begin_step(connection: &Connection, backfill: &Backfill, step: Period, now: Moment) -> Result<(), Failure> {
    let mut begun = connection.prepare_cached("SELECT 1 FROM tasks WHERE backfill = ?1")?;
    if !is_open(connection, backfill.id)? || begun.exists([backfill.id])? {
        return Ok(());
    }
    for route in &backfill.order.routes {
        let Order { kind, feed, stream, share, who, .. } = backfill.order.clone();
        let order = TaskOrder {
            kind,
            feed,
            stream,
            route: route.clone(),
            only: Vec::new(),
            part: Some(step),
            backfill: Some(backfill.id),
            share,
            who,
        };
        tasks::insert(connection, &order, now)?;
    }
    Ok(())
}

fn end_step(connection: &Connection, id: i64, reached: NaiveDateTime, now: Moment) -> Result<(), Failure> {
    if !is_open(connection, id)? {
        return Ok(());
    }
    // The source was read once for all routes.
    let sums = "SELECT coalesce(max(read), 0), coalesce(sum(sent), 0) FROM tasks WHERE backfill = ?1";
    let (read, sent): (i64, i64) =
        connection.prepare_cached(sums)?.query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let update = "UPDATE backfills SET reached = ?2, read = read + ?3, sent = sent + ?4 WHERE id = ?1";
    connection.prepare_cached(update)?.execute((id, Period::write(reached), read, sent))?;
    forget_step(connection, id)?;
    let done = "UPDATE backfills SET state = 'done', ended = ?2 WHERE id = ?1 AND reached >= last";
    if connection.prepare_cached(done)?.execute((id, now.0))? > 0 {
        forget_old(connection)?;
    }
    Ok(())
}

fn set_state(
    connection: &Connection,
    id: i64,
    state: State,
    error: Option<&str>,
    now: Moment,
) -> Result<bool, Failure> {
    let ended = state.is_over().then_some(now.0);
    let update = "UPDATE backfills SET state = ?2, error = ?3, ended = ?4 WHERE id = ?1 AND ended IS NULL";
    let changed = connection.prepare_cached(update)?.execute((id, state.as_str(), error, ended))? > 0;
    if changed && state != State::Open {
        forget_step(connection, id)?;
    }
    if changed && ended.is_some() {
        forget_old(connection)?;
    }
    Ok(changed)
}

fn forget_step(connection: &Connection, id: i64) -> Result<(), Failure> {
    connection.execute("DELETE FROM task_rows WHERE task IN (SELECT id FROM tasks WHERE backfill = ?1)", [id])?;
    connection.execute("DELETE FROM tasks WHERE backfill = ?1", [id])?;
    Ok(())
}

/// Nobody looks further back than the list shows.
fn forget_old(connection: &Connection) -> Result<(), Failure> {
    connection.execute(
        "DELETE FROM backfills WHERE ended IS NOT NULL AND id NOT IN
             (SELECT id FROM backfills WHERE ended IS NOT NULL ORDER BY id DESC LIMIT ?1)",
        [OVER],
    )?;
    Ok(())
}
