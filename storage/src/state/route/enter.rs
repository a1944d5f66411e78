//! What enters `waiting`, and what is left out.

use bus_core::ports::state::{Applied, HoldReason, Replayed};
use bus_core::vocabulary::{Envelope, Moment, Operation};
use rusqlite::{Connection, OptionalExtension};

use super::Route;
use super::fence::seq;
use crate::failure::{Failure, damaged};
use crate::number::signed;
use crate::state::dead;

impl Route<'_> {
    /// D4 and R12: in one transaction with the insert, skipped if the fence is as new, the id is dead or waits, or
    /// the key waits with a seq as high.
    pub(super) fn hold(
        &mut self,
        envelope: &Envelope,
        not_before: Moment,
        attempts: u32,
        reason: HoldReason,
        latest: bool,
    ) -> Result<Applied, Failure> {
        let fenced = self.fence(&envelope.key)?.is_some_and(|fence| fence >= envelope.seq);
        if fenced || dead::find(self.connection, self.route, &envelope.id)?.is_some() {
            return Ok(Applied::Ignored);
        }
        if self.has_waiting && self.id_waits(&envelope.id)? {
            return Ok(Applied::Ignored);
        }
        if self.has_waiting && self.highest(&envelope.key)? >= Some(envelope.seq) {
            // What a task read again says nothing of the version before the one that waits.
            let newer = latest && reason != HoldReason::Load;
            return if newer { self.outdated(envelope, not_before) } else { Ok(Applied::Ignored) };
        }
        if latest
            && self.has_waiting
            && let Some(applied) = self.replace(envelope, not_before, attempts, reason)?
        {
            return Ok(applied);
        }
        insert_waiting(self.connection, self.route, envelope, not_before, attempts, reason, Replayed::Never)?;
        self.has_waiting = true;
        Ok(Applied::Yes)
    }

    /// L4: as `hold`, but a fence at its own seq is no obstacle.
    pub(super) fn again(&mut self, envelope: &Envelope) -> Result<Applied, Failure> {
        let newer = self.fence(&envelope.key)?.is_some_and(|fence| fence > envelope.seq);
        if newer || dead::find(self.connection, self.route, &envelope.id)?.is_some() {
            return Ok(Applied::Ignored);
        }
        if self.id_waits(&envelope.id)? || self.highest(&envelope.key)? >= Some(envelope.seq) {
            return Ok(Applied::Ignored);
        }
        let (now, reason) = (Moment::now(), HoldReason::Load);
        insert_waiting(self.connection, self.route, envelope, now, 0, reason, Replayed::Asked)?;
        self.has_waiting = true;
        Ok(Applied::Yes)
    }

    /// R12 where a newer version has taken the place: the key's delay counts for that one too, and so does what is not known.
    fn outdated(&self, envelope: &Envelope, not_before: Moment) -> Result<Applied, Failure> {
        self.superseded(&envelope.key, envelope.operation == Operation::Upsert)?;
        let mut wait = self
            .connection
            .prepare_cached("UPDATE waiting SET not_before = max(not_before, ?3) WHERE route = ?1 AND key = ?2")?;
        wait.execute((self.route, envelope.key.as_str(), not_before.0))?;
        Ok(Applied::Outdated)
    }

    /// D9: over the key's newest row, in its place and with its time; not over one that a person replayed. The mark of the
    /// older one stays: it may be in the worker's hands, and what was sent before a crash must not be sent blindly again.
    fn replace(
        &self,
        envelope: &Envelope,
        not_before: Moment,
        attempts: u32,
        reason: HoldReason,
    ) -> Result<Option<Applied>, Failure> {
        let mut newest = self.connection.prepare_cached(
            "SELECT place, epoch, number, replayed, frame FROM waiting WHERE route = ?1 AND key = ?2
             ORDER BY epoch DESC, number DESC LIMIT 1",
        )?;
        let row = newest.query_row((self.route, envelope.key.as_str()), |row| {
            let seq = seq(row.get(1)?, row.get(2)?);
            Ok((row.get::<_, i64>(0)?, seq, row.get::<_, i64>(3)?, row.get::<_, Vec<u8>>(4)?))
        });
        let Some((place, older, replayed, frame)) = row.optional()? else { return Ok(None) };
        if replayed != 0 {
            return Ok(None);
        }
        let frame = Envelope::from_frame(frame.into()).map_err(damaged)?;
        self.superseded(&envelope.key, frame.operation == Operation::Upsert)?;
        let mut update = self.connection.prepare_cached(
            "UPDATE waiting SET epoch = ?2, number = ?3, id = ?4, not_before = max(not_before, ?5), attempts = ?6,
                    reason = CASE ?7 WHEN 'load' THEN reason ELSE ?7 END, frame = ?8 WHERE place = ?1",
        )?;
        let (seq, id, bytes) = (envelope.seq, envelope.id.as_bytes().as_slice(), envelope.to_frame());
        let (epoch, number) = (signed(seq.epoch), signed(seq.number));
        update.execute((place, epoch, number, id, not_before.0, attempts, reason.as_str(), bytes.as_ref()))?;
        Ok(Some(Applied::Replaced { seq: older }))
    }
}

/// Puts a row at the end of the line. It inherits the latest `not_before` of its key, so that it never overtakes a
/// deferred one. Gives its place.
pub(in crate::state) fn insert_waiting(
    connection: &Connection,
    route: i64,
    envelope: &Envelope,
    not_before: Moment,
    attempts: u32,
    reason: HoldReason,
    replayed: Replayed,
) -> Result<i64, Failure> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO waiting (route, key, epoch, number, id, not_before, attempts, reason, replayed, time, frame)
         VALUES (?1, ?2, ?3, ?4, ?5,
                 max(?6, coalesce((SELECT max(not_before) FROM waiting WHERE route = ?1 AND key = ?2), ?6)),
                 ?7, ?8, ?9, ?10, ?11)",
    )?;
    Ok(insert.insert(rusqlite::params![
        route,
        envelope.key.as_str(),
        signed(envelope.seq.epoch),
        signed(envelope.seq.number),
        envelope.id.as_bytes().as_slice(),
        not_before.0,
        attempts,
        reason.as_str(),
        replayed_code(replayed),
        envelope.time.0,
        envelope.to_frame().as_ref(),
    ])?)
}

fn replayed_code(replayed: Replayed) -> i64 {
    match replayed {
        Replayed::Never => 0,
        Replayed::Asked => 1,
        Replayed::Forced => 2,
    }
}
