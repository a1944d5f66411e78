//! The line of what waits: what stands there, and when it is due.

use std::time::Duration;

use bus_core::ports::state::{Applied, HoldReason, Replayed, WaitingRow};
use bus_core::vocabulary::{Envelope, Key, MessageId, Moment, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::Route;
use super::fence::seq;
use crate::failure::{Failure, damaged};
use crate::number::signed;
use crate::state::letters;

/// A waiting row as a settlement sees it.
pub(super) struct Waits {
    pub place: i64,
    pub replayed: bool,
}

impl Route<'_> {
    /// The whole key waits, so that a later version does not overtake the deferred one.
    pub(super) fn defer(
        &self,
        key: &Key,
        seq: Seq,
        not_before: Moment,
        attempts: u32,
        reason: HoldReason,
    ) -> Result<Applied, Failure> {
        // A newer version may stand in the row by now (D9): it waits all the same, with a budget of its own.
        if let Some(row) = self.waits(key, seq)? {
            let mut own =
                self.connection.prepare_cached("UPDATE waiting SET attempts = ?2, reason = ?3 WHERE place = ?1")?;
            own.execute((row.place, attempts, reason.as_str()))?;
        } else if self.highest(key)? <= Some(seq) {
            return Ok(Applied::Ignored);
        }
        let mut all =
            self.connection.prepare_cached("UPDATE waiting SET not_before = ?3 WHERE route = ?1 AND key = ?2")?;
        let rows = all.execute((self.route, key.as_str(), not_before.0))?;
        Ok(if rows > 0 { Applied::Yes } else { Applied::Ignored })
    }

    /// The first time stands: a message that is held again waits since then.
    pub(super) fn awaits(&self, id: &MessageId, what: &str, since: Moment) -> Result<Applied, Failure> {
        let mut update = self.connection.prepare_cached(
            "UPDATE waiting SET held_since = coalesce(held_since, ?3), held_for = ?4 WHERE route = ?1 AND id = ?2",
        )?;
        let noted = update.execute((self.route, id.as_bytes().as_slice(), since.0, what))? > 0;
        Ok(if noted { Applied::Yes } else { Applied::Ignored })
    }

    /// All rows of the key, which share their time, so that none overtakes another.
    pub(super) fn wake(&self, key: &Key) -> Result<Applied, Failure> {
        let mut update = self.connection.prepare_cached(
            "UPDATE waiting SET not_before = ?3 WHERE route = ?1 AND key = ?2 AND not_before > ?3
             AND EXISTS (SELECT 1 FROM waiting h WHERE h.route = ?1 AND h.key = ?2 AND h.reason = 'requires')",
        )?;
        let woken = update.execute((self.route, key.as_str(), Moment::now().0))? > 0;
        Ok(if woken { Applied::Yes } else { Applied::Ignored })
    }

    pub(super) fn waits(&self, key: &Key, seq: Seq) -> Result<Option<Waits>, Failure> {
        if !self.has_waiting {
            return Ok(None);
        }
        let mut select = self.connection.prepare_cached(
            "SELECT place, replayed FROM waiting WHERE route = ?1 AND key = ?2 AND epoch = ?3 AND number = ?4",
        )?;
        let row = select.query_row((self.route, key.as_str(), signed(seq.epoch), signed(seq.number)), |row| {
            Ok(Waits { place: row.get(0)?, replayed: row.get::<_, i64>(1)? != 0 })
        });
        Ok(row.optional()?)
    }

    pub(super) fn id_waits(&self, id: &MessageId) -> Result<bool, Failure> {
        let mut select = self.connection.prepare_cached("SELECT 1 FROM waiting WHERE route = ?1 AND id = ?2")?;
        Ok(select.exists((self.route, id.as_bytes().as_slice()))?)
    }

    pub(super) fn highest(&self, key: &Key) -> Result<Option<Seq>, Failure> {
        highest_waiting(self.connection, self.route, key)
    }
}

/// Whether exactly this version of the key waits.
pub(crate) fn waits(connection: &Connection, route: i64, key: &Key, seq: Seq) -> Result<bool, Failure> {
    let mut select = connection
        .prepare_cached("SELECT 1 FROM waiting WHERE route = ?1 AND key = ?2 AND epoch = ?3 AND number = ?4")?;
    Ok(select.exists((route, key.as_str(), signed(seq.epoch), signed(seq.number)))?)
}

pub(in crate::state) fn highest_waiting(
    connection: &Connection,
    route: i64,
    key: &Key,
) -> Result<Option<Seq>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT epoch, number FROM waiting WHERE route = ?1 AND key = ?2 ORDER BY epoch DESC, number DESC LIMIT 1",
    )?;
    let row = select.query_row((route, key.as_str()), |row| Ok(seq(row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
}

/// Rows that are due, in line order, up to the one that reaches `bytes`. One that is further ahead than the longest wait is
/// due too, but behind an earlier one of its key that has a wait of its own: a later version overtakes nothing.
pub(in crate::state) fn due(
    connection: &Connection,
    route: i64,
    (now, longest): (Moment, Duration),
    limit: usize,
    bytes: usize,
) -> Result<Vec<WaitingRow>, Failure> {
    // Answered from an index alone when nothing is due, which is the usual case of a closed window with a long line.
    let ahead = now.after(longest);
    let mut any = connection.prepare_cached(
        "SELECT 1 WHERE EXISTS (SELECT 1 FROM waiting WHERE route = ?1 AND not_before <= ?2)
                     OR EXISTS (SELECT 1 FROM waiting WHERE route = ?1 AND not_before > ?3)",
    )?;
    if !any.exists((route, now.0, ahead.0))? {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare_cached(
        "SELECT w.frame, w.attempts, w.reason, w.replayed, l.edits, l.body, w.held_since
         FROM waiting w INDEXED BY waiting_line
              LEFT JOIN letters l ON w.replayed != 0 AND l.route = w.route AND l.message = w.id
         WHERE w.route = ?1
           AND (w.not_before <= ?2 OR w.not_before > ?4 AND NOT EXISTS
                   (SELECT 1 FROM waiting o
                    WHERE o.route = ?1 AND o.key = w.key AND o.not_before > ?2 AND o.not_before <= ?4))
         ORDER BY w.place LIMIT ?3",
    )?;
    let mut rows = select.query((route, now.0, signed(limit as u64), ahead.0))?;
    let (mut found, mut read) = (Vec::new(), 0);
    while (read < bytes || found.is_empty())
        && let Some(row) = rows.next()?
    {
        let (frame, reason): (Vec<u8>, String) = (row.get(0)?, row.get(2)?);
        let body: Option<Vec<u8>> = row.get(5)?;
        read += frame.len() + body.as_ref().map_or(0, Vec::len);
        found.push(WaitingRow {
            envelope: Envelope::from_frame(frame.into()).map_err(damaged)?,
            attempts: row.get(1)?,
            reason: HoldReason::parse(&reason).ok_or_else(|| damaged("a waiting row has an unknown reason"))?,
            replayed: replayed_of(row.get(3)?)?,
            edited: letters::edited(row.get(4)?, body),
            held_since: row.get::<_, Option<i64>>(6)?.map(Moment),
        });
    }
    Ok(found)
}

fn replayed_of(code: i64) -> Result<Replayed, Failure> {
    match code {
        0 => Ok(Replayed::Never),
        1 => Ok(Replayed::Asked),
        2 => Ok(Replayed::Forced),
        _ => Err(damaged(format!("a waiting row is replayed in a way nobody knows: {code}"))),
    }
}
