//! Dead letters that a person puts back into the line, or gives up for good.

use bus_core::engine::crash::{self, Plant};
use bus_core::ports::state::{HoldReason, Replay, ReplayMode, Replayed};
use bus_core::vocabulary::{Envelope, MessageId, Moment, RouteName};
use rusqlite::{Connection, OptionalExtension};

use super::{letters, route};
use crate::failure::{Failure, damaged};
use crate::number::signed;

/// R10: from dead to waiting in one transaction, refused if something newer was settled or waits.
pub(super) fn replay(connection: &Connection, id: i64, mode: ReplayMode, now: Moment) -> Result<Replay, Failure> {
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
    letters::replayed(connection, route, &envelope.id)?;
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
pub(super) fn drop_dead(connection: &Connection, id: i64) -> Result<bool, Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM dead WHERE id = ?1 RETURNING route, message")?;
    let gone: Option<(Option<i64>, Vec<u8>)> =
        delete.query_row([id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let Some((route, message)) = gone else { return Ok(false) };
    if let (Some(route), Ok(message)) = (route, message.try_into()) {
        let message = MessageId::from_bytes(message);
        letters::forget(connection, route, &message)?;
        // D7: a repeat meets the fence, which the letter raised to its own place; nobody would ever clear the mark.
        route::clear_mark(connection, route, &message)?;
    }
    Ok(true)
}
