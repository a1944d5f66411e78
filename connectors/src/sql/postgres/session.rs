//! One connection: every wait on it is bounded, and a wait that was dropped or failed ends the connection with it.

use std::str::FromStr;
use std::time::Duration;

use bus_core::ports::source::{SourceError, SourceFault};
use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, Row, Statement};

use super::classify;
use crate::sql::Address;
use crate::tape::Track;

/// A connection that takes longer is no connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// Our sessions only read, so the horizon need not wait for them; it knows them by this name.
pub(super) const APPLICATION: &str = "entity-bus-reader";

/// How values are written: what a cursor and a key are made of must not depend on the server's settings.
const SETTINGS: &str = "SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, MDY'; \
    SET LOCAL IntervalStyle = 'iso_8601'; SET LOCAL extra_float_digits = 1; SET LOCAL bytea_output = 'hex'";

/// Callers take it out of its owner while they await, and put it back only after success: a dropped future or an
/// error drops the connection, and the next call opens a new one.
pub(super) struct Session {
    connection: PgConnection,
    timeout: Duration,
    /// What is noted of the statement under way, while a person looks.
    pub(super) track: Track,
}

impl Session {
    pub(super) async fn connect(address: &Address) -> Result<Self, SourceError> {
        let mut connect = PgConnectOptions::from_str(address.url.expose())
            .map_err(|error| classify::error(&error))?
            .application_name(APPLICATION)
            .disable_statement_logging();
        if let Some(pem) = &address.ca_pem {
            connect = connect.ssl_root_cert_from_pem(pem.clone()).ssl_mode(PgSslMode::VerifyFull);
        }
        let limit = CONNECT_WITHIN.min(address.timeout);
        match tokio::time::timeout(limit, connect.connect()).await {
            Ok(Ok(connection)) => Ok(Self { connection, timeout: address.timeout, track: Track::default() }),
            Ok(Err(error)) => Err(classify::error(&error)),
            Err(_) => Err(SourceError::new(
                SourceFault::Unavailable,
                format!("postgresql took no connection within {} s", limit.as_secs_f32()),
            )),
        }
    }

    /// In the form of `server_version_num`: 150004 is 15.4.
    pub(super) fn version(&self) -> u32 {
        self.connection.server_version_num().unwrap_or(0)
    }

    /// Begins a transaction that sees one snapshot and cannot write, and says which snapshot.
    pub(super) async fn begin(&mut self) -> Result<String, SourceError> {
        let limit = self.timeout.as_millis().max(1);
        let snapshot = self.snapshot_function();
        let sql = format!(
            "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL statement_timeout = {limit}; {SETTINGS}; \
             SELECT {snapshot}::text"
        );
        let limit = self.limit();
        let row =
            bounded(limit, self.timeout, sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut self.connection)).await?;
        text(&row, 0)?.ok_or_else(|| broken("no snapshot"))
    }

    /// Ends the transaction; nothing was written.
    pub(super) async fn end(&mut self) -> Result<(), SourceError> {
        let limit = self.limit();
        bounded(limit, self.timeout, self.connection.execute("ROLLBACK")).await.map(drop)
    }

    /// Runs one statement and returns its rows; callers bound their number. The statement is not kept at the server.
    pub(super) async fn rows(&mut self, sql: String, arguments: PgArguments) -> Result<Vec<PgRow>, SourceError> {
        let limit = self.limit();
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(false);
        bounded(limit, self.timeout, query.fetch_all(&mut self.connection)).await
    }

    /// Names and types of what a statement would return, without running it.
    pub(super) async fn describe(&mut self, sql: String) -> Result<Vec<(String, u32)>, SourceError> {
        use sqlx::{Column, Connection};
        let limit = self.limit();
        let statement =
            bounded(limit, self.timeout, self.connection.prepare(sqlx::SqlSafeStr::into_sql_str(AssertSqlSafe(sql))))
                .await?;
        let columns = statement
            .columns()
            .iter()
            .map(|c| (c.name().to_owned(), c.type_info().oid().map_or(0, |oid| oid.0)))
            .collect();
        // A kept statement would answer with the old columns after an ALTER TABLE.
        bounded(limit, self.timeout, self.connection.clear_cached_statements()).await?;
        Ok(columns)
    }

    /// `pg_current_snapshot` came with 13; its predecessor writes the same text.
    pub(super) fn snapshot_function(&self) -> &'static str {
        if self.version() >= 130_000 { "pg_current_snapshot()" } else { "txid_current_snapshot()" }
    }

    /// The server's own limit ends a statement first; ours is for a server or a network that says nothing.
    fn limit(&self) -> Duration {
        self.timeout + Duration::from_secs(1)
    }
}

async fn bounded<T>(
    limit: Duration,
    named: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SourceError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(|error| classify::error(&error)),
        Err(_) => Err(classify::timed_out(named)),
    }
}

/// A text column that the connector itself asked for.
pub(super) fn text(row: &PgRow, index: usize) -> Result<Option<String>, SourceError> {
    row.try_get(index).map_err(|_| broken("a column of another type"))
}

/// The server answered something that it cannot answer.
pub(super) fn broken(what: &str) -> SourceError {
    SourceError::new(
        SourceFault::Unavailable,
        format!("postgresql answered {what} where the connector asked for a text"),
    )
}
