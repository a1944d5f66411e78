//! Pages after a position: each runs the operator's query from its start value, in a snapshot of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_core::ports::source::{Batch, BatchLimit, SourceError};
use bus_core::vocabulary::Cursor;
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use super::cursor::{Ahead, Within, arguments, declare, fetch_rows, minimum};
use super::horizon::{self, Sight};
use super::session::{self, Session, broken, text};
use super::shape::{CursorType, Shape, Step};
use super::{Postgres, rows};
use crate::sql::asked::Asked;
use crate::sql::page::{Flow, Page, not_ordered, order_by};
use crate::sql::position::{Pending, Position};
use crate::sql::row::quoted;
use crate::sql::{CursorColumn, Overlap};

/// The very first poll waits this long for the transactions that are open when it begins; see `probe`.
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
const SETTLE_STEP: Duration = Duration::from_millis(50);

impl Postgres {
    /// One page after the position.
    pub(in crate::sql) async fn fetch(
        &mut self,
        asked: Asked<'_>,
        column: &CursorColumn,
        after: Option<&Cursor>,
        limit: BatchLimit,
    ) -> Result<Batch, SourceError> {
        let position = after.map(|cursor| Position::<String>::read(cursor, &column.column)).transpose()?;
        let mut session = self.session(asked.options).await?;
        let chain_begins = position.as_ref().is_none_or(|position| position.from.is_none());
        let shape = match self.shape.take() {
            Some(shape) if !chain_begins => shape,
            _ => Arc::new(Shape::ask(&mut session, asked.options, asked.query).await?),
        };
        let cursor = shape.cursor.as_ref().ok_or_else(|| broken("no cursor"))?;

        let mut pending = match &position {
            Some(position) => position.pending.clone(),
            None => probe(&mut session, asked, &shape, column).await?,
        };
        let mut next_safe = position.as_ref().and_then(|position| position.next_safe.clone());
        if chain_begins && !pending.is_empty() {
            let now = sight(&mut session).await?;
            (next_safe, pending) = horizon::promote(pending, &now);
        }
        let snapshot = session.begin().await?;
        let snapshot = Sight::parse(&snapshot, "").ok_or_else(|| broken("another snapshot"))?;
        let start = start(&mut session, cursor, column, position.as_ref()).await?;
        let (page, more) = read_page(&mut session, asked, &shape, column, &start, limit).await?;
        let old_high = position.as_ref().map(|position| position.high.clone());
        let high = order(&mut session, cursor, column, &page.values, old_high).await?;
        session.end().await?;

        let next = match high {
            None => None,
            Some(high) => {
                let mut next = Position::at(&column.column, high);
                next.safe = position.and_then(|position| position.safe);
                next.pending = pending;
                if more {
                    next.from = page.values.last().cloned();
                    next.next_safe = next_safe;
                } else {
                    let now = sight(&mut session).await?;
                    next.safe = next_safe.or(next.safe);
                    settle(&mut next, chain_begins, &snapshot, now);
                }
                Some(next.write())
            }
        };
        self.session = Some(session);
        self.shape = Some(shape);
        Ok(Batch { records: page.records, unreadable: page.unreadable, next, more })
    }
}

/// What the chain's end leaves pending.
fn settle(next: &mut Position<String>, chain_of_one: bool, snapshot: &Sight, now: Sight) {
    if chain_of_one && now.quiet_since(snapshot) {
        next.safe = Some(next.high.clone());
        next.pending.clear();
        return;
    }
    let last = next.pending.last().map(|pending| &pending.high).or(next.safe.as_ref());
    if last != Some(&next.high) {
        horizon::add(&mut next.pending, next.high.clone(), now);
    }
}

/// Before the first poll: the highest value there is, pending on what is open now. Those transactions are given a
/// moment to end; otherwise the second poll would have to read the whole table again.
async fn probe(
    session: &mut Session,
    asked: Asked<'_>,
    shape: &Shape,
    column: &CursorColumn,
) -> Result<Vec<Pending<String>>, SourceError> {
    let name = quoted(&column.column);
    let finite = match shape.cursor.as_ref().map(|cursor| cursor.step) {
        Some(Step::Nothing) | None => String::new(),
        Some(_) => format!(" AND lower(q.{name}::text) NOT IN ('nan', 'infinity', '-infinity')"),
    };
    let sql = format!(
        "SELECT q.{name}::text FROM ({}\n) AS q WHERE q.{name} IS NOT NULL{finite} ORDER BY q.{name} DESC LIMIT 1",
        shape.bind(asked.query)
    );
    session.begin().await?;
    let rows = session.rows(sql, minimum(shape, asked.query)?).await?;
    session.end().await?;
    let Some(high) = rows.first().map(|row| text(row, 0)).transpose()?.flatten() else { return Ok(Vec::new()) };
    let mut pending = Vec::new();
    horizon::add(&mut pending, high, sight(session).await?);
    let deadline = Instant::now() + SETTLE_WITHIN;
    while Instant::now() < deadline && horizon::promote(pending.clone(), &sight(session).await?).0.is_none() {
        tokio::time::sleep(SETTLE_STEP).await;
    }
    Ok(pending)
}

