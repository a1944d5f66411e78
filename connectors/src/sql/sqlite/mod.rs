//! SQLite: each call opens the file read-only on a blocking thread; a scan has a thread and a snapshot of its own.
//!
//! Writers of one file take turns, so nothing commits late under a value that was read; a value that an application
//! assigns long before it writes still needs `overlap`.

mod classify;
mod scan;
mod value;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bus_core::ports::source::{Batch, BatchLimit, Part, ScanPage, SourceError, SystemReport};
use bus_core::vocabulary::{Cursor, Key};
use rusqlite::config::DbConfig;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, InterruptHandle, OpenFlags, Row as SqliteRow, Statement};

use self::scan::Scan;
use self::value::Declared;
pub(super) use self::value::Place;
use super::asked::{Asked, columns_fit, misconfigured, remarks};
use super::page::{Flow, Page, not_ordered};
use super::position::Position;
use super::query::Query;
use super::row::{self, Row, key_columns, quoted};
use super::{Address, CursorColumn, Options};
use crate::tape::Track;
use crate::{Served, Tape};

/// The reader of one query.
pub(super) struct Sqlite {
    path: PathBuf,
    scan: Option<Scan>,
}

/// `sqlite:data/shop.db`, `sqlite://data/shop.db` and `sqlite:///var/shop.db`; parameters after `?` say nothing here.
fn path(url: &str) -> PathBuf {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let rest = rest.split('?').next().unwrap_or(rest);
    percent_encoding::percent_decode_str(rest).decode_utf8_lossy().into_owned().into()
}

impl Sqlite {
    pub(super) fn new(options: &Options) -> Self {
        Self { path: path(options.url.expose()), scan: None }
    }

    pub(super) async fn check(&mut self, asked: Asked<'_>) -> Result<SystemReport, SourceError> {
        let begun = Instant::now();
        let (options, query) = (asked.options.clone(), asked.query.clone());
        let version = blocking(&self.path, asked.options.timeout, move |connection| {
            let (_, shape) = Shape::prepare(connection, &options, &query)?;
            options.serves.all().flat_map(|served| &served.date).try_for_each(|column| shape.dated(column))?;
            version(connection)
        })
        .await?;
        let (latency, rights) = (begun.elapsed(), vec!["may read what the query asks for".to_owned()]);
        Ok(SystemReport { version, latency, rights, remarks: remarks(asked) })
    }

    pub(super) async fn fetch(
        &mut self,
        asked: Asked<'_>,
        column: &CursorColumn,
        after: Option<&Cursor>,
        limit: BatchLimit,
    ) -> Result<Batch, SourceError> {
        let position = after.map(|cursor| Position::<Place>::read(cursor, &column.column)).transpose()?;
        let (options, query, column) = (asked.options.clone(), asked.query.clone(), column.clone());
        blocking(&self.path, asked.options.timeout, move |connection| {
            fetch(connection, &options, &query, &column, position, limit)
        })
        .await
    }

    pub(super) async fn scan(
        &mut self,
        asked: Asked<'_>,
        restart: bool,
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        if restart {
            self.scan = Some(Scan::begin(&self.path, asked, None)?);
        }
        self.page(asked, limit).await
    }

    pub(super) async fn begin_part(
        &mut self,
        asked: Asked<'_>,
        (part, entity): (&Part, Option<&str>),
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        let part = (part.clone(), entity.map(str::to_owned));
        self.scan = Some(Scan::begin(&self.path, asked, Some(part))?);
        self.page(asked, limit).await
    }

    async fn page(&mut self, asked: Asked<'_>, limit: BatchLimit) -> Result<ScanPage, SourceError> {
        let scan = self.scan.as_mut().ok_or_else(scan::cut)?;
        let page = scan.page(limit, asked.options.timeout).await;
        if !matches!(&page, Ok(page) if !page.complete) {
            self.scan = None;
        }
        page
    }

    pub(super) async fn present(
        &mut self,
        asked: Asked<'_>,
        (served, entity): (&Served, Option<&str>),
        keys: &[Key],
    ) -> Result<Vec<bool>, SourceError> {
        let (options, query, keys) = (asked.options.clone(), asked.query.clone(), keys.to_vec());
        let (served, entity) = (served.clone(), entity.map(str::to_owned));
        blocking(&self.path, asked.options.timeout, move |connection| {
            present(connection, &options, &query, (&served, entity.as_deref()), &keys)
        })
        .await
    }
}

/// Opens the file, reads what it consists of, and looks whether it could be written. Changes nothing.
pub(super) async fn reach(address: &Address) -> Result<SystemReport, SourceError> {
    let begun = Instant::now();
    let path = path(address.url.expose());
    let (version, tables) = blocking(&path, address.timeout, move |connection| {
        let sql = "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view')";
        let tables: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(|error| classify::error(&error))?;
        Ok((version(connection)?, tables))
    })
    .await?;
    let write = match std::fs::OpenOptions::new().write(true).open(&path) {
        Ok(_) => "and could write it (the bus only reads)",
        Err(_) => "and not write it",
    };
    let rights = vec![format!("may read the file with its {tables} tables and views, {write}")];
    Ok(SystemReport { version, latency: begun.elapsed(), rights, remarks: Vec::new() })
}

