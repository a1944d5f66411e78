//! Lookups: a few threads, each with its own connection, so that reading never waits for a disk flush.

use std::time::Duration;

use rusqlite::Connection;

use crate::work::{Inbox, Job, Taken};
use crate::writer::execute;

/// Lookups are short; more threads than this would only compete for the cores the workers need.
pub(crate) const READERS: usize = 3;

/// The thread's loop; returns when the inbox is closed and empty.
pub(crate) fn run(connection: &Connection, inbox: &Inbox) {
    let _closing = inbox.closing();
    loop {
        match inbox.take(1, usize::MAX, Duration::from_secs(3600)) {
            Taken::Jobs(jobs) => {
                for mut job in jobs {
                    in_one_transaction(connection, &mut *job);
                    job.answer(None);
                }
            }
            Taken::Nothing => {}
            Taken::Closed => return,
        }
    }
}

/// A lookup may ask for hundreds of keys: alone, each of its statements would lock the file and look for what the writer
/// has done meanwhile. Together they also see one state of it.
fn in_one_transaction(connection: &Connection, job: &mut dyn Job) {
    // If it does not begin, each statement is a transaction of its own, and tells of what is wrong.
    let _ = execute(connection, "BEGIN");
    // The outcome is remembered by the job itself; there is nothing to undo.
    let _ = job.run(connection);
    // It must end in any case: later lookups have to see later writes.
    if !connection.is_autocommit() && execute(connection, "COMMIT").is_err() {
        let _ = execute(connection, "ROLLBACK");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;

    use crate::Database;
    use crate::failure::Failure;

    const COUNT: &str = "SELECT count(*) FROM names";

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_lookup_sees_one_state_and_the_next_one_what_was_written_meanwhile() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (written, is_written) = mpsc::channel();
        let lookup = database.start_read(move |connection| {
            let count = || connection.query_row(COUNT, [], |row| row.get::<_, i64>(0));
            let before = count()?;
            begun.send(()).unwrap();
            is_written.recv().unwrap();
            Ok((before, count()?))
        });
        let lookup = lookup.await.unwrap();
        has_begun.recv().unwrap();
        let insert = "INSERT INTO names (kind, name) VALUES (1, 'новое')";
        database.write(0, move |connection| Ok(connection.execute(insert, [])?)).await.unwrap();
        written.send(()).unwrap();
        assert_eq!(lookup.await.unwrap(), Ok((0, 0)));
        // One of several readers, and not the first lookup of each: also behind one that failed.
        for _ in 0..super::READERS * 2 {
            let failed = database.read(|connection| Ok(connection.execute_batch("SELECT no_such_column")?)).await;
            assert!(failed.is_err());
            let count = database
                .read(|connection| connection.query_row(COUNT, [], |row| row.get::<_, i64>(0)).map_err(Failure::from));
            assert_eq!(count.await, Ok(1));
        }
    }
}
