//! Dead letters: keeping, listing, replaying, dropping.

use bus_core::engine::crash::{self, Plant};
use bus_core::policy::{fingerprint, pattern};
use bus_core::ports::state::{DeadFilter, DeadLetter, DeadRow, HoldReason, Replay, ReplayMode, Replayed};
use bus_core::vocabulary::{Envelope, Exchange, Key, MessageId, Moment, RouteName, StreamName};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row};

use super::route;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::signed;
use crate::operations::triage;

/// Rows of a list without a limit.
const LISTED: usize = 1000;

/// The open letter of a message on a route.
pub(crate) fn find(connection: &Connection, route: i64, id: &MessageId) -> Result<Option<i64>, Failure> {
    let mut select = connection.prepare_cached("SELECT id FROM dead WHERE route = ?1 AND message = ?2")?;
    Ok(select.query_row((route, id.as_bytes().as_slice()), |row| row.get(0)).optional()?)
}

/// Keeps a letter, and gives its number.
pub(crate) fn insert(connection: &Connection, route: i64, id: &MessageId, letter: &DeadLetter) -> Result<i64, Failure> {
    let envelope = letter.envelope.as_ref();
    let stream = envelope.map(|e| names::intern(connection, Kind::Stream, e.stream.as_str())).transpose()?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO dead (route, stream, key, label, message, at, fault, words, attempts, request, answer, frame,
                           raw, transformed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
    )?;
    Ok(insert.insert(rusqlite::params![
        route,
        stream,
        envelope.map(|envelope| envelope.key.as_str()),
        envelope.and_then(|envelope| envelope.label.as_deref()),
        id.as_bytes().as_slice(),
        letter.at.0,
        letter.fault,
        letter.message,
        letter.attempts,
        letter.exchange.request,
        letter.exchange.answer,
        envelope.map(|envelope| envelope.to_frame().to_vec()),
        letter.raw.as_deref(),
        letter.transformed.as_deref(),
    ])?)
}

/// Newest last; of many, the newest.
pub(crate) fn list(connection: &Connection, filter: &DeadFilter) -> Result<Vec<DeadRow>, Failure> {
    let route = match &filter.route {
        Some(name) => match names::find(connection, Kind::Route, name.as_str())? {
            Some(route) => Some(route),
            None => return Ok(Vec::new()),
        },
        None => None,
    };
    let limit = if filter.limit == 0 { LISTED } else { filter.limit };
    let mut select = connection.prepare_cached(
        "SELECT d.id, r.name, s.name, d.at, d.fault, d.words, d.attempts, d.request, d.answer, d.frame, d.raw,
                d.transformed, d.key, d.label, l.replays, l.edits, l.editor, l.original_frame, l.original_body
         FROM dead d LEFT JOIN names r ON r.id = d.route LEFT JOIN names s ON s.id = d.stream
              LEFT JOIN letters l ON l.route = d.route AND l.message = d.message
         WHERE (?1 IS NULL OR d.id = ?1) AND (?2 IS NULL OR d.route = ?2)
           AND (?3 IS NULL OR d.key = ?3 OR d.label = ?3) AND (?4 IS NULL OR d.id >= ?4) AND (?5 IS NULL OR d.id <= ?5)
           AND (?6 IS NULL OR d.at >= ?6) AND (?7 IS NULL OR d.at < ?7)
         ORDER BY d.id DESC",
    )?;
    let (since, until) = (filter.since.map(|at| at.0), filter.until.map(|at| at.0));
    let mut rows = select.query((filter.id, route, filter.key.as_deref(), filter.from, filter.to, since, until))?;
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        if in_group(row, filter.group.as_deref())? {
            found.push(read(row)?);
        }
    }
    found.reverse();
    Ok(found)
}

/// A group is known by its words, which only the policy can read.
fn in_group(row: &Row<'_>, group: Option<&str>) -> Result<bool, Failure> {
    let Some(group) = group else { return Ok(true) };
    let text = |index: usize| row.get::<_, Option<String>>(index);
    let (route, fault, words) = (text(1)?, row.get::<_, String>(4)?, row.get::<_, String>(5)?);
    let (key, label) = (text(12)?, text(13)?);
    let pattern = pattern(&words, key.as_deref(), label.as_deref());
    Ok(fingerprint(route.as_deref().unwrap_or_default(), &fault, &pattern) == group)
}

