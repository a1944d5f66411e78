//! The one writer: requests that arrive while the disk flushes share the next transaction and its flush.
//!
//! No request waits for company: a group is whatever has arrived when the writer is free, so one caller alone gets
//! its own flush at once and a thousand callers share one.

use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use bus_core::ports::state::StateError;
use rusqlite::Connection;

use crate::failure::{Failure, translate};
use crate::work::{Inbox, Job, Taken};

/// Requests of one transaction. More would only add latency: the flush is already shared.
const GROUP: usize = 512;

/// Bytes of one transaction, so that large batches do not pile up in SQLite's cache.
const GROUP_BYTES: usize = 16 * 1024 * 1024;

/// How long the writer sleeps without requests before it looks whether chores are due.
const TICK: Duration = Duration::from_millis(250);

/// Work that rides along with whatever is committed next, and is done alone only when nothing comes for a while.
pub(crate) trait Chore: Send + Sync {
    /// Whether there is enough to do for a transaction of its own.
    fn due(&self) -> bool;
    /// Writes what is to be written.
    fn write(&self, connection: &Connection) -> Result<(), Failure>;
    /// What `write` wrote is durable, or (`false`) has been undone.
    fn done(&self, durable: bool);
}

/// The chore, once its owner has started.
pub(crate) type ChoreSlot = OnceLock<Arc<dyn Chore>>;

/// The thread's loop; returns when the inbox is closed and empty.
pub(crate) fn run(connection: &Connection, inbox: &Inbox, chore: &ChoreSlot) {
    let _closing = inbox.closing();
    loop {
        match inbox.take(GROUP, GROUP_BYTES, TICK) {
            Taken::Jobs(jobs) => commit(connection, jobs, chore.get()),
            Taken::Nothing if chore.get().is_some_and(|chore| chore.due()) => {
                commit(connection, Vec::new(), chore.get());
            }
            Taken::Nothing => {}
            Taken::Closed => {
                if chore.get().is_some_and(|chore| chore.due()) {
                    commit(connection, Vec::new(), chore.get());
                }
                return;
            }
        }
    }
}

/// One transaction for all, a savepoint for each: a refused request undoes its own writes and spoils no other. Every
/// answer comes after the commit; if that fails, nobody's request has happened.
fn commit(connection: &Connection, mut jobs: Vec<Box<dyn Job>>, chore: Option<&Arc<dyn Chore>>) {
    let outcome = write(connection, &mut jobs, chore);
    if outcome.is_err() && !connection.is_autocommit() {
        // A failed rollback leaves the transaction open and makes the next BEGIN fail, which is reported there.
        let _ = connection.execute_batch("ROLLBACK");
    }
    if let Some(chore) = chore {
        chore.done(outcome.is_ok());
    }
    let failed = outcome.err();
    for job in jobs {
        job.answer(failed.as_ref());
    }
}

fn write(connection: &Connection, jobs: &mut [Box<dyn Job>], chore: Option<&Arc<dyn Chore>>) -> Result<(), StateError> {
    execute(connection, "BEGIN IMMEDIATE")?;
    for job in jobs {
        guarded(connection, |connection| job.run(connection))?;
    }
    if let Some(chore) = chore {
        guarded(connection, |connection| match chore.write(connection) {
            Ok(()) => true,
            Err(Failure(error)) => {
                tracing::debug!(%error, "a chore has to wait for the next transaction");
                false
            }
        })?;
    }
    execute(connection, "COMMIT")
}

/// Runs a piece of work inside a savepoint. An error means that SQLite has given up the whole transaction, which it
/// does on a full disk.
fn guarded(connection: &Connection, work: impl FnOnce(&Connection) -> bool) -> Result<(), StateError> {
    execute(connection, "SAVEPOINT request")?;
    let keep = work(connection);
    if connection.is_autocommit() {
        return Err(StateError::Failed("the disk is full or failing, nothing was written".into()));
    }
    if !keep {
        execute(connection, "ROLLBACK TO request")?;
    }
    execute(connection, "RELEASE request")
}

fn execute(connection: &Connection, sql: &str) -> Result<(), StateError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map_err(|error| translate(&error))?;
    Ok(())
}