fn version(connection: &Connection) -> Result<String, SourceError> {
    let version = connection.query_row("SELECT sqlite_version()", [], |row| row.get::<_, String>(0));
    version.map(|version| format!("SQLite {version}")).map_err(|error| classify::error(&error))
}

/// Runs `job` on a blocking thread with a fresh connection. Bounded; a wait that is dropped or too long interrupts it.
async fn blocking<T: Send + 'static>(
    path: &Path,
    timeout: Duration,
    job: impl FnOnce(&Connection) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    struct Interrupt(InterruptHandle);
    impl Drop for Interrupt {
        fn drop(&mut self) {
            self.0.interrupt();
        }
    }
    let connection = open(path, timeout)?;
    let _interrupt = Interrupt(connection.get_interrupt_handle());
    let work = tokio::task::spawn_blocking(move || job(&connection));
    match tokio::time::timeout(timeout, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(misconfigured("reading from sqlite failed within the connector".to_owned())),
        Err(_) => Err(classify::timed_out(timeout)),
    }
}

/// Opening reads nothing yet; the first statement does.
fn open(path: &Path, timeout: Duration) -> Result<Connection, SourceError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| {
        let error = classify::error(&error);
        SourceError::new(error.fault, format!("{} ({})", error.message, path.display()))
    })?;
    connection.busy_timeout(timeout).map_err(|error| classify::error(&error))?;
    // Else a mistyped column in double quotes is a text, and the query reads nothing without an error.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false).map_err(|error| classify::error(&error))?;
    Ok(connection)
}

/// Where the columns of a prepared query are.
struct Shape {
    names: Vec<String>,
    declared: Vec<Declared>,
    /// Where the columns are that are wanted as texts.
    texts: Vec<(String, usize)>,
    cursor: Option<usize>,
}

impl Shape {
    fn prepare<'c>(
        connection: &'c Connection,
        options: &Options,
        query: &Query,
    ) -> Result<(Statement<'c>, Self), SourceError> {
        let statement = connection.prepare(&query.with("?1")).map_err(|error| classify::error(&error))?;
        let (names, declared): (Vec<String>, Vec<Declared>) = statement
            .columns()
            .iter()
            .map(|column| (column.name().to_owned(), Declared::of(column.decl_type())))
            .unzip();
        let texts: Vec<&str> = names.iter().map(String::as_str).collect();
        columns_fit(&texts, options)?;
        let place = |wanted: &String| names.iter().position(|name| name == wanted);
        let texts = options.text_columns().into_iter().map(str::to_owned);
        let texts = texts.filter_map(|name| place(&name).map(|at| (name, at))).collect();
        let cursor = options.cursor.as_ref().and_then(|cursor| place(&cursor.column));
        Ok((statement, Self { texts, cursor, names, declared }))
    }

    /// A column of dates that this query is read in parts by.
    fn dated(&self, column: &str) -> Result<(), SourceError> {
        let declared = self.names.iter().position(|name| name == column).map(|at| self.declared[at]);
        match declared {
            Some(Declared::Text | Declared::Anything) => Ok(()),
            _ => Err(misconfigured(format!(
                "date column {column:?} is declared as a number; sqlite's dates are texts: write \
                 datetime({column}, 'unixepoch') AS … in the query, and name that column"
            ))),
        }
    }

    fn minimum(&self) -> Place {
        self.cursor.map_or(Place::Integer(i64::MIN), |at| self.declared[at].minimum())
    }

    /// A row as it came: the values of its columns by name.
    fn tell(&self, row: &SqliteRow<'_>, track: &mut Track) {
        if !track.is_on() {
            return;
        }
        let value = |at: usize| match row.get_ref(at) {
            Ok(ValueRef::Null) | Err(_) => "NULL".to_owned(),
            Ok(ValueRef::Integer(number)) => number.to_string(),
            Ok(ValueRef::Real(number)) => format!("{number:?}"),
            Ok(ValueRef::Text(text)) => String::from_utf8_lossy(text).into_owned(),
            Ok(ValueRef::Blob(bytes)) => format!("(binary, {} bytes)", bytes.len()),
        };
        let columns = self.names.iter().enumerate().map(|(at, name)| format!("{name}={}", value(at)));
        track.answer((columns.collect::<Vec<_>>().join("  ") + "\n").as_bytes());
    }

    fn take(&self, row: &SqliteRow<'_>, options: &Options, start: &Place) -> Result<Row<Place>, SourceError> {
        let values: Vec<ValueRef<'_>> = (0..self.names.len())
            .map(|index| row.get_ref(index))
            .collect::<Result<_, _>>()
            .map_err(|error| classify::error(&error))?;
        let columns = self.names.iter().zip(&self.declared).zip(&values);
        let (body, wrong) = row::object(
            columns.map(|((name, declared), value)| row::Column { name, json: value::carried(*declared, *value) }),
        );
        let at = |name: &str| self.texts.iter().find(|(column, _)| column == name).map(|(_, at)| *at);
        let text = |name: &str| at(name).map_or(Ok(None), |at| value::text(values[at]));
        let label = |name: &str| match (text(name), at(name)) {
            (Err(_), Some(at)) => value::json(self.declared[at], values[at]).ok(),
            (text, _) => text.ok().flatten(),
        };
        let cursor = self.cursor.map(|at| Place::of(values[at]));
        let wrong = match (&cursor, &options.cursor) {
            (Some(None), Some(column)) => Some(format!(
                "cursor column {:?} is empty or no number or text, so changes of this row cannot be seen; fill it, \
                 use coalesce() in the query, or changes = \"diff\"",
                column.column
            )),
            _ => wrong,
        };
        let content = row::content(&options.serves, body, wrong, text, label);
        let cursor = cursor.flatten();
        let fresh = cursor.as_ref().is_none_or(|cursor| cursor.is_above(start));
        Ok(Row { cursor, fresh, content })
    }
}

