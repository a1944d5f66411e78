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

/// Whose chore. Each has one at most.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Owner {
    Queues = 0,
    Journal = 1,
}

/// The chores of those owners that have started.
#[derive(Default)]
pub(crate) struct Chores([OnceLock<Arc<dyn Chore>>; 2]);

impl Chores {
    /// `false` if the owner has one.
    pub fn set(&self, owner: Owner, chore: Arc<dyn Chore>) -> bool {
        self.0[owner as usize].set(chore).is_ok()
    }

    fn all(&self) -> impl Iterator<Item = &Arc<dyn Chore>> {
        self.0.iter().filter_map(OnceLock::get)
    }

    fn due(&self) -> bool {
        self.all().any(|chore| chore.due())
    }
}

/// The thread's loop; returns when the inbox is closed and empty.
pub(crate) fn run(connection: &Connection, inbox: &Inbox, chores: &Chores) {
    let _closing = inbox.closing();
    loop {
        match inbox.take(GROUP, GROUP_BYTES, TICK) {
            Taken::Jobs(jobs) => commit(connection, jobs, chores),
            Taken::Nothing if chores.due() => commit(connection, Vec::new(), chores),
            Taken::Nothing => {}
            Taken::Closed => {
                if chores.due() {
                    commit(connection, Vec::new(), chores);
                }
                return;
            }
        }
    }
}

/// One transaction for all, a savepoint for each: a refused request undoes its own writes and spoils no other. Every
/// answer comes after the commit; if that fails, nobody's request has happened.
fn commit(connection: &Connection, mut jobs: Vec<Box<dyn Job>>, chores: &Chores) {
    let outcome = write(connection, &mut jobs, chores);
    if outcome.is_err() && !connection.is_autocommit() {
        // A failed rollback leaves the transaction open and makes the next BEGIN fail, which is reported there.
        let _ = connection.execute_batch("ROLLBACK");
    }
    for chore in chores.all() {
        chore.done(outcome.is_ok());
    }
    let failed = outcome.err();
    for job in jobs {
        job.answer(failed.as_ref());
    }
}

fn write(connection: &Connection, jobs: &mut [Box<dyn Job>], chores: &Chores) -> Result<(), StateError> {
    execute(connection, "BEGIN IMMEDIATE")?;
    for job in jobs {
        guarded(connection, |connection| job.run(connection))?;
    }
    for chore in chores.all() {
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

/// A statement without parameters and answer, prepared once.
pub(crate) fn execute(connection: &Connection, sql: &str) -> Result<(), StateError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map_err(|error| translate(&error))?;
    Ok(())
}
