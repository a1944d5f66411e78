//! What a subscriber calls the messages of its outbox.
//!
//! An outbox counts its messages from 1, without holes: their places. A subscriber sees positions: the places of one run of the
//! bus are shifted so that they begin above the clock, and above the run before. So a store that is new or was restored
//! does not take a position of its former life for one that it has given itself (docs/adr/0034).

use bus_core::vocabulary::Moment;
use rusqlite::Connection;

use crate::failure::Failure;
use crate::number::{signed, unsigned};

/// Microseconds of a millisecond: no outbox takes as many messages in that time, so that positions stay below the clock.
const MICROS: i64 = 1000;

/// The first place of a run, and the position that it was given as.
#[derive(Clone, Copy)]
struct Run {
    place: u64,
    position: u64,
}

/// The runs of one outbox, oldest first. Before the first one, and without any, a position is the place.
pub(super) struct Positions(Vec<Run>);

impl Positions {
    /// As many as the bus was started since the subscriber last came.
    pub(super) fn load(connection: &Connection, outbox: i64) -> Result<Self, Failure> {
        let mut select =
            connection.prepare_cached("SELECT place, position FROM outbox_runs WHERE outbox = ?1 ORDER BY place")?;
        let rows = select
            .query_map([outbox], |row| Ok(Run { place: unsigned(row.get(0)?), position: unsigned(row.get(1)?) }))?;
        let mut runs: Vec<Run> = rows.collect::<Result<_, _>>()?;
        if runs.is_empty() {
            runs.push(Run { place: 1, position: 1 });
        }
        Ok(Self(runs))
    }

    /// The position of a place; 0 for 0.
    pub(super) fn of(&self, place: u64) -> u64 {
        let run = self.0.iter().rev().find(|run| run.place <= place);
        run.map_or(0, |run| run.position + (place - run.place))
    }

    /// The place that a position means, where `last` is the last one; `None`: it is above all that were given.
    pub(super) fn place(&self, position: u64, last: u64) -> Option<u64> {
        let Some(index) = self.0.iter().rposition(|run| run.position <= position) else { return Some(0) };
        let run = self.0[index];
        let place = run.place.saturating_add(position - run.position);
        match self.0.get(index + 1) {
            Some(next) => Some(place.min(next.place - 1)),
            None => (place <= last).then_some(place),
        }
    }
}

/// A run begins behind the place `last`.
pub(super) fn begin(connection: &Connection, outbox: i64, last: u64, now: Moment) -> Result<(), Failure> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO outbox_runs (outbox, place, position) VALUES (?1, ?2, ?3)
         ON CONFLICT (outbox, place) DO UPDATE SET position = max(position, excluded.position)",
    )?;
    let positions = Positions::load(connection, outbox)?;
    // What was given before there were runs keeps its positions.
    let first = positions.0[0];
    insert.execute((outbox, signed(first.place), signed(first.position)))?;
    let position = now.0.saturating_mul(MICROS).max(signed(positions.of(last) + 1));
    insert.execute((outbox, signed(last + 1), position))?;
    Ok(())
}

/// Everything up to that place was taken: of the runs before the one that gave it nobody asks any more.
pub(super) fn forget(connection: &Connection, outbox: i64, taken: u64) -> Result<(), Failure> {
    let mut delete = connection.prepare_cached(
        "DELETE FROM outbox_runs WHERE outbox = ?1
             AND place < (SELECT max(place) FROM outbox_runs WHERE outbox = ?1 AND place <= ?2)",
    )?;
    delete.execute((outbox, signed(taken)))?;
    Ok(())
}
