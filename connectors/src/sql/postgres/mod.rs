//! PostgreSQL: pages through a server-side cursor, each in a transaction that sees one snapshot and cannot write.
//!
//! Every page runs the operator's query from its start value, so that no transaction stays open between pages; an
//! index on the cursor column makes that cheap. A scan does hold one snapshot for all its pages.

mod classify;
mod horizon;
pub(super) mod reach;
mod rows;
mod session;
mod shape;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bus_core::ports::source::{Batch, BatchLimit, Part, ScanPage, SourceError, SourceFault, SystemReport};
use bus_core::vocabulary::{Cursor, Identity, Key, Period};
use sqlx::Arguments;
use sqlx::postgres::{PgArguments, PgRow};

use self::horizon::Sight;
use self::reach::Greeting;
use self::session::{Session, broken, text};
use self::shape::{CursorType, Shape, Step, quoted};
use super::page::{Flow, Page, not_ordered};
use super::position::{Pending, Position};
use super::query::Query;
use super::row::{Content, key_columns};
use super::{CursorColumn, Options, Overlap};
use crate::{Served, Tape};

/// Rows taken from the server at once: few round trips, little left over when a page ends among them.
const FETCH_ROWS: usize = 512;

/// The very first poll waits this long for the transactions that are open when it begins; see [`Postgres::probe`].
const SETTLE_WITHIN: Duration = Duration::from_secs(1);
const SETTLE_STEP: Duration = Duration::from_millis(50);

/// The reader of one query.
pub(super) struct Postgres {
    session: Option<Session>,
    shape: Option<Arc<Shape>>,
    scan: Option<Scan>,
}

/// A scan under way: its transaction stays open, and with it its snapshot.
struct Scan {
    session: Session,
    shape: Arc<Shape>,
}

/// What a query was called with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) options: &'a Options,
    pub(super) query: &'a Query,
}

impl Postgres {
    pub(super) fn new() -> Self {
        Self { session: None, shape: None, scan: None }
    }

