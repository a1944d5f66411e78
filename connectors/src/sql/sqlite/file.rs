//! The file: where it is, and how it is opened, for one statement at a time.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bus_core::ports::source::{SourceError, SystemReport};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, InterruptHandle, OpenFlags};

use super::classify;
use crate::sql::Address;
use crate::sql::asked::misconfigured;

/// `sqlite:data/shop.db`, `sqlite://data/shop.db` and `sqlite:///var/shop.db`; parameters after `?` say nothing here.
pub(super) fn path(url: &str) -> PathBuf {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let rest = rest.split('?').next().unwrap_or(rest);
    percent_encoding::percent_decode_str(rest).decode_utf8_lossy().into_owned().into()
}

/// Opens the file, reads what it consists of, and looks whether it could be written. Changes nothing.
pub(in crate::sql) async fn reach(address: &Address) -> Result<SystemReport, SourceError> {
    let begun = Instant::now();
    let path = path(address.url.expose());
    let (version, tables) = blocking(&path, address.timeout, move |connection| {
        let sql = "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view')";
        let tables: i64 = connection.query_row(sql, [], |row| row.get(0)).map_err(|error| classify::error(&error))?;
        Ok((version(connection)?, tables))
    })
    .await?;
    let write = match std::fs::OpenOptions::new().write(true).open(&path) {
        Ok(_) => "and could write it (the bus only reads)",
        Err(_) => "and not write it",
    };
    let rights = vec![format!("may read the file with its {tables} tables and views, {write}")];
    Ok(SystemReport { version, latency: begun.elapsed(), rights, remarks: Vec::new() })
}

pub(super) fn version(connection: &Connection) -> Result<String, SourceError> {
    let version = connection.query_row("SELECT sqlite_version()", [], |row| row.get::<_, String>(0));
    version.map(|version| format!("SQLite {version}")).map_err(|error| classify::error(&error))
}

/// Runs `job` on a blocking thread with a fresh connection. Bounded; a wait that is dropped or too long interrupts it.
pub(super) async fn blocking<T: Send + 'static>(
    path: &Path,
    timeout: Duration,
    job: impl FnOnce(&Connection) -> Result<T, SourceError> + Send + 'static,
) -> Result<T, SourceError> {
    struct Interrupt(InterruptHandle);
    impl Drop for Interrupt {
        fn drop(&mut self) {
            self.0.interrupt();
        }
    }
    let connection = open(path, timeout)?;
    let _interrupt = Interrupt(connection.get_interrupt_handle());
    let work = tokio::task::spawn_blocking(move || job(&connection));
    match tokio::time::timeout(timeout, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(misconfigured("reading from sqlite failed within the connector".to_owned())),
        Err(_) => Err(classify::timed_out(timeout)),
    }
}

/// Opening reads nothing yet; the first statement does.
pub(super) fn open(path: &Path, timeout: Duration) -> Result<Connection, SourceError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| {
        let error = classify::error(&error);
        SourceError::new(error.fault, format!("{} ({})", error.message, path.display()))
    })?;
    connection.busy_timeout(timeout).map_err(|error| classify::error(&error))?;
    // Else a mistyped column in double quotes is a text, and the query reads nothing without an error.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false).map_err(|error| classify::error(&error))?;
    Ok(connection)
}
