//! Capture's side: epochs, cursors, sealed batches, and what was last published of each key.

use bus_core::ports::state::{FeedState, Published, SealedBatch, StateError};
use bus_core::vocabulary::{ContentHash, Cursor, Envelope, Key, Moment, Operation, UnreadableRecord};
use rusqlite::{Connection, OptionalExtension};

use super::sealed;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::{signed, unsigned};

/// R3: the epoch rises before the cursor is loaded, in one transaction, so a predecessor that still runs can move
/// nothing from here on. R15: above that of every other feed, which may have had one of its streams before, and above the
/// clock, because a store that was lost and is new, or older, knows of no epoch that queues and receivers know.
pub(super) fn open(connection: &Connection, feed: i64, now: Moment) -> Result<FeedState, Failure> {
    let mut raise = connection.prepare_cached(
        "INSERT INTO feeds (id, epoch) VALUES (?1, max(?2, 1 + coalesce((SELECT max(epoch) FROM feeds), 0)))
         ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch RETURNING epoch, cursor, sealed",
    )?;
    let (epoch, cursor, blob): (i64, Option<String>, Option<Vec<u8>>) =
        raise.query_row((feed, now.0), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    let sealed = blob.map(sealed::decode).transpose()?;
    Ok(FeedState { epoch: unsigned(epoch), cursor: cursor.map(Cursor::new), sealed })
}

/// R3, R4: the compare of every compare-and-swap.
fn compare(connection: &Connection, feed: i64, epoch: u64, expected: Option<&Cursor>) -> Result<(), Failure> {
    let mut select = connection.prepare_cached("SELECT epoch, cursor FROM feeds WHERE id = ?1")?;
    let found: Option<(i64, Option<String>)> =
        select.query_row([feed], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((current, cursor)) = found else { return Err(StateError::Fenced.into()) };
    if unsigned(current) != epoch {
        return Err(StateError::Fenced.into());
    }
    if cursor.as_deref() != expected.map(Cursor::as_str) {
        return Err(StateError::CursorMoved.into());
    }
    Ok(())
}

/// R1. An open batch is never replaced by another one: it may be published in part (R2), so who wants to has lost
/// track, and opens the feed again.
pub(super) fn seal(connection: &Connection, feed: i64, epoch: u64, batch: &SealedBatch) -> Result<(), Failure> {
    compare(connection, feed, epoch, batch.expected.as_ref())?;
    let blob = sealed::encode(batch);
    let mut update =
        connection.prepare_cached("UPDATE feeds SET sealed = ?2 WHERE id = ?1 AND (sealed IS NULL OR sealed = ?2)")?;
    match update.execute((feed, blob))? {
        0 => Err(StateError::Fenced.into()),
        _ => Ok(()),
    }
}

/// R2: what is sealed is finished before anything else is published.
pub(crate) fn none_sealed(connection: &Connection, feed: i64) -> Result<(), Failure> {
    let mut select = connection.prepare_cached("SELECT 1 FROM feeds WHERE id = ?1 AND sealed IS NOT NULL")?;
    if select.exists([feed])? { Err(StateError::Fenced.into()) } else { Ok(()) }
}

/// Cursor, last-published and the end of the sealed batch in one transaction.
pub(crate) fn advance(connection: &Connection, feed: i64, epoch: u64, batch: &SealedBatch) -> Result<(), Failure> {
    compare(connection, feed, epoch, batch.expected.as_ref())?;
    let mut update = connection.prepare_cached("UPDATE feeds SET cursor = ?2, sealed = NULL WHERE id = ?1")?;
    update.execute((feed, batch.next.as_ref().map(Cursor::as_str)))?;
    remember(connection, &batch.envelopes, |envelope| {
        (*envelope.hash.as_bytes(), envelope.operation == Operation::Delete)
    })
}

/// R14: nobody knows how much of a sealed batch was published. Each of its keys is taken for published, and for there, in a
/// form that no record has: whatever is read of it next is a change, and what is not there any more is found missing.
pub(crate) fn give_up(connection: &Connection, sealed: Vec<u8>) -> Result<u64, Failure> {
    let batch = sealed::decode(sealed)?;
    remember(connection, &batch.envelopes, |_| ([0; 32], false))?;
    Ok(batch.envelopes.len() as u64)
}

/// What was last published of each key: its content, and whether that was a deletion, as `what` says. A feed that lost a
/// stream to another one may still finish a batch of it: by then that one may have published something newer (R15).
fn remember(
    connection: &Connection,
    envelopes: &[Envelope],
    what: impl Fn(&Envelope) -> ([u8; 32], bool),
) -> Result<(), Failure> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO published (stream, key, generation, hash, deleted, epoch, number)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (stream, key) DO UPDATE SET
             generation = excluded.generation, hash = excluded.hash, deleted = excluded.deleted,
             epoch = excluded.epoch, number = excluded.number
         WHERE (excluded.epoch, excluded.number) >= (epoch, number)",
    )?;
    let mut last = None;
    for envelope in envelopes {
        let stream = match &last {
            Some((name, id)) if *name == &envelope.stream => *id,
            _ => names::intern(connection, Kind::Stream, envelope.stream.as_str())?,
        };
        last = Some((&envelope.stream, stream));
        let (hash, deleted) = what(envelope);
        let (epoch, number) = (signed(envelope.seq.epoch), signed(envelope.seq.number));
        let generation = signed(envelope.generation);
        upsert.execute((stream, envelope.key.as_str(), generation, hash.as_slice(), deleted, epoch, number))?;
    }
    Ok(())
}

pub(super) fn published(connection: &Connection, stream: i64, keys: &[Key]) -> Result<Vec<Option<Published>>, Failure> {
    let mut select =
        connection.prepare_cached("SELECT generation, hash, deleted FROM published WHERE stream = ?1 AND key = ?2")?;
    let mut found = Vec::with_capacity(keys.len());
    for key in keys {
        let row = select.query_row((stream, key.as_str()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        let row: Option<(i64, Vec<u8>, bool)> = row.optional()?;
        found.push(match row {
            Some((generation, hash, deleted)) => {
                let hash = hash.try_into().map_err(|_| damaged("a stored hash has a wrong length"))?;
                Some(Published { generation: unsigned(generation), hash: ContentHash::from_bytes(hash), deleted })
            }
            None => None,
        });
    }
    Ok(found)
}

/// The row's own hash is its identity: a source that shows the same broken row every round fills nothing.
pub(super) fn keep_unreadable(connection: &Connection, rows: &[UnreadableRecord], now: i64) -> Result<(), Failure> {
    // A conflict would take a number of its own each time, and people know dead letters by their numbers.
    let mut insert = connection.prepare_cached(
        "INSERT INTO dead (stream, message, at, fault, words, attempts, raw, key, label)
         SELECT ?1, ?2, ?3, 'unreadable', ?4, 0, ?5, ?6, ?7
         WHERE NOT EXISTS (SELECT 1 FROM dead WHERE stream = ?1 AND message = ?2 AND route IS NULL)",
    )?;
    for row in rows {
        let stream = names::intern(connection, Kind::Stream, row.stream.as_str())?;
        let identity = ContentHash::of(Operation::Upsert, &row.raw);
        let (key, label) = (row.key.as_ref().map(Key::as_str), row.label.as_deref());
        insert.execute((stream, identity.as_bytes().as_slice(), now, &row.reason, row.raw.as_ref(), key, label))?;
    }
    Ok(())
}
