//! The SELECT around the operator's query, and its rows taken apart again.

use bus_core::ports::source::SourceError;
use sqlx::Row as _;
use sqlx::ValueRef as _;
use sqlx::postgres::PgRow;

use super::session::broken;
use super::shape::{Form, Shape};
use crate::sql::Options;
use crate::sql::row::{self, Row, Unfit, quoted};
use bus_core::policy::select::Select;

/// Texts that are no JSON numbers.
const NOT_NUMBERS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];

/// Each column as JSON text, then what is wanted as plain text, the cursor and whether it lies above the start.
pub(super) fn statement(shape: &Shape, options: &Options, query: &Select) -> String {
    let json = shape.columns.iter().map(|column| {
        let name = format!("q.{}", quoted(&column.name));
        match column.form {
            Form::Json => format!("to_json({name})::text"),
            Form::Exact | Form::Float | Form::Verbatim => format!("{name}::text"),
            Form::Bytes => format!("to_json(translate(encode({name}, 'base64'), E'\\n', ''))::text"),
        }
    });
    let texts = options.text_columns().into_iter().map(|name| format!("q.{}::text", quoted(name)));
    let place = options.cursor.iter().zip(&shape.cursor).flat_map(|(column, cursor)| {
        let name = format!("q.{}", quoted(&column.column));
        [format!("{name}::text"), format!("({name} > {})::text", cursor.value("$1"))]
    });
    let list: Vec<String> = json.chain(texts).chain(place).collect();
    format!("SELECT {} FROM ({}\n) AS q", list.join(", "), shape.bind(query))
}

/// Takes one row of [`statement`] apart.
pub(super) fn take(row: &PgRow, shape: &Shape, options: &Options) -> Result<Row<String>, SourceError> {
    let count = shape.columns.len();
    let columns = shape.columns.iter().enumerate().map(|(index, column)| row::Column {
        name: &column.name,
        json: value(row, index)
            .map_err(|reason| Unfit { reason, shown: as_it_is(row, index) })
            .and_then(|text| json(column.form, text)),
    });
    let (body, wrong) = row::object(columns);
    let place = count + shape.texts.len();

    let (mut cursor, mut fresh) = (None, true);
    let mut wrong = wrong;
    if let (Some(column), Some(_)) = (&options.cursor, &shape.cursor) {
        cursor = value(row, place).map_err(|_| broken("no text"))?;
        fresh = value(row, place + 1).map_err(|_| broken("no text"))?.as_deref() != Some("false");
        if let Some(reason) = no_place(&column.column, cursor.as_deref()) {
            cursor = None;
            wrong = Some(reason);
        }
    }
    let text = |name: &str| match shape.texts.iter().position(|(column, _)| column == name) {
        Some(at) => value(row, count + at),
        None => Ok(None),
    };
    let content = row::content(&options.serves, body, wrong, text, |name| text(name).ok().flatten());
    Ok(Row { cursor, fresh, content })
}

/// A row as it came: the texts of its columns by name.
pub(super) fn line(row: &PgRow) -> String {
    use sqlx::Column as _;
    let columns = row.columns().iter().enumerate();
    let columns = columns.map(|(at, column)| match value(row, at) {
        Ok(Some(text)) => format!("{}={text}", column.name()),
        _ => format!("{} is NULL", column.name()),
    });
    columns.collect::<Vec<_>>().join("  ") + "\n"
}

/// NULL comes before or after everything, and after an infinite value nothing would ever be new.
fn no_place(column: &str, value: Option<&str>) -> Option<String> {
    match value {
        None => Some(format!(
            "cursor column {column:?} is NULL, so changes of this row cannot be seen; fill it, use coalesce() in the \
             query, or changes = \"diff\""
        )),
        Some("infinity" | "-infinity" | "Infinity" | "-Infinity" | "NaN") => Some(format!(
            "cursor column {column:?} is infinite, so nothing after it would be seen; leave such rows out of the query"
        )),
        Some(_) => None,
    }
}

/// A column's text; an error for text that is not UTF-8 (a base in SQL_ASCII).
fn value(row: &PgRow, index: usize) -> Result<Option<String>, String> {
    let value = row.try_get_raw(index).map_err(|_| "the column is missing in the answer".to_owned())?;
    if value.is_null() {
        return Ok(None);
    }
    let text = value.as_str().map_err(|_| "the text is not valid UTF-8; convert it in the query".to_owned())?;
    Ok(Some(text.to_owned()))
}

/// A text that is not UTF-8, as far as it can be shown.
fn as_it_is(row: &PgRow, index: usize) -> String {
    let bytes = row.try_get_raw(index).ok().and_then(|value| value.as_bytes().ok().map(<[u8]>::to_vec));
    String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
}

fn json(form: Form, text: Option<String>) -> Result<String, Unfit> {
    let Some(mut text) = text else { return Ok("null".into()) };
    match form {
        Form::Exact | Form::Float if NOT_NUMBERS.contains(&text.as_str()) => {
            let what = "say in the query what it means, for example NULLIF";
            Err(Unfit { reason: format!("{text} has no JSON number; {what}(x, '{text}')"), shown: text })
        }
        Form::Float if !text.contains(['.', 'e']) => {
            text.push_str(".0");
            Ok(text)
        }
        _ => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_number_whatever_its_value() {
        for (form, text, expected) in [
            (Form::Float, "5", Some("5.0")),
            (Form::Float, "-0", Some("-0.0")),
            (Form::Float, "5.25", Some("5.25")),
            (Form::Float, "1e+20", Some("1e+20")),
            (Form::Float, "NaN", None),
            (Form::Exact, "12345678901234567890.10", Some("12345678901234567890.10")),
            (Form::Exact, "-Infinity", None),
            (Form::Json, "\"NaN\"", Some("\"NaN\"")),
        ] {
            assert_eq!(json(form, Some(text.into())).ok().as_deref(), expected, "{text}");
        }
        assert_eq!(json(Form::Float, None).ok().as_deref(), Some("null"));
    }
}
