//! Reading behind a position.

use bus_core::ports::source::{Batch, BatchLimit, SourceError};
use rusqlite::Connection;

use super::classify;
use super::shape::Shape;
use super::value::Place;
use crate::Tape;
use crate::sql::asked::misconfigured;
use crate::sql::page::{Flow, Page, not_ordered};
use crate::sql::position::Position;
use crate::sql::{CursorColumn, Options};
use crate::tape::Track;
use bus_core::policy::select::Select;

/// One page, in the order of the cursor column.
pub(super) fn fetch(
    connection: &Connection,
    options: &Options,
    query: &Select,
    column: &CursorColumn,
    position: Option<Position<Place>>,
    limit: BatchLimit,
) -> Result<Batch, SourceError> {
    let (_, shape) = Shape::prepare(connection, options, query)?;
    let sql = ordered(query, &shape)?;
    let mut statement = connection.prepare(&sql).map_err(|error| classify::error(&error))?;
    let start = match &position {
        None => shape.minimum(),
        Some(Position { from: Some(from), .. }) => from.clone(),
        Some(position) => position.high.back(column.overlap).map_err(misconfigured)?,
    };
    let mut page = Page::<Place>::new(limit);
    let mut more = false;
    let mut track = noted(options, &sql, Some(&start));
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

/// Notes a statement, while a person looks.
pub(super) fn noted(options: &Options, sql: &str, start: Option<&Place>) -> Track {
    Tape::request(options.tape.as_ref(), || match start {
        Some(start) => format!("{sql}\n-- ?1: {start:?}"),
        None => sql.to_owned(),
    })
}

/// The query's own rows and columns in the order of the cursor (see [`crate::sql::page::order_by`]), by the column's place:
/// what SQLite calls it inside is not always what it calls it outside.
fn ordered(query: &Select, shape: &Shape) -> Result<String, SourceError> {
    let at = shape.cursor.ok_or_else(|| misconfigured("the query returns no cursor column".to_owned()))?;
    Ok(format!("SELECT * FROM ({}\n) AS q ORDER BY {}", query.with("?1"), at + 1))
}
