//! The log's SQL: one row per message however many queues, positions contiguous per stream.

use bus_core::ports::broker::Keep;
use bus_core::vocabulary::Moment;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use crate::failure::Failure;
use crate::number::{signed, unsigned};
use crate::schema::POSITION_BITS;

/// Rows one lookup reads, and bytes after which it stops.
const READ_ROWS: i64 = 256;
const READ_BYTES: usize = 2 * 1024 * 1024;

/// The rowid of a position.
pub(crate) fn row(owner: i64, position: u64) -> i64 {
    (owner << POSITION_BITS) | signed(position)
}

/// The position of a rowid.
pub(crate) fn position(row: i64) -> u64 {
    unsigned(row & ((1 << POSITION_BITS) - 1))
}

/// The last row of an owner: its position, and the bytes ever appended up to and including it.
fn last(connection: &Connection, stream: i64) -> Result<Option<(u64, i64)>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT at, total FROM log WHERE at BETWEEN ?1 AND ?2 ORDER BY at DESC LIMIT 1")?;
    let found = select
        .query_row((row(stream, 0), row(stream + 1, 0) - 1), |found| Ok((position(found.get(0)?), found.get(1)?)));
    Ok(found.optional()?)
}

/// The first position of an owner that has rows.
pub(crate) fn first(connection: &Connection, stream: i64) -> Result<Option<u64>, Failure> {
    let mut select = connection.prepare_cached("SELECT min(at) FROM log WHERE at BETWEEN ?1 AND ?2")?;
    let found: Option<i64> = select.query_row((row(stream, 0), row(stream + 1, 0) - 1), |found| found.get(0))?;
    Ok(found.map(position))
}

/// The last position given, where `known` is the last durable one: an empty log does not start again at 1.
pub(crate) fn end(connection: &Connection, stream: i64, known: u64) -> Result<u64, Failure> {
    Ok(last(connection, stream)?.map_or(known, |(position, _)| position.max(known)))
}

/// Appends, and gives the first position.
pub(crate) fn append(connection: &Connection, stream: i64, known: u64, frames: &[Bytes]) -> Result<u64, Failure> {
    let (end, mut total) = last(connection, stream)?.unwrap_or((known, 0));
    let (first, now) = (end.max(known) + 1, Moment::now().0);
    let mut insert = connection.prepare_cached("INSERT INTO log (at, time, total, frame) VALUES (?1, ?2, ?3, ?4)")?;
    for (position, frame) in (first..).zip(frames) {
        total += signed(frame.len() as u64);
        insert.execute((row(stream, position), now, total, frame.as_ref()))?;
    }
    Ok(first)
}

/// Rows from a position on, in order.
pub(crate) fn read(connection: &Connection, stream: i64, from: u64, to: u64) -> Result<Vec<(u64, Bytes)>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT at, frame FROM log WHERE at BETWEEN ?1 AND ?2 ORDER BY at LIMIT ?3")?;
    let mut rows = select.query((row(stream, from), row(stream, to), READ_ROWS))?;
    let (mut found, mut bytes) = (Vec::new(), 0);
    while bytes < READ_BYTES
        && let Some(next) = rows.next()?
    {
        let frame = Bytes::from(next.get::<_, Vec<u8>>(1)?);
        bytes += frame.len();
        found.push((position(next.get(0)?), frame));
    }
    Ok(found)
}

/// Deletes the positions after `from` up to `to`.
pub(crate) fn delete(connection: &Connection, stream: i64, from: u64, to: u64) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM log WHERE at > ?1 AND at <= ?2")?;
    delete.execute((row(stream, from), row(stream, to)))?;
    Ok(())
}

/// Up to which position a bounded queue has to forget, if any: what is too old, and the oldest over the bytes. The
/// newest message always stays, however large.
pub(crate) fn over_bound(
    connection: &Connection,
    stream: i64,
    floor: u64,
    keep: Keep,
    now: Moment,
) -> Result<Option<u64>, Failure> {
    let Some((end, total)) = last(connection, stream)? else { return Ok(None) };
    let least_total = total - signed(keep.bytes);
    let least_time = now.0 - i64::try_from(keep.age.as_millis()).unwrap_or(i64::MAX).min(now.0);
    // Walks only over rows that are dropped and the first that stays; frames are not read, only their lengths.
    let mut select = connection.prepare_cached(
        "SELECT at FROM log WHERE at > ?1 AND at <= ?2 AND total - length(frame) >= ?3 AND time >= ?4
         ORDER BY at LIMIT 1",
    )?;
    let stays = select
        .query_row((row(stream, floor), row(stream, end), least_total, least_time), |found| found.get(0))
        .optional()?;
    let cut = stays.map_or(end, position).min(end) - 1;
    Ok((cut > floor).then_some(cut))
}
