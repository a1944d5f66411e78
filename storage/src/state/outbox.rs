//! Outboxes of HTTP subscribers: a log per subscription, read by position and trimmed from the front.

use bus_core::ports::state::{Backlog, Page, Taken};
use bus_core::vocabulary::{Envelope, Moment};
use rusqlite::{Connection, OptionalExtension};

use super::positions::{self, Positions};
use crate::failure::{Failure, damaged};
use crate::number::{signed, unsigned};
use crate::queue::log::{position as place, row};

/// The counters of one outbox, in places. `floor`: everything up to there is gone, taken or not; `total`: bytes ever appended.
struct Outbox {
    last: u64,
    floor: u64,
    taken: u64,
    total: i64,
}

impl Outbox {
    /// Dropped behind that place, and behind what was taken.
    fn missed(&self, after: u64) -> u64 {
        self.floor.saturating_sub(after.max(self.taken))
    }
}

fn load(connection: &Connection, id: i64) -> Result<Outbox, Failure> {
    let mut select = connection.prepare_cached("SELECT last, floor, taken, total FROM outboxes WHERE id = ?1")?;
    let found = select.query_row([id], |found| {
        Ok(Outbox {
            last: unsigned(found.get(0)?),
            floor: unsigned(found.get(1)?),
            taken: unsigned(found.get(2)?),
            total: found.get(3)?,
        })
    });
    Ok(found.optional()?.unwrap_or(Outbox { last: 0, floor: 0, taken: 0, total: 0 }))
}

fn store(connection: &Connection, id: i64, outbox: &Outbox) -> Result<(), Failure> {
    let mut upsert = connection.prepare_cached(
        "INSERT INTO outboxes (id, last, floor, taken, total) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (id) DO UPDATE SET last = excluded.last, floor = excluded.floor, taken = excluded.taken,
             total = excluded.total",
    )?;
    let Outbox { last, floor, taken, total } = outbox;
    upsert.execute((id, signed(*last), signed(*floor), signed(*taken), total))?;
    Ok(())
}

/// A queue may bring a message again, also after later ones of other keys (a publish that failed half-way is repeated
/// from its first unconfirmed message): so what is known is kept by key, in the fences, as for a route.
pub(super) fn append(connection: &Connection, id: i64, envelopes: &[Envelope]) -> Result<(), Failure> {
    let mut outbox = load(connection, id)?;
    let mut insert =
        connection.prepare_cached("INSERT INTO outbox (at, time, total, frame) VALUES (?1, ?2, ?3, ?4)")?;
    let mut raise = connection.prepare_cached(
        "INSERT INTO settled (route, key, epoch, number, present) VALUES (?1, ?2, ?3, ?4, 1)
         ON CONFLICT (route, key) DO UPDATE SET epoch = excluded.epoch, number = excluded.number
         WHERE (excluded.epoch, excluded.number) > (epoch, number)",
    )?;
    for envelope in envelopes {
        let (epoch, number) = (signed(envelope.seq.epoch), signed(envelope.seq.number));
        if raise.execute((id, envelope.key.as_str(), epoch, number))? == 0 {
            continue;
        }
        let frame = envelope.to_frame();
        outbox.last += 1;
        outbox.total += signed(frame.len() as u64);
        insert.execute((row(id, outbox.last), envelope.time.0, outbox.total, frame.as_ref()))?;
    }
    store(connection, id, &outbox)
}

pub(super) fn begin(connection: &Connection, id: i64, now: Moment) -> Result<(), Failure> {
    positions::begin(connection, id, load(connection, id)?.last, now)
}

pub(super) fn read(connection: &Connection, id: i64, after: u64, limit: usize, bytes: usize) -> Result<Page, Failure> {
    let (outbox, positions) = (load(connection, id)?, Positions::load(connection, id)?);
    // A subscriber may ask after a position far above any: that is nothing, not another subscription's rows.
    let after = positions.place(after, outbox.last).unwrap_or(outbox.last);
    let mut select =
        connection.prepare_cached("SELECT at, frame FROM outbox WHERE at > ?1 AND at < ?2 ORDER BY at LIMIT ?3")?;
    let mut rows = select.query((row(id, after), row(id + 1, 0), signed(limit as u64)))?;
    let (mut messages, mut read, mut last) = (Vec::new(), 0, outbox.last);
    while read < bytes
        && let Some(next) = rows.next()?
    {
        let frame: Vec<u8> = next.get(1)?;
        read += frame.len();
        last = place(next.get(0)?);
        messages.push((positions.of(last), Envelope::from_frame(frame.into()).map_err(damaged)?));
    }
    Ok(Page { messages, missed: outbox.missed(after), backlog: outbox.last - last })
}

pub(super) fn take(connection: &Connection, id: i64, position: u64) -> Result<Taken, Failure> {
    let (mut outbox, positions) = (load(connection, id)?, Positions::load(connection, id)?);
    let Some(taken) = positions.place(position, outbox.last) else {
        return Ok(Taken::NeverGiven { last: positions.of(outbox.last) });
    };
    if taken > outbox.taken {
        outbox.taken = taken;
        outbox.floor = outbox.floor.max(taken);
        connection
            .prepare_cached("DELETE FROM outbox WHERE at > ?1 AND at <= ?2")?
            .execute((row(id, 0), row(id, taken)))?;
        store(connection, id, &outbox)?;
        positions::forget(connection, id, taken)?;
    }
    Ok(Taken::Yes)
}

/// Gives how many were dropped; nobody had taken them.
pub(super) fn trim(connection: &Connection, id: i64, oldest: Moment, bytes: u64) -> Result<u64, Failure> {
    let mut outbox = load(connection, id)?;
    let least_total = outbox.total - signed(bytes);
    let from = outbox.floor;
    // Walks over what is dropped and the first that stays; frames are not read.
    let mut select = connection.prepare_cached(
        "SELECT at FROM outbox WHERE at > ?1 AND at < ?2 AND time >= ?3 AND total - length(frame) >= ?4
         ORDER BY at LIMIT 1",
    )?;
    let stays =
        select.query_row((row(id, from), row(id + 1, 0), oldest.0, least_total), |found| found.get(0)).optional()?;
    let floor = stays.map_or(outbox.last, |stays| place(stays) - 1);
    if floor > from {
        let mut delete = connection.prepare_cached("DELETE FROM outbox WHERE at > ?1 AND at <= ?2")?;
        delete.execute((row(id, from), row(id, floor)))?;
        outbox.floor = floor;
        store(connection, id, &outbox)?;
    }
    Ok(floor - from)
}

pub(super) fn backlog(connection: &Connection, id: i64) -> Result<Backlog, Failure> {
    let outbox = load(connection, id)?;
    let from = outbox.floor;
    let mut select = connection.prepare_cached(
        "SELECT time, total - length(frame) FROM outbox WHERE at > ?1 AND at < ?2 ORDER BY at LIMIT 1",
    )?;
    let first: Option<(i64, i64)> =
        select.query_row((row(id, from), row(id + 1, 0)), |found| Ok((found.get(0)?, found.get(1)?))).optional()?;
    Ok(Backlog {
        messages: outbox.last - from,
        bytes: first.map_or(0, |(_, before)| unsigned(outbox.total - before)),
        oldest: first.map(|(time, _)| Moment(time)),
        last: Positions::load(connection, id)?.of(outbox.last),
        missed: outbox.missed(0),
    })
}
