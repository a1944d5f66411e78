//! Dead letters: keeping and listing.

use bus_core::policy::{fingerprint, pattern};
use bus_core::ports::state::{DeadFilter, DeadLetter, DeadRow};
use bus_core::vocabulary::{Envelope, Exchange, Key, MessageId, Moment, RouteName, StreamName};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::letters;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::signed;

/// Rows of a list without a limit.
const LISTED: usize = 1000;
/// Bytes of a frame in which its header ends: names, key and label are bounded far below.
const HEAD: usize = 16 * 1024;

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
        "SELECT d.id, r.name, s.name, d.at, d.fault, d.words, d.attempts, iif(?8, NULL, d.request),
                iif(?8, NULL, d.answer), iif(?8, substr(d.frame, 1, ?9), d.frame), iif(?8, NULL, d.raw),
                iif(?8, NULL, d.transformed), d.key, d.label, l.replays, l.edits, l.editor,
                iif(?8, NULL, l.original_frame), iif(?8, NULL, l.original_body)
         FROM dead d LEFT JOIN names r ON r.id = d.route LEFT JOIN names s ON s.id = d.stream
              LEFT JOIN letters l ON l.route = d.route AND l.message = d.message
         WHERE (?1 IS NULL OR d.id = ?1) AND (?2 IS NULL OR d.route = ?2)
           AND (?3 IS NULL OR d.key = ?3 OR d.label = ?3) AND (?4 IS NULL OR d.id >= ?4) AND (?5 IS NULL OR d.id <= ?5)
           AND (?6 IS NULL OR d.at >= ?6) AND (?7 IS NULL OR d.at < ?7)
         ORDER BY d.id DESC",
    )?;
    let (since, until) = (filter.since.map(|at| at.0), filter.until.map(|at| at.0));
    let (brief, head) = (filter.brief, signed(HEAD as u64));
    let key = filter.key.as_deref();
    let mut rows = select.query(params![filter.id, route, key, filter.from, filter.to, since, until, brief, head])?;
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        if in_group(row, filter.group.as_deref())? {
            found.push(read(connection, row, brief)?);
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

/// The envelope of a head, without its body.
fn head(connection: &Connection, id: i64, head: Bytes) -> Result<Envelope, Failure> {
    let envelope = match Envelope::from_frame(head) {
        Ok(envelope) => envelope,
        // An older program sealed labels of any length.
        Err(_) => {
            let mut select = connection.prepare_cached("SELECT frame FROM dead WHERE id = ?1")?;
            let frame: Vec<u8> = select.query_row([id], |row| row.get(0))?;
            Envelope::from_frame(frame.into()).map_err(damaged)?
        }
    };
    Ok(Envelope { body: Bytes::new(), ..envelope })
}

fn read(connection: &Connection, row: &Row<'_>, brief: bool) -> Result<DeadRow, Failure> {
    let (route, stream): (Option<String>, Option<String>) = (row.get(1)?, row.get(2)?);
    let bytes = |index: usize| -> rusqlite::Result<Option<Bytes>> {
        Ok(row.get::<_, Option<Vec<u8>>>(index)?.map(Bytes::from))
    };
    let envelope = match bytes(9)? {
        Some(frame) if brief => Some(head(connection, row.get(0)?, frame)?),
        frame => frame.map(Envelope::from_frame).transpose().map_err(damaged)?,
    };
    let letter = DeadLetter {
        envelope,
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
        history: letters::history(row, 14)?,
    })
}
