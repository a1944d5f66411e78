//! Which keys the query returns now.

use std::collections::HashSet;

use bus_core::ports::source::SourceError;
use bus_core::vocabulary::Key;
use sqlx::Arguments;

use super::Postgres;
use super::cursor::minimum;
use super::session::{broken, text};
use super::shape::Shape;
use crate::Served;
use crate::sql::asked::Asked;
use crate::sql::row::{key_columns, quoted};

impl Postgres {
    /// Which of the keys the query returns now. At most [`crate::sql::asked::KEYS_AT_ONCE`] keys.
    pub(in crate::sql) async fn present(
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
        let mut found = HashSet::new();
        for row in &rows {
            let key: Result<Option<Vec<_>>, _> = (0..served.key.len()).map(|i| text(row, i)).collect();
            found.extend(key?);
        }
        Ok(wanted.iter().map(|key| key.as_ref().is_some_and(|key| found.contains(key))).collect())
    }
}
