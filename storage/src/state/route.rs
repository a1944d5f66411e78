//! A route's durable changes and lookups: fences, waiting rows, attempt marks.
//!
//! The rules (R.., D..) are enforced here, in the transaction that applies the change, so that no caller can forget
//! them and no zombie can break them.

use bus_core::ports::state::{
    Applied, Change, DeadLetter, HoldReason, Replayed, RouteState, Settled, Settlement, WaitingRow,
};
use bus_core::vocabulary::{Envelope, Key, MessageId, Moment, Operation, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::{dead, writes};
use crate::failure::{Failure, damaged};
use crate::number::{signed, unsigned};
use crate::operations::triage;

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

/// A waiting row as a settlement sees it.
struct Waits {
    place: i64,
    replayed: bool,
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
            Change::Wrote { reader, key, print, began } => writes::wrote(self.connection, reader, key, print, *began),
            Change::ForgetWrites { key, before } => writes::forget(self.connection, self.route, key, *before),
            Change::Reached { seq } => self.reached(*seq),
        }
    }

    fn settle(&mut self, key: &Key, seq: Seq, id: &MessageId, outcome: &Settlement) -> Result<Applied, Failure> {
        if let Settlement::DeadLettered { letter, keep_mark } = outcome
            && letter.envelope.is_none()
        {
            // A foreign message has no key: no fence to raise, nothing that could wait.
            let applied = self.bury(id, letter)?;
            self.clear_mark_unless(*keep_mark, id)?;
            return Ok(applied);
        }
        let waits = self.waits(key, seq)?;
        // A row that a person replayed may stand below the fence (forced) or at it; its outcome counts all the same.
        let replayed = waits.as_ref().is_some_and(|row| row.replayed);
        let applied = match outcome {
            Settlement::Delivered { present, receiver_id } => {
                self.delivered(key, seq, id, *present, receiver_id.as_deref(), replayed)?
            }
            Settlement::Skipped => self.raise(key, seq)?,
            Settlement::Superseded { upsert } => self.superseded(key, *upsert)?,
            Settlement::DeadLettered { letter, keep_mark } => {
                let applied = self.dead_lettered(key, seq, id, letter, replayed)?;
                if *keep_mark {
                    self.doubt(key, letter)?;
                }
                applied
            }
        };
        // D3: the row with exactly this seq goes with its outcome, in one transaction; R9 for dead letters.
        if let Some(row) = &waits {
            self.connection.prepare_cached("DELETE FROM waiting WHERE place = ?1")?.execute([row.place])?;
        }
        if replayed && !matches!(outcome, Settlement::DeadLettered { .. }) {
            triage::forget(self.connection, self.route, id)?;
        }
        let applied = if applied == Applied::Ignored && waits.is_some() { Applied::Yes } else { applied };
        if applied != Applied::Ignored {
            // A superseded message may come again, if its ack fails: then its mark still has to say that it was sent.
            let again = matches!(outcome, Settlement::Superseded { .. }) && waits.is_none();
            let keep = again || matches!(outcome, Settlement::DeadLettered { keep_mark: true, .. });
            self.clear_mark_unless(keep, id)?;
        }
        Ok(applied)
    }

    /// R13: never lowers the fence. At the same seq it may name the id delivered; below it does so only for a
    /// replayed row, whose content the receiver holds from now on (else D5 would skip the newest content's return).
    fn delivered(
        &self,
        key: &Key,
        seq: Seq,
        id: &MessageId,
        present: bool,
        receiver_id: Option<&str>,
        replayed: bool,
    ) -> Result<Applied, Failure> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO settled (route, key, epoch, number, id, present, receiver_id)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (route, key) DO UPDATE SET
                 epoch = excluded.epoch, number = excluded.number, id = excluded.id, present = excluded.present,
                 receiver_id = coalesce(excluded.receiver_id, receiver_id)
             WHERE (excluded.epoch, excluded.number) >= (epoch, number)",
        )?;
        let (epoch, number, bytes) = (signed(seq.epoch), signed(seq.number), id.as_bytes().as_slice());
        let raised = upsert.execute((self.route, key.as_str(), epoch, number, bytes, present, receiver_id))? > 0;
        if raised {
            return Ok(Applied::Yes);
        }
        if !replayed {
            return Ok(Applied::Ignored);
        }
        let mut update = self.connection.prepare_cached(
            "UPDATE settled SET id = ?3, present = ?4, receiver_id = coalesce(?5, receiver_id)
             WHERE route = ?1 AND key = ?2",
        )?;
        update.execute((self.route, key.as_str(), bytes, present, receiver_id))?;
        Ok(Applied::Yes)
    }

    /// R13 without a delivery: what the receiver holds is not touched.
    fn raise(&self, key: &Key, seq: Seq) -> Result<Applied, Failure> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO settled (route, key, epoch, number, present) VALUES (?1, ?2, ?3, ?4, 0)
             ON CONFLICT (route, key) DO UPDATE SET epoch = excluded.epoch, number = excluded.number
             WHERE (excluded.epoch, excluded.number) >= (epoch, number)",
        )?;
        let raised = upsert.execute((self.route, key.as_str(), signed(seq.epoch), signed(seq.number)))? > 0;
        Ok(if raised { Applied::Yes } else { Applied::Ignored })
    }

    /// D10: no fence is raised, but of an upsert the receiver may hold something.
    fn superseded(&self, key: &Key, upsert: bool) -> Result<Applied, Failure> {
        if upsert {
            let mut doubt = self.connection.prepare_cached(
                "INSERT INTO settled (route, key, epoch, number, present) VALUES (?1, ?2, 0, 0, 2)
                 ON CONFLICT (route, key) DO UPDATE SET present = 2 WHERE present = 0",
            )?;
            doubt.execute((self.route, key.as_str()))?;
        }
        Ok(Applied::Yes)
    }

    /// R9: letter, fence and the end of the waiting row in one transaction. A message whose fence stands at or above
    /// it had its outcome: only a replayed row is buried again, and a repeat names the letter there is (D6).
    fn dead_lettered(
        &self,
        key: &Key,
        seq: Seq,
        id: &MessageId,
        letter: &DeadLetter,
        replayed: bool,
    ) -> Result<Applied, Failure> {
        let fence = self.fence(key)?;
        if fence.is_none_or(|fence| fence < seq) {
            self.raise(key, seq)?;
        } else if !replayed {
            return Ok(dead::find(self.connection, self.route, id)?.map_or(Applied::Ignored, Applied::Dead));
        }
        self.bury(id, letter)
    }

    /// The outcome of an upsert is unknown: the receiver may hold the record, so a later delete has to reach it.
    fn doubt(&self, key: &Key, letter: &DeadLetter) -> Result<(), Failure> {
        if letter.envelope.as_ref().is_some_and(|envelope| envelope.operation == Operation::Upsert) {
            let mut update =
                self.connection.prepare_cached("UPDATE settled SET present = 1 WHERE route = ?1 AND key = ?2")?;
            update.execute((self.route, key.as_str()))?;
        }
        Ok(())
    }

    /// D6: an id is buried once.
    fn bury(&self, id: &MessageId, letter: &DeadLetter) -> Result<Applied, Failure> {
        if let Some(number) = dead::find(self.connection, self.route, id)? {
            return Ok(Applied::Dead(number));
        }
        Ok(Applied::Dead(dead::insert(self.connection, self.route, id, letter)?))
    }

    /// D4 and R12: in one transaction with the insert, skipped if the fence is as new, the id is dead or waits, or
    /// the key waits with a seq as high.
    fn hold(
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
    fn again(&mut self, envelope: &Envelope) -> Result<Applied, Failure> {
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

    /// The whole key waits, so that a later version does not overtake the deferred one.
    fn defer(
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

    /// D7: marks are keyed by route and message id.
    fn mark(&mut self, id: &MessageId) -> Result<Applied, Failure> {
        let mut insert =
            self.connection.prepare_cached("INSERT INTO marks (route, id) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?;
        let new = insert.execute((self.route, id.as_bytes().as_slice()))? > 0;
        self.has_marks = true;
        Ok(if new { Applied::Yes } else { Applied::Ignored })
    }

    fn unmark(&self, id: &MessageId) -> Result<Applied, Failure> {
        let gone = self.has_marks && clear_mark(self.connection, self.route, id)?;
        Ok(if gone { Applied::Yes } else { Applied::Ignored })
    }

    fn clear_mark_unless(&self, keep: bool, id: &MessageId) -> Result<(), Failure> {
        if !keep {
            self.unmark(id)?;
        }
        Ok(())
    }

    /// The first time stands: a message that is held again waits since then.
    fn awaits(&self, id: &MessageId, what: &str, since: Moment) -> Result<Applied, Failure> {
        let mut update = self.connection.prepare_cached(
            "UPDATE waiting SET held_since = coalesce(held_since, ?3), held_for = ?4 WHERE route = ?1 AND id = ?2",
        )?;
        let noted = update.execute((self.route, id.as_bytes().as_slice(), since.0, what))? > 0;
        Ok(if noted { Applied::Yes } else { Applied::Ignored })
    }

    /// All rows of the key, which share their time, so that none overtakes another.
    fn wake(&self, key: &Key) -> Result<Applied, Failure> {
        let mut update = self.connection.prepare_cached(
            "UPDATE waiting SET not_before = ?3 WHERE route = ?1 AND key = ?2 AND not_before > ?3
             AND EXISTS (SELECT 1 FROM waiting h WHERE h.route = ?1 AND h.key = ?2 AND h.reason = 'requires')",
        )?;
        let woken = update.execute((self.route, key.as_str(), Moment::now().0))? > 0;
        Ok(if woken { Applied::Yes } else { Applied::Ignored })
    }

    fn reached(&self, seq: Seq) -> Result<Applied, Failure> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO reached (route, epoch, number) VALUES (?1, ?2, ?3)
             ON CONFLICT (route) DO UPDATE SET epoch = excluded.epoch, number = excluded.number
             WHERE (excluded.epoch, excluded.number) > (epoch, number)",
        )?;
        let raised = upsert.execute((self.route, signed(seq.epoch), signed(seq.number)))? > 0;
        Ok(if raised { Applied::Yes } else { Applied::Ignored })
    }

    fn waits(&self, key: &Key, seq: Seq) -> Result<Option<Waits>, Failure> {
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

    fn fence(&self, key: &Key) -> Result<Option<Seq>, Failure> {
        fence(self.connection, self.route, key)
    }

    fn id_waits(&self, id: &MessageId) -> Result<bool, Failure> {
        let mut select = self.connection.prepare_cached("SELECT 1 FROM waiting WHERE route = ?1 AND id = ?2")?;
        Ok(select.exists((self.route, id.as_bytes().as_slice()))?)
    }

    fn highest(&self, key: &Key) -> Result<Option<Seq>, Failure> {
        highest_waiting(self.connection, self.route, key)
    }
}

/// Removes an attempt mark; `false` if there was none.
pub(super) fn clear_mark(connection: &Connection, route: i64, id: &MessageId) -> Result<bool, Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM marks WHERE route = ?1 AND id = ?2")?;
    Ok(delete.execute((route, id.as_bytes().as_slice()))? > 0)
}

/// Puts a row at the end of the line. It inherits the latest `not_before` of its key, so that it never overtakes a
/// deferred one. Gives its place.
pub(super) fn insert_waiting(
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

fn replayed_of(code: i64) -> Result<Replayed, Failure> {
    match code {
        0 => Ok(Replayed::Never),
        1 => Ok(Replayed::Asked),
        2 => Ok(Replayed::Forced),
        _ => Err(damaged(format!("a waiting row is replayed in a way nobody knows: {code}"))),
    }
}

pub(crate) fn seq(epoch: i64, number: i64) -> Seq {
    Seq { epoch: unsigned(epoch), number: unsigned(number) }
}

pub(super) fn fence(connection: &Connection, route: i64, key: &Key) -> Result<Option<Seq>, Failure> {
    let mut select = connection.prepare_cached("SELECT epoch, number FROM settled WHERE route = ?1 AND key = ?2")?;
    let row = select.query_row((route, key.as_str()), |row| Ok(seq(row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
}

/// Whether exactly this version of the key waits.
pub(crate) fn waits(connection: &Connection, route: i64, key: &Key, seq: Seq) -> Result<bool, Failure> {
    let mut select = connection
        .prepare_cached("SELECT 1 FROM waiting WHERE route = ?1 AND key = ?2 AND epoch = ?3 AND number = ?4")?;
    Ok(select.exists((route, key.as_str(), signed(seq.epoch), signed(seq.number)))?)
}

pub(super) fn highest_waiting(connection: &Connection, route: i64, key: &Key) -> Result<Option<Seq>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT epoch, number FROM waiting WHERE route = ?1 AND key = ?2 ORDER BY epoch DESC, number DESC LIMIT 1",
    )?;
    let row = select.query_row((route, key.as_str()), |row| Ok(seq(row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
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

pub(crate) fn settled(connection: &Connection, route: i64, keys: &[Key]) -> Result<Vec<Option<Settled>>, Failure> {
    let mut select = connection
        .prepare_cached("SELECT epoch, number, id, present, receiver_id FROM settled WHERE route = ?1 AND key = ?2")?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let row = select.query_row((route, key.as_str()), |row| {
            let id: Option<Vec<u8>> = row.get(2)?;
            let fence = Settled {
                seq: seq(row.get(0)?, row.get(1)?),
                id: None,
                present: row.get::<_, i64>(3)? == 1,
                doubt: row.get::<_, i64>(3)? == 2,
                receiver_id: row.get(4)?,
            };
            Ok((fence, id))
        });
        found.push(match row.optional()? {
            Some((fence, id)) => {
                let id = id.map(|id| id.try_into().map(MessageId::from_bytes)).transpose();
                Some(Settled { id: id.map_err(|_| damaged("a stored id has a wrong length"))?, ..fence })
            }
            None => None,
        });
    }
    Ok(found)
}

/// Rows that are due, in line order, up to the one that reaches `bytes`.
pub(super) fn due(
    connection: &Connection,
    route: i64,
    now: Moment,
    limit: usize,
    bytes: usize,
) -> Result<Vec<WaitingRow>, Failure> {
    // Answered from an index alone when nothing is due, which is the usual case of a closed window with a long line.
    let mut any = connection.prepare_cached("SELECT 1 FROM waiting WHERE route = ?1 AND not_before <= ?2 LIMIT 1")?;
    if !any.exists((route, now.0))? {
        return Ok(Vec::new());
    }
    let mut select = connection.prepare_cached(
        "SELECT w.frame, w.attempts, w.reason, w.replayed, l.edits, l.body, w.held_since
         FROM waiting w INDEXED BY waiting_line
              LEFT JOIN letters l ON w.replayed != 0 AND l.route = w.route AND l.message = w.id
         WHERE w.route = ?1 AND w.not_before <= ?2 ORDER BY w.place LIMIT ?3",
    )?;
    let mut rows = select.query((route, now.0, signed(limit as u64)))?;
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
            edited: triage::edited(row.get(4)?, body),
            held_since: row.get::<_, Option<i64>>(6)?.map(Moment),
        });
    }
    Ok(found)
}

pub(super) fn marked(connection: &Connection, route: i64, ids: &[MessageId]) -> Result<Vec<bool>, Failure> {
    let mut select = connection.prepare_cached("SELECT 1 FROM marks WHERE route = ?1 AND id = ?2")?;
    ids.iter().map(|id| Ok(select.exists((route, id.as_bytes().as_slice()))?)).collect()
}
