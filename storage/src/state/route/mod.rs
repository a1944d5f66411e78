//! A route's durable changes and lookups.
//!
//! | file | what |
//! |---|---|
//! | `settle.rs` | outcomes |
//! | `enter.rs` | what enters `waiting` |
//! | `line.rs` | what waits there, and until when |
//! | `fence.rs` | fences, and how far the queue was seen |
//! | `marks.rs` | attempts whose outcome is not known |
//!
//! The rules (R.., D..) are enforced here, in the transaction that applies the change, so that no caller can forget
//! them and no zombie can break them.

mod enter;
mod fence;
mod line;
mod marks;
mod settle;

use bus_core::policy::echo::{End, Write};
use bus_core::ports::state::{Applied, Change, RouteState};
use bus_core::vocabulary::Key;
use rusqlite::{Connection, OptionalExtension};

use super::writes;
use crate::failure::Failure;
pub(super) use enter::insert_waiting;
pub(super) use fence::fence;
pub(crate) use fence::{seq, settled};
pub(crate) use line::waits;
pub(super) use line::{due, highest_waiting};
pub(super) use marks::{clear_mark, marked};

/// One route's transaction. The two flags spare a statement per change on the fast path, where nothing waits and
/// nothing is marked.
struct Route<'a> {
    connection: &'a Connection,
    route: i64,
    has_waiting: bool,
    has_marks: bool,
}

/// Applies the changes in order.
pub(super) fn commit(connection: &Connection, route: i64, changes: &[Change]) -> Result<Vec<Applied>, Failure> {
    let exists = |sql: &str| -> Result<bool, Failure> { Ok(connection.prepare_cached(sql)?.exists([route])?) };
    let mut route = Route {
        connection,
        route,
        has_waiting: exists("SELECT 1 FROM waiting WHERE route = ?1 LIMIT 1")?,
        has_marks: exists("SELECT 1 FROM marks WHERE route = ?1 LIMIT 1")?,
    };
    changes.iter().map(|change| route.apply(change)).collect()
}

impl Route<'_> {
    fn apply(&mut self, change: &Change) -> Result<Applied, Failure> {
        match change {
            Change::Settle { key, seq, id, outcome } => self.settle(key, *seq, id, outcome),
            Change::Hold { envelope, not_before, attempts, reason, clear_mark, latest, doubt } => {
                let applied = self.hold(envelope, *not_before, *attempts, *reason, *latest)?;
                if *doubt && applied == Applied::Yes {
                    self.superseded(&envelope.key, true)?;
                }
                // D7: the mark goes in the transaction that records the known non-application.
                if *clear_mark && applied != Applied::Ignored {
                    self.unmark(&envelope.id)?;
                }
                Ok(applied)
            }
            Change::Defer { key, seq, id, not_before, attempts, reason, clear_mark } => {
                let applied = self.defer(key, *seq, *not_before, *attempts, *reason)?;
                if *clear_mark && applied == Applied::Yes {
                    self.unmark(id)?;
                }
                Ok(applied)
            }
            Change::Again { envelope } => self.again(envelope),
            Change::Mark { id } => self.mark(id),
            Change::Unmark { id } => self.unmark(id),
            Change::Await { id, what, since } => self.awaits(id, what, *since),
            Change::Wake { key } => self.wake(key),
            Change::Wrote { reader, key, print, began, in_doubt } => {
                let end = if *in_doubt { End::InDoubt } else { End::Taken };
                writes::wrote(self.connection, reader, key, &Write { print: *print, began: *began, end })
            }
            Change::ForgetWrites { key, before } => writes::forget(self.connection, self.route, key, *before),
            Change::Reached { seq } => self.reached(*seq),
        }
    }
}

/// D8: what a worker's index is made of; as of one moment, because a lookup is one transaction.
pub(super) fn open(connection: &Connection, route: i64) -> Result<RouteState, Failure> {
    let mut waiting = connection.prepare_cached("SELECT key, count(*) FROM waiting WHERE route = ?1 GROUP BY key")?;
    let waiting = waiting.query_map([route], |row| Ok((Key::from_stored(&row.get::<_, String>(0)?), row.get(1)?)))?;
    let waiting = waiting.collect::<Result<_, _>>()?;
    let mut dead =
        connection.prepare_cached("SELECT DISTINCT key FROM dead WHERE route = ?1 AND key IS NOT NULL ORDER BY key")?;
    let dead = dead.query_map([route], |row| Ok(Key::from_stored(&row.get::<_, String>(0)?)))?;
    let dead = dead.collect::<Result<_, _>>()?;
    let mut reached = connection.prepare_cached("SELECT epoch, number FROM reached WHERE route = ?1")?;
    let reached = reached.query_row([route], |row| Ok(seq(row.get(0)?, row.get(1)?))).optional()?;
    Ok(RouteState { waiting, dead, reached })
}
