//! Outcomes: a fence rises, a letter is kept, a waiting row goes.

use bus_core::ports::state::{Applied, DeadLetter, Settlement};
use bus_core::vocabulary::{Key, MessageId, Operation, Seq};

use super::Route;
use crate::failure::Failure;
use crate::number::signed;
use crate::state::{dead, letters};

impl Route<'_> {
    pub(super) fn settle(
        &mut self,
        key: &Key,
        seq: Seq,
        id: &MessageId,
        outcome: &Settlement,
    ) -> Result<Applied, Failure> {
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
            letters::forget(self.connection, self.route, id)?;
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
    pub(super) fn superseded(&self, key: &Key, upsert: bool) -> Result<Applied, Failure> {
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
}