async fn sight(session: &mut Session) -> Result<Sight, SourceError> {
    let sql = horizon::sight_query(session.snapshot_function(), session::APPLICATION);
    let rows = session.rows(sql, PgArguments::default()).await?;
    let row = rows.first().ok_or_else(|| broken("nothing"))?;
    let (snapshot, open) = (text(row, 0)?.unwrap_or_default(), text(row, 1)?.unwrap_or_default());
    Sight::parse(&snapshot, &open).ok_or_else(|| broken("another snapshot"))
}

/// Where this page starts: after the last page of the chain, or at the safe value minus the overlap.
async fn start(
    session: &mut Session,
    cursor: &CursorType,
    column: &CursorColumn,
    position: Option<&Position<String>>,
) -> Result<String, SourceError> {
    let Some(position) = position else { return Ok(cursor.minimum.into()) };
    if let Some(from) = &position.from {
        return Ok(from.clone());
    }
    let Some(safe) = &position.safe else { return Ok(cursor.minimum.into()) };
    let value = cursor.value("$1");
    let sql = match (column.overlap, cursor.step) {
        (Overlap::None, _) | (_, Step::Nothing) => return Ok(safe.clone()),
        (Overlap::Time(_), _) => format!("SELECT ({value} - $2::text::interval)::{}::text", cursor.cast),
        (Overlap::Number(_), Step::Number { floor }) => {
            format!("SELECT greatest({value}::numeric - $2::text::numeric, {floor}::numeric)::text")
        }
        (Overlap::Number(_), Step::Time) => return Ok(safe.clone()),
    };
    let back = match column.overlap {
        Overlap::Time(back) => format!("{} microseconds", back.as_micros()),
        Overlap::Number(back) => back.to_string(),
        Overlap::None => String::new(),
    };
    let rows = session.rows(sql, arguments(&[safe, &back])?).await?;
    rows.first().map(|row| text(row, 0)).transpose()?.flatten().ok_or_else(|| broken("no start"))
}

async fn read_page(
    session: &mut Session,
    asked: Asked<'_>,
    shape: &Shape,
    column: &CursorColumn,
    start: &str,
    limit: BatchLimit,
) -> Result<(Page<String>, bool), SourceError> {
    declare(session, asked, shape, start, Within { tail: order_by(&column.column), ..Within::default() }).await?;
    let mut page = Page::new(limit);
    let mut ahead = Ahead::default();
    loop {
        let wanted = ahead.rows(limit.records.saturating_add(1), limit.bytes);
        let rows = fetch_rows(session, wanted).await?;
        for row in &rows {
            let row = rows::take(row, shape, asked.options)?;
            ahead.saw(row.content.bytes());
            if page.push(row, &column.column)? == Flow::Full {
                return Ok((page, true));
            }
        }
        if rows.len() < wanted {
            return Ok((page, false));
        }
    }
}

/// The server compares: in its own order, for every type alike. Returns the highest value read so far. That the values
/// rise is what the statement asks for; where they do not, a value is not what its text says, and nothing may be passed over.
async fn order(
    session: &mut Session,
    cursor: &CursorType,
    column: &CursorColumn,
    values: &[String],
    high: Option<String>,
) -> Result<Option<String>, SourceError> {
    let Some(last) = values.last() else { return Ok(high) };
    let (value, last_value, high_value) = (cursor.value("v"), cursor.value("$2"), cursor.value("$3"));
    let sql = format!(
        "SELECT coalesce(bool_or(v < previous), false)::text, \
                (CASE WHEN {high_value} > {last_value} THEN $3 ELSE $2 END)::text \
         FROM (SELECT v, lag(v) OVER (ORDER BY i) AS previous \
               FROM (SELECT {value} AS v, i FROM unnest($1::text[]) WITH ORDINALITY AS u(v, i)) AS typed) AS pairs"
    );
    let mut arguments = PgArguments::default();
    arguments.add(values).and_then(|()| arguments.add(last)).map_err(|_| broken("no array"))?;
    arguments.add(high).map_err(|_| broken("no text"))?;
    let rows = session.rows(sql, arguments).await?;
    let row = rows.first().ok_or_else(|| broken("nothing"))?;
    if text(row, 0)?.as_deref() == Some("true") {
        return Err(not_ordered(&column.column));
    }
    text(row, 1)
}
