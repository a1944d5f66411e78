//! What a server says of itself and of our user, whatever is read there.

use std::time::{Duration, Instant};

use bus_core::ports::source::{SourceError, SystemReport};
use sqlx::postgres::PgArguments;

use super::session::{Session, broken, text};
use crate::sql::Address;

/// What answers.
pub(super) struct Greeting {
    pub(super) version: String,
    pub(super) latency: Duration,
    /// It repeats another server.
    pub(super) replica: bool,
}

/// One question and its answer.
pub(super) async fn greeting(session: &mut Session) -> Result<Greeting, SourceError> {
    let begun = Instant::now();
    let sql = "SELECT current_setting('server_version'), pg_is_in_recovery()::text";
    let answer = session.rows(sql.to_owned(), PgArguments::default()).await?;
    let latency = begun.elapsed();
    let answer = answer.first().ok_or_else(|| broken("nothing"))?;
    let version = format!("PostgreSQL {}", text(answer, 0)?.unwrap_or_default());
    Ok(Greeting { version, latency, replica: text(answer, 1)?.as_deref() == Some("true") })
}

/// Logs in, and asks what the user may do with the tables and views of the database.
pub(in crate::sql) async fn system(address: &Address) -> Result<SystemReport, SourceError> {
    let mut session = Session::connect(address).await?;
    let Greeting { version, latency, .. } = greeting(&mut session).await?;
    let sql = "SELECT current_user::text, current_database()::text, count(*)::text, \
                      count(*) FILTER (WHERE has_table_privilege(c.oid, 'SELECT'))::text, \
                      count(*) FILTER (WHERE has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE'))::text \
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
               WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname NOT IN ('pg_catalog', 'information_schema') \
                 AND n.nspname NOT LIKE 'pg\\_t%' AND has_schema_privilege(n.oid, 'USAGE')";
    let answer = session.rows(sql.to_owned(), PgArguments::default()).await?;
    let row = answer.first().ok_or_else(|| broken("nothing"))?;
    let at = |index| text(row, index).map(Option::unwrap_or_default);
    let (user, base, all, read, changed) = (at(0)?, at(1)?, at(2)?, at(3)?, at(4)?);
    let rights = format!(
        "user {user} sees {all} tables and views in database {base}: may read {read} and change {changed} (the bus only reads)"
    );
    Ok(SystemReport { version, latency, rights: vec![rights], remarks: Vec::new() })
}
