//! What a query returns: names, types, and how each becomes JSON without losing a digit.
//!
//! | type | JSON |
//! |---|---|
//! | integers, numeric | number with the server's own digits |
//! | real, double precision | number, always with a fraction or exponent |
//! | boolean | true or false |
//! | dates and times | string, ISO 8601, times with zone in UTC |
//! | bytea | string, base64 |
//! | json, jsonb | as it is |
//! | arrays, composites, all others | as `to_json` writes them |
//!
//! NaN and infinite numbers have no JSON number; a string or null instead would make the type depend on the value, so
//! such a row is unreadable until the query says what it means (`NULLIF(x, 'NaN')`).

use bus_core::ports::source::{SourceError, SourceFault};
use sqlx::Arguments;
use sqlx::postgres::PgArguments;

use super::session::{Session, broken, text};
use crate::sql::row::quoted;
use crate::sql::{CursorColumn, Options, Overlap};
use bus_core::policy::select::Select;

/// A column of the result.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) form: Form,
}

/// How a column's value becomes JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The server writes it.
    Json,
    /// The server's text is the number.
    Exact,
    /// The server's text is a number that may lack its fraction.
    Float,
    /// Base64.
    Bytes,
    /// The column is JSON.
    Verbatim,
}

/// How values of the cursor column are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CursorType {
    /// The type's name, with the column's collation for texts, as in `($1::text::TYPE)`.
    pub(super) cast: &'static str,
    pub(super) collate: String,
    /// Below every value.
    pub(super) minimum: &'static str,
    pub(super) step: Step,
}

/// What may be subtracted from a cursor value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Time,
    Number { floor: &'static str },
    Nothing,
}

impl CursorType {
    fn of(oid: u32) -> Option<Self> {
        use Step::{Nothing, Number, Time};
        let (cast, minimum, step) = match oid {
            20 => ("int8", "-9223372036854775808", Number { floor: "-9223372036854775808" }),
            21 => ("int2", "-32768", Number { floor: "-32768" }),
            23 => ("int4", "-2147483648", Number { floor: "-2147483648" }),
            // An infinite numeric exists only since version 14.
            1700 => ("numeric", "-1e300", Number { floor: "-1e300" }),
            1082 => ("date", "-infinity", Time),
            1114 => ("timestamp", "-infinity", Time),
            1184 => ("timestamptz", "-infinity", Time),
            25 | 1042 | 1043 => ("text", "", Nothing),
            2950 => ("uuid", "00000000-0000-0000-0000-000000000000", Nothing),
            3220 => ("pg_lsn", "0/0", Nothing),
            5069 => ("xid8", "0", Nothing),
            _ => return None,
        };
        Some(Self { cast, collate: String::new(), minimum, step })
    }

    /// A bound text as a value of this type.
    pub(super) fn value(&self, parameter: &str) -> String {
        format!("({parameter}::text::{}{})", self.cast, self.collate)
    }
}

/// All of it.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) columns: Vec<Column>,
    /// The columns wanted as texts, with the names of their types.
    pub(super) texts: Vec<(String, String)>,
    pub(super) cursor: Option<CursorType>,
}

impl Shape {
    /// Asks the server. Checks that key, label and cursor are there, once each.
    pub(super) async fn ask(session: &mut Session, options: &Options, query: &Select) -> Result<Self, SourceError> {
        let described = describe(session, query).await?;
        let names: Vec<&str> = described.iter().map(|(name, _)| name.as_str()).collect();
        crate::sql::asked::columns_fit(&names, options)?;
        let oid = |column: &str| described.iter().find(|(name, _)| name == column).map_or(0, |(_, oid)| *oid);
        let cursor = match &options.cursor {
            Some(column) => Some(cursor_type(session, query, column, oid(&column.column)).await?),
            None => None,
        };
        let texts = options.text_columns();
        let types = type_names(session, texts.iter().map(|name| oid(name).to_string()).collect()).await?;
        let texts = texts.into_iter().map(str::to_owned).zip(types).collect();
        let columns = described.into_iter().map(|(name, oid)| Column { name, form: form(oid) }).collect();
        Ok(Self { columns, texts, cursor })
    }

    /// The name of a text column's type.
    pub(super) fn type_of(&self, column: &str) -> &str {
        self.texts.iter().find(|(name, _)| name == column).map_or("text", |(_, name)| name)
    }

    /// The operator's query with its parameter typed.
    pub(super) fn bind(&self, query: &Select) -> String {
        query.with(&self.cursor.as_ref().map_or_else(String::new, |cursor| cursor.value("$1")))
    }
}

fn form(oid: u32) -> Form {
    match oid {
        700 | 701 => Form::Float,
        1700 => Form::Exact,
        17 => Form::Bytes,
        114 | 3802 => Form::Verbatim,
        _ => Form::Json,
    }
}

/// The types of the result do not depend on the cursor's value, but the server wants one that fits the place: NULL
/// fits most, and where an operator is ambiguous (`:cursor - interval '1 day'`) one of the usual types does.
async fn describe(session: &mut Session, query: &Select) -> Result<Vec<(String, u32)>, SourceError> {
    let mut first = None;
    for parameter in ["NULL", "NULL::timestamptz", "NULL::timestamp", "NULL::date", "NULL::int8", "NULL::text"] {
        match session.describe(query.with(parameter)).await {
            Ok(columns) => return Ok(columns),
            Err(error) if error.fault == SourceFault::Misconfigured && query.takes_cursor() => {
                first.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(first.unwrap_or_else(|| broken("nothing")))
}

async fn cursor_type(
    session: &mut Session,
    query: &Select,
    column: &CursorColumn,
    oid: u32,
) -> Result<CursorType, SourceError> {
    let name = &column.column;
    let wrong = |what: String| SourceError::new(SourceFault::Misconfigured, what);
    let mut cursor = CursorType::of(oid).ok_or_else(|| {
        wrong(format!(
            "column {name:?} cannot be a cursor: use an integer, numeric, date, timestamp, text or uuid column, \
             or cast it in the query"
        ))
    })?;
    match (column.overlap, cursor.step) {
        (Overlap::None, _) | (Overlap::Time(_), Step::Time) | (Overlap::Number(_), Step::Number { .. }) => {}
        (Overlap::Time(_), _) => {
            return Err(wrong(format!("overlap is a duration, but column {name:?} holds no time")));
        }
        (Overlap::Number(_), _) => return Err(wrong(format!("overlap is a number, but column {name:?} holds none"))),
    }
    if cursor.cast == "text" {
        // Texts are compared as the column compares them; the subquery yields no row, only its collation.
        let inner = query.with("NULL");
        let sql = format!("SELECT pg_collation_for((SELECT q.{} FROM ({inner}\n) AS q LIMIT 0))", quoted(name));
        let rows = session.rows(sql, PgArguments::default()).await?;
        if let Some(collation) = rows.first().map(|row| text(row, 0)).transpose()?.flatten()
            && collation != "\"default\""
        {
            cursor.collate = format!(" COLLATE {collation}");
        }
    }
    Ok(cursor)
}

async fn type_names(session: &mut Session, oids: Vec<String>) -> Result<Vec<String>, SourceError> {
    let mut arguments = PgArguments::default();
    arguments.add(oids).map_err(|_| broken("no types"))?;
    let sql = "SELECT format_type(x::oid, -1) FROM unnest($1::text[]) WITH ORDINALITY AS u(x, i) ORDER BY i";
    let rows = session.rows(sql.to_owned(), arguments).await?;
    rows.iter().map(|row| text(row, 0)?.ok_or_else(|| broken("no type"))).collect()
}