/// Notes a statement, while a person looks.
fn noted(options: &Options, query: &Query, start: Option<&Place>) -> Track {
    Tape::request(options.tape.as_ref(), || match start {
        Some(start) => format!("{}\n-- ?1: {start:?}", query.with("?1")),
        None => query.with("?1"),
    })
}

fn fetch(
    connection: &Connection,
    options: &Options,
    query: &Query,
    column: &CursorColumn,
    position: Option<Position<Place>>,
    limit: BatchLimit,
) -> Result<Batch, SourceError> {
    let (mut statement, shape) = Shape::prepare(connection, options, query)?;
    let start = match &position {
        None => shape.minimum(),
        Some(Position { from: Some(from), .. }) => from.clone(),
        Some(position) => position.high.back(column.overlap).map_err(misconfigured)?,
    };
    let mut page = Page::<Place>::new(limit);
    let mut more = false;
    let mut track = noted(options, query, Some(&start));
    let mut rows = statement.query([&start]).map_err(|error| classify::error(&error))?;
    while let Some(row) = rows.next().map_err(|error| classify::error(&error))? {
        shape.tell(row, &mut track);
        let row = shape.take(row, options, &start)?;
        if let (Some(value), Some(last)) = (&row.cursor, page.values.last())
            && last.is_above(value)
        {
            return Err(not_ordered(&column.column));
        }
        if page.push(row, &column.column)? == Flow::Full {
            more = true;
            break;
        }
    }
    let last = page.values.last().cloned();
    let high = match (position.map(|position| position.high), last.clone()) {
        (Some(high), Some(last)) if last.is_above(&high) => Some(last),
        (None, last) => last,
        (high, _) => high,
    };
    let next = high.map(|high| {
        let mut next = Position::at(&column.column, high);
        next.from = last.filter(|_| more);
        next.write()
    });
    Ok(Batch { records: page.records, unreadable: page.unreadable, next, more })
}

/// Compares texts, as keys are made; whether a key column is indexed does not matter at the size of such files.
fn present(
    connection: &Connection,
    options: &Options,
    query: &Query,
    (served, entity): (&Served, Option<&str>),
    keys: &[Key],
) -> Result<Vec<bool>, SourceError> {
    let (_, shape) = Shape::prepare(connection, options, query)?;
    let wanted: Vec<Option<Vec<String>>> = keys.iter().map(|key| key_columns(key, served.key.len())).collect();
    let as_text = |name: &str| format!("CAST(q.{} AS TEXT)", quoted(name));
    let columns = served.key.iter().map(|name| as_text(name)).collect::<Vec<_>>().join(", ");
    let group = format!("({})", vec!["?"; served.key.len()].join(", "));
    let only = options.serves.entity_column().map(|column| format!(" AND {} = ?", as_text(column))).unwrap_or_default();
    let groups = vec![group; wanted.iter().flatten().count()].join(", ");
    let sql = format!(
        "SELECT DISTINCT {columns} FROM ({}\n) AS q WHERE ({columns}) IN (VALUES {groups}){only}",
        query.with("?1")
    );
    let minimum = shape.minimum();
    let mut values: Vec<&dyn rusqlite::ToSql> = Vec::new();
    if query.takes_cursor() {
        values.push(&minimum);
    }
    values.extend(wanted.iter().flatten().flatten().map(|text| text as &dyn rusqlite::ToSql));
    values.extend(entity.iter().map(|entity| entity as &dyn rusqlite::ToSql));
    if groups.is_empty() {
        return Ok(vec![false; keys.len()]);
    }
    let mut statement = connection.prepare(&sql).map_err(|error| classify::error(&error))?;
    let mut rows = statement.query(values.as_slice()).map_err(|error| classify::error(&error))?;
    let mut found = std::collections::HashSet::new();
    while let Some(row) = rows.next().map_err(|error| classify::error(&error))? {
        let key: Result<Vec<String>, _> = (0..served.key.len()).map(|i| row.get(i)).collect();
        found.insert(key.map_err(|error| classify::error(&error))?);
    }
    Ok(wanted.iter().map(|key| key.as_ref().is_some_and(|key| found.contains(key))).collect())
}

#[cfg(test)]
mod tests;
