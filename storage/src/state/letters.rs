//! The history of a letter, which outlives its way through `waiting`.

use bus_core::ports::triage::{Edited, History};
use bus_core::vocabulary::{Envelope, MessageId};
use bytes::Bytes;
use rusqlite::{Connection, Row};

use crate::failure::{Failure, damaged};

/// A letter is put back into the line once more.
pub(super) fn replayed(connection: &Connection, route: i64, message: &MessageId) -> Result<(), Failure> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO letters (route, message, replays, edits) VALUES (?1, ?2, 1, 0)
         ON CONFLICT (route, message) DO UPDATE SET replays = replays + 1",
    )?;
    upsert.execute((route, message.as_bytes().as_slice()))?;
    Ok(())
}

/// The message is at the receiver, or gone for good: nobody asks any more.
pub(super) fn forget(connection: &Connection, route: i64, message: &MessageId) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM letters WHERE route = ?1 AND message = ?2")?;
    delete.execute((route, message.as_bytes().as_slice()))?;
    Ok(())
}

/// From `edits` and `body` of `letters`, where there is such a row.
pub(super) fn edited(number: Option<u32>, body: Option<Vec<u8>>) -> Option<Edited> {
    let number = number.filter(|number| *number > 0)?;
    Some(Edited { number, body: body.map(Bytes::from) })
}

/// The five columns of `letters` after `replays`, as `dead::list` selects them.
pub(super) fn history(row: &Row<'_>, first: usize) -> Result<History, Failure> {
    let frame: Option<Vec<u8>> = row.get(first + 3)?;
    let envelope = frame.map(|frame| Envelope::from_frame(frame.into())).transpose().map_err(damaged)?;
    Ok(History {
        replays: row.get::<_, Option<u32>>(first)?.unwrap_or(0),
        edits: row.get::<_, Option<u32>>(first + 1)?.unwrap_or(0),
        editor: row.get(first + 2)?,
        original_record: envelope.map(|envelope| envelope.body),
        original_body: row.get::<_, Option<Vec<u8>>>(first + 4)?.map(Bytes::from),
    })
}
