//! D7: that an attempt was begun, until its outcome is known.

use bus_core::ports::state::Applied;
use bus_core::vocabulary::MessageId;
use rusqlite::Connection;

use super::Route;
use crate::failure::Failure;

impl Route<'_> {
    /// D7: marks are keyed by route and message id.
    pub(super) fn mark(&mut self, id: &MessageId) -> Result<Applied, Failure> {
        let mut insert =
            self.connection.prepare_cached("INSERT INTO marks (route, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
        let new = insert.execute((self.route, id.as_bytes().as_slice()))? > 0;
        self.has_marks = true;
        Ok(if new { Applied::Yes } else { Applied::Ignored })
    }

    pub(super) fn unmark(&self, id: &MessageId) -> Result<Applied, Failure> {
        let gone = self.has_marks && clear_mark(self.connection, self.route, id)?;
        Ok(if gone { Applied::Yes } else { Applied::Ignored })
    }

    pub(super) fn clear_mark_unless(&self, keep: bool, id: &MessageId) -> Result<(), Failure> {
        if !keep {
            self.unmark(id)?;
        }
        Ok(())
    }
}

/// Removes an attempt mark; `false` if there was none.
pub(in crate::state) fn clear_mark(connection: &Connection, route: i64, id: &MessageId) -> Result<bool, Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM marks WHERE route = ?1 AND id = ?2")?;
    Ok(delete.execute((route, id.as_bytes().as_slice()))? > 0)
}

pub(in crate::state) fn marked(connection: &Connection, route: i64, ids: &[MessageId]) -> Result<Vec<bool>, Failure> {
    let mut select = connection.prepare_cached("SELECT 1 FROM marks WHERE route = ?1 AND id = ?2")?;
    ids.iter().map(|id| Ok(select.exists((route, id.as_bytes().as_slice()))?)).collect()
}
