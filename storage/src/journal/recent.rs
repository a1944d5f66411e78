//! The newest archived messages of a stream: blocks from the last one back.

use bus_core::vocabulary::{ContentHash, Envelope, Moment, Operation, Seq, StreamName};
use rusqlite::Connection;

use super::block;
use crate::failure::Failure;
use crate::names::{self, Kind};
use crate::queue::log::unsigned;

/// Newest first, by the index of places; a block without bodies is passed over.
const NEWEST: &str = "SELECT j.epoch, j.first, j.read_at, j.entries, a.bodies
                      FROM journal j JOIN archive a ON a.block = j.id
                      WHERE j.stream = ?1 ORDER BY j.epoch DESC, j.first DESC";

pub(super) fn newest(connection: &Connection, name: &StreamName, limit: usize) -> Result<Vec<Envelope>, Failure> {
    let Some(stream) = names::find(connection, Kind::Stream, name.as_str())? else { return Ok(Vec::new()) };
    let mut select = connection.prepare_cached(NEWEST)?;
    let mut rows = select.query([stream])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (epoch, first, time) = (unsigned(row.get(0)?), unsigned(row.get(1)?), Moment(row.get(2)?));
        let (entries, bodies) = (block::entries(row.get(3)?)?, block::bodies(&row.get::<_, Vec<u8>>(4)?)?);
        for (slot, (entry, body)) in entries.into_iter().zip(bodies).enumerate().rev() {
            if body.is_empty() && entry.operation == Operation::Upsert {
                continue; // it could not be masked, and was not kept
            }
            if found.len() == limit {
                break;
            }
            found.push(Envelope {
                id: entry.id,
                stream: name.clone(),
                key: entry.key,
                seq: Seq { epoch, number: first + slot as u64 },
                generation: entry.generation,
                operation: entry.operation,
                time,
                label: entry.label,
                hash: ContentHash::of(entry.operation, &body),
                body,
            });
        }
        if found.len() == limit {
            break;
        }
    }
    found.reverse();
    Ok(found)
}

pub(super) fn read_since(connection: &Connection, name: &StreamName, since: Moment) -> Result<u64, Failure> {
    let Some(stream) = names::find(connection, Kind::Stream, name.as_str())? else { return Ok(0) };
    let mut select = connection
        .prepare_cached("SELECT coalesce(sum(last - first + 1), 0) FROM journal WHERE stream = ?1 AND read_at >= ?2")?;
    Ok(unsigned(select.query_row((stream, since.0), |row| row.get(0))?))
}
