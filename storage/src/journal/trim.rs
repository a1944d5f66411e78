//! Trimming: what is too old, and the oldest over the bytes, goes in small steps beside other writes.

use bus_core::vocabulary::Moment;
use rusqlite::{Connection, OptionalExtension};

use super::write;
use super::{JournalBounds, block};
use crate::failure::Failure;
use crate::number::signed;

/// Blocks that one transaction removes: about 10 ms of other people's waiting.
const BLOCKS: usize = 4;
/// Archived blocks that one transaction removes; they have no rows of their own.
const ARCHIVED: i64 = 64;

/// The oldest block.
struct Oldest {
    id: i64,
    stream: i64,
    epoch: i64,
    last: i64,
    read_at: i64,
    bytes: i64,
    entries: Vec<u8>,
}

/// Removes a little; `true` if there is more to remove.
pub(super) fn step(connection: &Connection, bounds: JournalBounds, now: Moment) -> Result<bool, Failure> {
    let mut more = expire(connection, now)?;
    let least = now.0 - i64::try_from(bounds.age.as_millis()).unwrap_or(i64::MAX).min(now.0);
    for _ in 0..BLOCKS {
        let size: i64 = connection.prepare_cached("SELECT bytes FROM journal_size")?.query_row([], |row| row.get(0))?;
        let Some(oldest) = oldest(connection)? else { return Ok(more) };
        if oldest.read_at >= least && size <= signed(bounds.bytes) {
            return Ok(more);
        }
        remove(connection, &oldest)?;
        more = true;
    }
    Ok(more)
}

/// Bodies whose time is over; the block stays, and no longer counts them.
fn expire(connection: &Connection, now: Moment) -> Result<bool, Failure> {
    let mut select = connection
        .prepare_cached("SELECT block, length(bodies) FROM archive WHERE until <= ?1 ORDER BY until LIMIT ?2")?;
    let expired = select.query_map((now.0, ARCHIVED), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let expired: Vec<(i64, i64)> = expired.collect::<Result<_, _>>()?;
    for (block, bytes) in &expired {
        connection.prepare_cached("DELETE FROM archive WHERE block = ?1")?.execute([block])?;
        connection.prepare_cached("UPDATE journal SET bytes = bytes - ?2 WHERE id = ?1")?.execute((block, bytes))?;
        write::grow(connection, -bytes)?;
    }
    Ok(signed(expired.len() as u64) == ARCHIVED)
}

fn oldest(connection: &Connection) -> Result<Option<Oldest>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT id, stream, epoch, last, read_at, bytes, entries FROM journal ORDER BY read_at LIMIT 1",
    )?;
    let found = select.query_row([], |row| {
        Ok(Oldest {
            id: row.get(0)?,
            stream: row.get(1)?,
            epoch: row.get(2)?,
            last: row.get(3)?,
            read_at: row.get(4)?,
            bytes: row.get(5)?,
            entries: row.get(6)?,
        })
    });
    Ok(found.optional()?)
}

/// With all steps of its messages and of older ones: those of a message that outlived its block go with the next one.
fn remove(connection: &Connection, oldest: &Oldest) -> Result<(), Failure> {
    let mut key = connection.prepare_cached("DELETE FROM journal_keys WHERE key = ?1 AND at = ?2")?;
    let mut label = connection.prepare_cached("DELETE FROM journal_labels WHERE label = ?1 AND at = ?2")?;
    for (slot, entry) in block::entries(oldest.entries.clone())?.iter().enumerate() {
        key.execute((entry.key.as_str(), write::at(oldest.id, slot)))?;
        if let Some(text) = &entry.label {
            label.execute((write::searched(text), write::at(oldest.id, slot)))?;
        }
    }
    let past = "stream = ?1 AND (epoch, number) <= (?2, ?3)";
    let sum = format!("SELECT coalesce(sum({}), 0) FROM journal_steps WHERE {past}", write::step_size());
    let place = (oldest.stream, oldest.epoch, oldest.last);
    let steps: i64 = connection.prepare_cached(&sum)?.query_row(place, |row| row.get(0))?;
    connection.prepare_cached(&format!("DELETE FROM journal_steps WHERE {past}"))?.execute(place)?;
    connection.prepare_cached("DELETE FROM archive WHERE block = ?1")?.execute([oldest.id])?;
    connection.prepare_cached("DELETE FROM journal WHERE id = ?1")?.execute([oldest.id])?;
    write::grow(connection, -(oldest.bytes + steps))?;
    Ok(())
}