    async fn session(&mut self, options: &Options) -> Result<Session, SourceError> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::connect(&options.address()).await,
        }
    }

    pub(super) async fn check(&mut self, asked: Asked<'_>) -> Result<SystemReport, SourceError> {
        let mut session = self.session(asked.options).await?;
        let Greeting { version, latency, replica } = reach::greeting(&mut session).await?;
        let shape = Shape::ask(&mut session, asked.options, asked.query).await?;
        asked
            .options
            .serves
            .all()
            .flat_map(|served| &served.date)
            .try_for_each(|name| dated(&shape, name).map(drop))?;
        let names: Vec<_> = shape.columns.iter().map(|column| quoted(&column.name)).collect();
        let sql = format!("SELECT {} FROM ({}\n) AS q LIMIT 0", names.join(", "), shape.bind(asked.query));
        session.begin().await?;
        session.rows(sql, minimum(&shape, asked.query)?).await?;
        session.end().await?;
        self.session = Some(session);

        let mut remarks = super::source::remarks(asked);
        if replica && asked.options.cursor.is_some() {
            remarks.push(
                "this is a replica: a transaction of the primary that began before it wrote is not seen here until it \
                 commits, so set an overlap that is longer than such transactions last"
                    .into(),
            );
        }
        // The server looks at rights when a statement is run, also for no rows.
        let rights = vec!["may read what the query asks for".to_owned()];
        Ok(SystemReport { version, latency, rights, remarks })
    }

    /// The cluster, the database in it (loaded anew from a dump it is another), its timeline, and how far its log is.
    pub(super) async fn identity(&mut self, asked: Asked<'_>) -> Result<Option<Identity>, SourceError> {
        let mut session = self.session(asked.options).await?;
        let sql = "SELECT s.system_identifier::text || '/' || d.oid::text, c.timeline_id::text, \
                          CASE WHEN pg_is_in_recovery() THEN NULL \
                               ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text END \
                   FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d \
                   WHERE d.datname = current_database()";
        let rows = match session.rows(sql.to_owned(), PgArguments::default()).await {
            Ok(rows) => rows,
            // A managed server that keeps these functions to itself: then nobody can tell, and reading goes on.
            Err(error) if error.fault == SourceFault::Misconfigured => return Ok(None),
            Err(error) => return Err(error),
        };
        let row = rows.first().ok_or_else(|| broken("nothing"))?;
        let number = |index| Ok::<_, SourceError>(text(row, index)?.and_then(|text| text.parse::<u64>().ok()));
        let base = text(row, 0)?.ok_or_else(|| broken("no identifier"))?;
        let identity = Identity { base, timeline: number(1)?.unwrap_or(0), position: number(2)? };
        self.session = Some(session);
        Ok(Some(identity))
    }

    /// One page after the position.
    pub(super) async fn fetch(
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

    /// The next page of a scan: one snapshot from the first page to the last.
    pub(super) async fn scan(
        &mut self,
        asked: Asked<'_>,
        restart: bool,
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        let scan = match self.scan.take() {
            Some(scan) if !restart => scan,
            None if !restart => {
                return Err(SourceError::new(
                    SourceFault::Unavailable,
                    "the scan was cut and its snapshot with it: it has to begin again",
                ));
            }
            _ => Scan::begin(asked, None).await?,
        };
        self.page(asked, scan, limit).await
    }

    /// The first page of a scan of one stream's part.
    pub(super) async fn begin_part(
        &mut self,
        asked: Asked<'_>,
        part: (&Part, Option<&str>),
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        self.scan = None;
        let scan = Scan::begin(asked, Some(part)).await?;
        self.page(asked, scan, limit).await
    }

    async fn page(&mut self, asked: Asked<'_>, mut scan: Scan, limit: BatchLimit) -> Result<ScanPage, SourceError> {
        let mut page = ScanPage::default();
        let mut bytes = 0;
        while page.records.len() + page.unreadable.len() < limit.records.max(1) && bytes < limit.bytes.max(1) {
            let room = limit.records.max(1) - page.records.len() - page.unreadable.len();
            let wanted = room.min(FETCH_ROWS);
            let rows = fetch_rows(&mut scan.session, wanted).await?;
            for row in &rows {
                let row = rows::take(row, &scan.shape, asked.options)?;
                bytes += row.content.bytes();
                match row.content {
                    Content::Record(record) => page.records.push(record),
                    Content::Unreadable(row) => page.unreadable.push(row),
                }
            }
            if rows.len() < wanted {
                scan.session.end().await?;
                page.complete = true;
                return Ok(page);
            }
        }
        self.scan = Some(scan);
        Ok(page)
    }

    /// Which of the keys the query returns now. At most [`super::source::KEYS_AT_ONCE`] keys.
    pub(super) async fn present(
        &mut self,
        asked: Asked<'_>,
        (served, entity): (&Served, Option<&str>),
        keys: &[Key],
    ) -> Result<Vec<bool>, SourceError> {
        let Asked { options, query } = asked;
        let mut session = self.session(options).await?;
        let shape = Shape::ask(&mut session, options, query).await?;
        let mut arguments = minimum(&shape, query)?;
        let first = arguments.len() + 1;
        let wanted: Vec<Option<Vec<String>>> = keys.iter().map(|key| key_columns(key, served.key.len())).collect();
        let (mut columns, mut texts, mut casts, mut arrays) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (i, name) in served.key.iter().enumerate() {
            columns.push(format!("q.{}", quoted(name)));
            texts.push(format!("q.{}::text", quoted(name)));
            casts.push(format!("k{i}::{}", shape.type_of(name)));
            arrays.push((format!("k{i}"), format!("${}::text[]", first + i)));
            let values: Vec<&str> = wanted.iter().flatten().map(|key| key[i].as_str()).collect();
            arguments.add(values).map_err(|_| broken("no array"))?;
        }
        let (names, arrays): (Vec<_>, Vec<_>) = arrays.into_iter().unzip();
        let mut only = String::new();
        if let (Some(column), Some(entity)) = (options.serves.entity_column(), entity) {
            only = format!(" AND q.{}::text = ${}", quoted(column), first + served.key.len());
            arguments.add(entity).map_err(|_| broken("no text"))?;
        }
        let sql = format!(
            "SELECT DISTINCT {} FROM ({}\n) AS q WHERE ({}) IN (SELECT {} FROM unnest({}) AS u({})){only}",
            texts.join(", "),
            shape.bind(query),
            columns.join(", "),
            casts.join(", "),
            arrays.join(", "),
            names.join(", "),
        );
        session.begin().await?;
        let rows = session.rows(sql, arguments).await?;
        session.end().await?;
        self.session = Some(session);
        // Equal is not enough (1.0 and 1.00 are equal numbers, but two keys): the texts decide.
        let mut found = std::collections::HashSet::new();
        for row in &rows {
            let key: Result<Option<Vec<_>>, _> = (0..served.key.len()).map(|i| text(row, i)).collect();
            found.extend(key?);
        }
        Ok(wanted.iter().map(|key| key.as_ref().is_some_and(|key| found.contains(key))).collect())
    }
}

