//! A prepared query: where its columns are, and how a row of it becomes a record.

use bus_core::ports::source::SourceError;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row as SqliteRow, Statement};

use super::classify;
use super::value::{self, Declared, Place};
use crate::sql::Options;
use crate::sql::asked::{columns_fit, misconfigured};
use crate::sql::row::{self, Row};
use crate::tape::Track;
use bus_core::policy::select::Select;

/// Where the columns of a prepared query are.
pub(super) struct Shape {
    names: Vec<String>,
    declared: Vec<Declared>,
    /// Where the columns are that are wanted as texts.
    texts: Vec<(String, usize)>,
    pub(super) cursor: Option<usize>,
}

impl Shape {
    pub(super) fn prepare<'c>(
        connection: &'c Connection,
        options: &Options,
        query: &Select,
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
    pub(super) fn dated(&self, column: &str) -> Result<(), SourceError> {
        let declared = self.names.iter().position(|name| name == column).map(|at| self.declared[at]);
        match declared {
            Some(Declared::Text | Declared::Anything) => Ok(()),
            _ => Err(misconfigured(format!(
                "date column {column:?} is declared as a number; sqlite's dates are texts: write \
                 datetime({column}, 'unixepoch') AS … in the query, and name that column"
            ))),
        }
    }

    pub(super) fn minimum(&self) -> Place {
        self.cursor.map_or(Place::Integer(i64::MIN), |at| self.declared[at].minimum())
    }

    /// A row as it came: the values of its columns by name.
    pub(super) fn tell(&self, row: &SqliteRow<'_>, track: &mut Track) {
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

    pub(super) fn take(
        &self,
        row: &SqliteRow<'_>,
        options: &Options,
        start: &Place,
    ) -> Result<Row<Place>, SourceError> {
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
