//! Which keys the query still gives.

use bus_core::ports::source::SourceError;
use bus_core::vocabulary::Key;
use rusqlite::Connection;

use super::classify;
use super::shape::Shape;
use crate::Served;
use crate::sql::Options;
use crate::sql::row::{key_columns, quoted};
use bus_core::policy::select::Select;

/// Compares texts, as keys are made; whether a key column is indexed does not matter at the size of such files.
pub(super) fn present(
    connection: &Connection,
    options: &Options,
    query: &Select,
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