impl Scan {
    async fn begin(asked: Asked<'_>, part: Option<(&Part, Option<&str>)>) -> Result<Self, SourceError> {
        let mut session = Session::connect(&asked.options.address()).await?;
        let shape = Arc::new(Shape::ask(&mut session, asked.options, asked.query).await?);
        let start = shape.cursor.as_ref().map_or("", |cursor| cursor.minimum);
        let within = part.map(|(part, entity)| Within::new(asked, &shape, part, entity)).transpose()?;
        session.begin().await?;
        declare(&mut session, asked, &shape, start, within.unwrap_or_default()).await?;
        Ok(Self { session, shape })
    }
}

/// A condition around the operator's query, and what is bound in it.
#[derive(Default)]
struct Within {
    condition: String,
    values: Vec<String>,
}

impl Within {
    /// Rows of a part. What has a zone is compared as a moment, what has none as clocks show it.
    fn new(asked: Asked<'_>, shape: &Shape, part: &Part, entity: Option<&str>) -> Result<Self, SourceError> {
        let cast = dated(shape, &part.column)?;
        let mut values = match cast {
            "timestamptz" => vec![part.from.to_string(), part.to.to_string()],
            _ => vec![Period::write(part.period.from), Period::write(part.period.to)],
        };
        let first = 1 + usize::from(shape.cursor.is_some());
        let column = format!("q.{}", quoted(&part.column));
        let bound = |at: usize| format!("${}::text::{cast}", first + at);
        let mut condition = format!(" WHERE {column} >= {} AND {column} < {}", bound(0), bound(1));
        if let (Some(name), Some(entity)) = (asked.options.serves.entity_column(), entity) {
            condition.push_str(&format!(" AND q.{}::text = ${}", quoted(name), first + 2));
            values.push(entity.to_owned());
        }
        Ok(Self { condition, values })
    }
}

/// The type that bounds of a column of dates are compared as.
fn dated(shape: &Shape, column: &str) -> Result<&'static str, SourceError> {
    match shape.type_of(column) {
        "timestamp with time zone" => Ok("timestamptz"),
        "timestamp without time zone" | "date" => Ok("timestamp"),
        other => Err(super::source::misconfigured(format!(
            "date column {column:?} is of type {other}: name a column of dates or times, or cast it in the query"
        ))),
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
    declare(session, asked, shape, start, Within::default()).await?;
    let mut page = Page::new(limit);
    let wanted = FETCH_ROWS.min(limit.records.saturating_add(1));
    loop {
        let rows = fetch_rows(session, wanted).await?;
        for row in &rows {
            if page.push(rows::take(row, shape, asked.options)?, &column.column)? == Flow::Full {
                return Ok((page, true));
            }
        }
        if rows.len() < wanted {
            return Ok((page, false));
        }
    }
}

/// The server compares: in its own order, for every type alike. Returns the highest value read so far.
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

async fn declare(
    session: &mut Session,
    asked: Asked<'_>,
    shape: &Shape,
    start: &str,
    within: Within,
) -> Result<(), SourceError> {
    let statement = rows::statement(shape, asked.options, asked.query);
    let sql = format!("DECLARE bus NO SCROLL CURSOR FOR {statement}{}", within.condition);
    let start = shape.cursor.is_some().then_some(start);
    let bound: Vec<&str> = start.into_iter().chain(within.values.iter().map(String::as_str)).collect();
    session.track = Tape::request(asked.options.tape.as_ref(), || format!("{sql}\n-- bound: {}", bound.join(", ")));
    session.rows(sql, arguments(&bound)?).await.map(drop)
}

async fn fetch_rows(session: &mut Session, count: usize) -> Result<Vec<PgRow>, SourceError> {
    let rows = session.rows(format!("FETCH {count} FROM bus"), PgArguments::default()).await?;
    if session.track.is_on() {
        rows.iter().for_each(|row| session.track.answer(rows::line(row).as_bytes()));
    }
    Ok(rows)
}

/// The parameter at its least, if the query takes one.
fn minimum(shape: &Shape, query: &Query) -> Result<PgArguments, SourceError> {
    match &shape.cursor {
        Some(cursor) if query.takes_cursor() => arguments(&[cursor.minimum]),
        _ => Ok(PgArguments::default()),
    }
}

fn arguments(texts: &[&str]) -> Result<PgArguments, SourceError> {
    let mut arguments = PgArguments::default();
    for text in texts {
        arguments.add(*text).map_err(|_| broken("no text"))?;
    }
    Ok(arguments)
}
