//! Archived messages of a stream, from the last block back, and what a route delivered when.

use std::collections::BTreeSet;

use bus_core::ports::source::BatchLimit;
use bus_core::ports::story::StepKind;
use bus_core::vocabulary::{ContentHash, Envelope, Key, Moment, Operation, RouteName, Seq, StreamName};
use rusqlite::{Connection, OptionalExtension};

use super::row::Block;
use super::{block, write};
use crate::failure::Failure;
use crate::names::{self, Kind};
use crate::number::{signed, unsigned};

/// Newest first, by the index of places; a block without bodies is passed over.
const NEWEST: &str = "SELECT j.epoch, j.first, j.read_at, j.entries, a.bodies
                      FROM journal j JOIN archive a ON a.block = j.id
                      WHERE j.stream = ?1 AND (j.epoch, j.first) < (?2, ?3) AND j.read_at >= ?4 AND j.read_at < ?5
                      ORDER BY j.epoch DESC, j.first DESC";

pub(super) fn newest(connection: &Connection, name: &StreamName, limit: usize) -> Result<Vec<Envelope>, Failure> {
    let limit = BatchLimit { records: limit, bytes: usize::MAX };
    let mut found = archived(connection, name, None, None, limit)?;
    found.reverse();
    Ok(found)
}

/// The newest messages below a place, of those read between two moments, the newest first: up to the one that reaches
/// `limit`.
pub(crate) fn archived(
    connection: &Connection,
    name: &StreamName,
    below: Option<Seq>,
    between: Option<(Moment, Moment)>,
    limit: BatchLimit,
) -> Result<Vec<Envelope>, Failure> {
    let Some(stream) = names::find(connection, Kind::Stream, name.as_str())? else { return Ok(Vec::new()) };
    let (epoch, number) = below.map_or((i64::MAX, i64::MAX), |seq| (signed(seq.epoch), signed(seq.number)));
    let mut select = connection.prepare_cached(NEWEST)?;
    let (since, until) = between.unwrap_or((Moment(i64::MIN), Moment(i64::MAX)));
    let mut rows = select.query((stream, epoch, number, since.0, until.0))?;
    let (mut found, mut read) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let (epoch, first, time) = (unsigned(row.get(0)?), unsigned(row.get(1)?), Moment(row.get(2)?));
        let (entries, bodies) = (block::entries(row.get(3)?)?, block::bodies(&row.get::<_, Vec<u8>>(4)?)?);
        for (slot, (entry, body)) in entries.into_iter().zip(bodies).enumerate().rev() {
            let seq = Seq { epoch, number: first + slot as u64 };
            // A record without a body could not be masked, and was not kept.
            let kept = !body.is_empty() || entry.operation == Operation::Delete;
            if !kept || below.is_some_and(|below| seq >= below) {
                continue;
            }
            read += body.len() + entry.key.as_str().len();
            found.push(Envelope {
                id: entry.id,
                stream: name.clone(),
                key: entry.key,
                seq,
                generation: entry.generation,
                operation: entry.operation,
                time,
                label: entry.label,
                hash: ContentHash::of(entry.operation, &body),
                body,
            });
            if found.len() >= limit.records || read >= limit.bytes {
                return Ok(found);
            }
        }
    }
    Ok(found)
}

/// The keys of what a route has delivered in a time, each once; at most `limit`.
pub(crate) fn delivered_between(
    connection: &Connection,
    name: &RouteName,
    (since, until): (Moment, Moment),
    limit: usize,
) -> Result<Vec<Key>, Failure> {
    let Some(route) = names::find(connection, Kind::Route, name.as_str())? else { return Ok(Vec::new()) };
    let mut steps = connection.prepare_cached(
        "SELECT stream, epoch, number FROM journal_steps
         WHERE route = ?1 AND kind = ?2 AND word = 'ok' AND at >= ?3 AND at < ?4",
    )?;
    let mut find = connection.prepare_cached(
        "SELECT id FROM journal WHERE stream = ?1 AND epoch = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1",
    )?;
    let mut rows = steps.query((route, write::code(StepKind::Attempt), since.0, until.0))?;
    let (mut keys, mut open) = (BTreeSet::new(), None::<Block>);
    while let Some(row) = rows.next()? {
        let (stream, epoch, number): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (epoch, number) = (unsigned(epoch), unsigned(number));
        let holds = |block: &Block| {
            let slots = block.first..block.first + block.entries.len() as u64;
            block.stream == stream && block.epoch == epoch && slots.contains(&number)
        };
        if !open.as_ref().is_some_and(holds) {
            let id = find.query_row((stream, signed(epoch), signed(number)), |row| row.get(0)).optional()?;
            open = match id {
                Some(id) => Block::load(connection, id)?.filter(holds),
                None => None,
            };
        }
        // Who it was is known as long as its block is there.
        let Some(block) = &open else { continue };
        keys.extend(block.entries.get((number - block.first) as usize).map(|entry| entry.key.as_str().to_owned()));
        if keys.len() >= limit {
            break;
        }
    }
    Ok(keys.into_iter().map(|key| Key::from_stored(&key)).collect())
}

pub(super) fn read_since(connection: &Connection, name: &StreamName, since: Moment) -> Result<u64, Failure> {
    let Some(stream) = names::find(connection, Kind::Stream, name.as_str())? else { return Ok(0) };
    let mut select = connection
        .prepare_cached("SELECT coalesce(sum(last - first + 1), 0) FROM journal WHERE stream = ?1 AND read_at >= ?2")?;
    Ok(unsigned(select.query_row((stream, since.0), |row| row.get(0))?))
}
