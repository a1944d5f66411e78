//! Fences: what of each key has its outcome, and how far the queue was seen.

use bus_core::ports::state::{Applied, Settled};
use bus_core::vocabulary::{Key, MessageId, Seq};
use rusqlite::{Connection, OptionalExtension};

use super::Route;
use crate::failure::{Failure, damaged};
use crate::number::{signed, unsigned};

impl Route<'_> {
    pub(super) fn fence(&self, key: &Key) -> Result<Option<Seq>, Failure> {
        fence(self.connection, self.route, key)
    }

    pub(super) fn reached(&self, seq: Seq) -> Result<Applied, Failure> {
        let mut upsert = self.connection.prepare_cached(
            "INSERT INTO reached (route, epoch, number) VALUES (?1, ?2, ?3)
             ON CONFLICT (route) DO UPDATE SET epoch = excluded.epoch, number = excluded.number
             WHERE (excluded.epoch, excluded.number) > (epoch, number)",
        )?;
        let raised = upsert.execute((self.route, signed(seq.epoch), signed(seq.number)))? > 0;
        Ok(if raised { Applied::Yes } else { Applied::Ignored })
    }
}

pub(crate) fn seq(epoch: i64, number: i64) -> Seq {
    Seq { epoch: unsigned(epoch), number: unsigned(number) }
}

pub(in crate::state) fn fence(connection: &Connection, route: i64, key: &Key) -> Result<Option<Seq>, Failure> {
    let mut select = connection.prepare_cached("SELECT epoch, number FROM settled WHERE route = ?1 AND key = ?2")?;
    let row = select.query_row((route, key.as_str()), |row| Ok(seq(row.get(0)?, row.get(1)?)));
    Ok(row.optional()?)
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
