//! Lookups: a few threads, each with its own connection, so that reading never waits for a disk flush.

use std::time::Duration;

use rusqlite::Connection;

use crate::work::{Inbox, Taken};

/// Lookups are short; more threads than this would only compete for the cores the workers need.
pub(crate) const READERS: usize = 3;

/// The thread's loop; returns when the inbox is closed and empty.
pub(crate) fn run(connection: &Connection, inbox: &Inbox) {
    let _closing = inbox.closing();
    loop {
        match inbox.take(1, usize::MAX, Duration::from_secs(3600)) {
            Taken::Jobs(jobs) => {
                for mut job in jobs {
                    // The outcome is remembered by the job itself; there is nothing to undo.
                    let _ = job.run(connection);
                    job.answer(None);
                }
            }
            Taken::Nothing => {}
            Taken::Closed => return,
        }
    }
}
