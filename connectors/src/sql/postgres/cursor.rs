//! The server-side cursor that rows are taken from, and what is bound in statements.

use bus_core::ports::source::SourceError;
use sqlx::Arguments;
use sqlx::postgres::{PgArguments, PgRow};

use super::rows;
use super::session::{Session, broken};
use super::shape::Shape;
use crate::Tape;
use crate::sql::asked::Asked;
use bus_core::policy::select::Select;

/// Rows taken from the server at once: few round trips, little left over when a page ends among them.
const FETCH_ROWS: usize = 512;
/// Before anybody knows how large they are.
const FIRST_ROWS: usize = 16;

/// How many rows are taken at once, by how large those were that came so far: what one `FETCH` brings is in memory as a whole.
#[derive(Default)]
pub(super) struct Ahead {
    rows: usize,
    bytes: usize,
}

impl Ahead {
    /// At least one and at most `most`; of large ones about as many as fit into `bytes`.
    pub(super) fn rows(&self, most: usize, bytes: usize) -> usize {
        let fit = match self.rows {
            0 => FIRST_ROWS,
            // Feeling the way: what comes next may be larger.
            rows => (bytes / (self.bytes / rows).max(1)).min(2 * rows),
        };
        fit.min(FETCH_ROWS).min(most).max(1)
    }

    /// A row has come.
    pub(super) fn saw(&mut self, bytes: usize) {
        // What came lately counts: a table may begin with its small rows.
        if self.rows >= FETCH_ROWS {
            (self.rows, self.bytes) = (self.rows / 2, self.bytes / 2);
        }
        self.rows += 1;
        self.bytes += bytes;
    }
}

/// What follows the operator's query in the statement around it, a condition or an order, and what is bound in it.
#[derive(Default)]
pub(super) struct Within {
    pub tail: String,
    pub values: Vec<String>,
}

pub(super) async fn declare(
    session: &mut Session,
    asked: Asked<'_>,
    shape: &Shape,
    start: &str,
    within: Within,
) -> Result<(), SourceError> {
    let statement = rows::statement(shape, asked.options, asked.query);
    let sql = format!("DECLARE bus NO SCROLL CURSOR FOR {statement}{}", within.tail);
    let start = shape.cursor.is_some().then_some(start);
    let bound: Vec<&str> = start.into_iter().chain(within.values.iter().map(String::as_str)).collect();
    session.track = Tape::request(asked.options.tape.as_ref(), || format!("{sql}\n-- bound: {}", bound.join(", ")));
    session.rows(sql, arguments(&bound)?).await.map(drop)
}

pub(super) async fn fetch_rows(session: &mut Session, count: usize) -> Result<Vec<PgRow>, SourceError> {
    let rows = session.rows(format!("FETCH {count} FROM bus"), PgArguments::default()).await?;
    if session.track.is_on() {
        rows.iter().for_each(|row| session.track.answer(rows::line(row).as_bytes()));
    }
    Ok(rows)
}

/// The parameter at its least, if the query takes one.
pub(super) fn minimum(shape: &Shape, query: &Select) -> Result<PgArguments, SourceError> {
    match &shape.cursor {
        Some(cursor) if query.takes_cursor() => arguments(&[cursor.minimum]),
        _ => Ok(PgArguments::default()),
    }
}

pub(super) fn arguments(texts: &[&str]) -> Result<PgArguments, SourceError> {
    let mut arguments = PgArguments::default();
    for text in texts {
        arguments.add(*text).map_err(|_| broken("no text"))?;
    }
    Ok(arguments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_rows_are_taken_a_few_at_a_time() {
        let mut ahead = Ahead::default();
        assert_eq!((ahead.rows(10_000, 1 << 20), ahead.rows(7, 1 << 20)), (FIRST_ROWS, 7));
        (0..16).for_each(|_| ahead.saw(100));
        assert_eq!((ahead.rows(10_000, 1 << 20), ahead.rows(10, 1 << 20)), (2 * FIRST_ROWS, 10));
        (0..100_000).for_each(|_| ahead.saw(100));
        assert_eq!(ahead.rows(10_000, 1 << 20), FETCH_ROWS);
        (0..FETCH_ROWS).for_each(|_| ahead.saw(1 << 20));
        let rows = ahead.rows(10_000, 8 << 20);
        assert!((8..16).contains(&rows), "{rows}");
        assert_eq!(ahead.rows(10_000, 1), 1);
    }
}
