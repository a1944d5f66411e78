//! A full scan: one thread, one snapshot, a bounded channel.

use std::ffi::c_int;
use std::path::Path;
use std::time::Duration;

use bus_core::ports::source::{BatchLimit, Part, ScanPage, SourceError, SourceFault};
use bus_core::vocabulary::Period;
use rusqlite::ToSql;
use tokio::sync::mpsc;

use super::classify;
use super::fetch::noted;
use super::file::open;
use super::shape::Shape;
use crate::sql::Options;
use crate::sql::asked::Asked;
use crate::sql::row::{Content, quoted};
use bus_core::policy::select::Select;

/// Rows read ahead of the one that is asked for.
const READ_AHEAD: usize = 256;

/// Instructions of SQLite between two looks whether the scan was dropped: well under a millisecond.
const LOOK: c_int = 10_000;

/// A part of the query's rows by date, and which entity's they are where there are several.
pub(super) type Dated = (Part, Option<String>);

enum Item {
    Row(Content),
    End(Result<(), SourceError>),
}

/// A scan under way. The thread ends soon after this is dropped, also in the middle of a statement that sorts for minutes.
pub(super) struct Scan {
    items: mpsc::Receiver<Item>,
    /// Filled across a wait that was dropped: what left the channel must not be lost, or it would pass for deleted.
    page: ScanPage,
    bytes: usize,
}

impl Scan {
    pub(super) fn begin(path: &Path, asked: Asked<'_>, part: Option<Dated>) -> Result<Self, SourceError> {
        let connection = open(path, asked.options.timeout)?;
        let (options, query) = (asked.options.clone(), asked.query.clone());
        let (sender, items) = mpsc::channel(READ_AHEAD);
        let asked_for = sender.clone();
        connection
            .progress_handler(LOOK, Some(move || asked_for.is_closed()))
            .map_err(|error| classify::error(&error))?;
        let thread = std::thread::Builder::new().name("sqlite-scan".into()).spawn(move || {
            let end = read(&connection, (&options, &query), part.as_ref(), &sender);
            // Nobody left to tell: the scan was dropped.
            let _ = sender.blocking_send(Item::End(end));
        });
        match thread {
            Ok(_) => Ok(Self { items, page: ScanPage::default(), bytes: 0 }),
            Err(error) => Err(SourceError::new(SourceFault::Unavailable, format!("no thread for the scan: {error}"))),
        }
    }

    /// The next page. Cancel-safe.
    pub(super) async fn page(&mut self, limit: BatchLimit, timeout: Duration) -> Result<ScanPage, SourceError> {
        while self.page.records.len() + self.page.unreadable.len() < limit.records.max(1)
            && self.bytes < limit.bytes.max(1)
        {
            match tokio::time::timeout(timeout, self.items.recv()).await {
                Err(_) => return Err(classify::timed_out(timeout)),
                Ok(None) => return Err(cut()),
                Ok(Some(Item::End(end))) => {
                    end?;
                    self.page.complete = true;
                    break;
                }
                Ok(Some(Item::Row(content))) => {
                    self.bytes += content.bytes();
                    content.put(&mut self.page);
                }
            }
        }
        self.bytes = 0;
        Ok(std::mem::take(&mut self.page))
    }
}

fn read(
    connection: &rusqlite::Connection,
    (options, query): (&Options, &Select),
    part: Option<&Dated>,
    sender: &mpsc::Sender<Item>,
) -> Result<(), SourceError> {
    let (mut statement, shape) = Shape::prepare(connection, options, query)?;
    let minimum = shape.minimum();
    let mut values: Vec<&dyn ToSql> = Vec::new();
    if query.takes_cursor() {
        values.push(&minimum);
    }
    let bounds;
    if let Some((part, entity)) = part {
        shape.dated(&part.column)?;
        statement = connection.prepare(&within(query, part, options)).map_err(|error| classify::error(&error))?;
        let Part { period, from, to, .. } = part;
        bounds = [Period::write(period.from), from.to_string(), Period::write(period.to), to.to_string()];
        values.extend(bounds.iter().map(|bound| bound as &dyn ToSql));
        values.extend(entity.iter().map(|entity| entity as &dyn ToSql));
    }
    // One statement sees one snapshot.
    let mut track = noted(options, &query.with("?1"), query.takes_cursor().then_some(&minimum));
    let mut rows = statement.query(values.as_slice()).map_err(|error| classify::error(&error))?;
    while let Some(row) = rows.next().map_err(|error| classify::error(&error))? {
        shape.tell(row, &mut track);
        let content = shape.take(row, options, &minimum)?.content;
        if sender.blocking_send(Item::Row(content)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// The query's own rows and columns, those of a part. A text that names its zone is a moment; others are what clocks show.
fn within(query: &Select, part: &Part, options: &Options) -> String {
    let first = 1 + usize::from(query.takes_cursor());
    let column = format!("q.{}", quoted(&part.column));
    let bound = |local: usize| {
        let zoned = format!("{column} LIKE '%Z' OR {column} GLOB '*[+-][0-9][0-9]:[0-9][0-9]'");
        format!("datetime(CASE WHEN {zoned} THEN ?{} ELSE ?{local} END)", local + 1)
    };
    let entity =
        options.serves.entity_column().map(|name| format!(" AND CAST(q.{} AS TEXT) = ?{}", quoted(name), first + 4));
    format!(
        "SELECT * FROM ({}\n) AS q WHERE datetime({column}) >= {} AND datetime({column}) < {}{}",
        query.with("?1"),
        bound(first),
        bound(first + 2),
        entity.unwrap_or_default()
    )
}

/// A page was asked for without a scan under way.
pub(super) fn cut() -> SourceError {
    SourceError::new(SourceFault::Unavailable, "the scan was cut and its snapshot with it: it has to begin again")
}
