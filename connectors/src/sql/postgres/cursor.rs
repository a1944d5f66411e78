//! The server-side cursor that rows are taken from, and what is bound in statements.

use bus_core::ports::source::SourceError;
use sqlx::Arguments;
use sqlx::postgres::{PgArguments, PgRow};

use super::rows;
use super::session::{Session, broken};
use super::shape::Shape;
use crate::Tape;
use crate::sql::asked::Asked;
use crate::sql::query::Query;

/// Rows taken from the server at once: few round trips, little left over when a page ends among them.
pub(super) const FETCH_ROWS: usize = 512;

/// A condition around the operator's query, and what is bound in it.
#[derive(Default)]
pub(super) struct Within {
    pub condition: String,
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
    let sql = format!("DECLARE bus NO SCROLL CURSOR FOR {statement}{}", within.condition);
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
pub(super) fn minimum(shape: &Shape, query: &Query) -> Result<PgArguments, SourceError> {
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