fn read(row: &Row<'_>) -> Result<DeadRow, Failure> {
    let (route, stream): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
    let bytes = |index: usize| -> rusqlite::Result<Option<Bytes>> {
        Ok(row.get::<_, Option<Vec<u8>>>(index)?.map(Bytes::from))
    };
    let letter = DeadLetter {
        envelope: bytes(9)?.map(Envelope::from_frame).transpose().map_err(damaged)?,
        raw: bytes(10)?,
        transformed: bytes(11)?,
        exchange: Exchange { request: row.get(7)?, answer: row.get(8)? },
        fault: row.get(4)?,
        message: row.get(5)?,
        attempts: row.get(6)?,
        at: Moment(row.get(3)?),
    };
    Ok(DeadRow {
        id: row.get(0)?,
        route: route.map(|name| RouteName::new(&name)).transpose().map_err(damaged)?,
        stream: stream.map(|name| StreamName::new(&name)).transpose().map_err(damaged)?,
        key: row.get::<_, Option<String>>(12)?.map(|key| Key::from_stored(&key)),
        label: row.get(13)?,
        letter,
        history: triage::history(row, 14)?,
    })
}

/// R10: from dead to waiting in one transaction, refused if something newer was settled or waits.
pub(crate) fn replay(connection: &Connection, id: i64, mode: ReplayMode, now: Moment) -> Result<Replay, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT d.route, n.name, d.frame FROM dead d JOIN names n ON n.id = d.route
         WHERE d.id = ?1 AND d.frame IS NOT NULL",
    )?;
    let found: Option<(i64, String, Vec<u8>)> =
        select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((route, name, frame)) = found else { return Ok(Replay::NotFound) };
    let envelope = Envelope::from_frame(frame.into()).map_err(damaged)?;
    let settled = route::fence(connection, route, &envelope.key)?;
    let waiting = route::highest_waiting(connection, route, &envelope.key)?;
    let mode = if crash::planted(Plant::ReplayOverNewer) { ReplayMode::Forced } else { mode };
    let (obstacle, replayed) = match mode {
        ReplayMode::Careful => (settled.max(waiting), Replayed::Asked),
        ReplayMode::Return => (settled, Replayed::Asked),
        ReplayMode::Forced => (None, Replayed::Forced),
    };
    if let Some(newer) = obstacle.filter(|newer| *newer > envelope.seq) {
        return Ok(Replay::Newer { seq: newer });
    }
    connection.execute("DELETE FROM dead WHERE id = ?1", [id])?;
    triage::replayed(connection, route, &envelope.id)?;
    // D7: a person has decided that it may be sent again.
    route::clear_mark(connection, route, &envelope.id)?;
    requeue(connection, route, &envelope, replayed, now)?;
    let Envelope { stream, key, seq, label, .. } = envelope;
    Ok(Replay::Waiting { route: RouteName::new(&name).map_err(damaged)?, stream, key, seq, label })
}

/// To the end of the line. Newer rows of the key go behind it: within a key the order is by seq.
fn requeue(
    connection: &Connection,
    route: i64,
    envelope: &Envelope,
    replayed: Replayed,
    now: Moment,
) -> Result<(), Failure> {
    let (key, epoch, number) = (envelope.key.as_str(), signed(envelope.seq.epoch), signed(envelope.seq.number));
    // The same version cannot wait beside its own dead letter (D4), but a damaged past must not stop a person.
    connection.execute(
        "DELETE FROM waiting WHERE route = ?1 AND key = ?2 AND epoch = ?3 AND number = ?4",
        (route, key, epoch, number),
    )?;
    let mut place = route::insert_waiting(connection, route, envelope, now, 0, HoldReason::Replay, replayed)?;
    let mut newer = connection.prepare_cached(
        "SELECT place FROM waiting WHERE route = ?1 AND key = ?2 AND (epoch, number) > (?3, ?4)
         ORDER BY epoch, number",
    )?;
    let newer: Vec<i64> = newer.query_map((route, key, epoch, number), |row| row.get(0))?.collect::<Result<_, _>>()?;
    if newer.is_empty() {
        return Ok(());
    }
    for old in newer {
        place += 1;
        connection.execute("UPDATE waiting SET place = ?2 WHERE place = ?1", (old, place))?;
    }
    // An update does not move SQLite's own counter, and a place must not be given twice.
    connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?1) WHERE name = 'waiting'", [place])?;
    Ok(())
}

/// `false` if there is no such letter.
pub(crate) fn drop_dead(connection: &Connection, id: i64) -> Result<bool, Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM dead WHERE id = ?1 RETURNING route, message")?;
    let gone: Option<(Option<i64>, Vec<u8>)> =
        delete.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((route, message)) = gone else { return Ok(false) };
    if let (Some(route), Ok(message)) = (route, message.try_into()) {
        let message = MessageId::from_bytes(message);
        triage::forget(connection, route, &message)?;
        // D7: a repeat meets the fence, which the letter raised to its own place; nobody would ever clear the mark.
        route::clear_mark(connection, route, &message)?;
    }
    Ok(true)
}
