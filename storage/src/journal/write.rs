//! Writing notes, inside a transaction of the writer.

use std::collections::HashMap;

use bus_core::ports::journal::{Step, What};
use bus_core::ports::story::StepKind;
use bus_core::vocabulary::{Moment, Seq, StreamName};
use rusqlite::{Connection, ToSql};

use super::block::Packed;
use super::note::{Lost, Note};
use crate::failure::Failure;
use crate::names::{self, Kind};
use crate::number::signed;

/// Steps of one message on one route. Equal ones in a row are one already; beyond this the last one is overwritten, so
/// that an outage of days with changing errors stays small.
const STEPS: i64 = 64;
/// What a step's row takes beside its texts, about.
const STEP_BYTES: usize = 48;
/// Bits of `at` that hold the place in the block; the block's number is above.
const SLOT_BITS: u32 = 16;
/// Bytes of a label that can be searched by.
const LABEL: usize = 512;

/// Where a message is, as the rows of keys and labels name it.
pub(super) fn at(block: i64, slot: usize) -> i64 {
    (block << SLOT_BITS) | signed(slot as u64)
}

/// Reads [`at`].
pub(super) fn place(at: i64) -> (i64, usize) {
    (at >> SLOT_BITS, usize::try_from(at & ((1 << SLOT_BITS) - 1)).unwrap_or(0))
}

/// A label as far as it is searched by.
pub(super) fn searched(label: &str) -> &str {
    &label[..label.floor_char_boundary(LABEL)]
}

/// The number of a kind of step, as stored.
pub(super) fn code(kind: StepKind) -> i64 {
    match kind {
        StepKind::Attempt => 0,
        StepKind::Skipped => 1,
        StepKind::Held => 2,
        StepKind::Dead => 3,
        StepKind::Person => 4,
    }
}

/// Writes all notes, and gives the journal's size with what they add to it.
pub(super) fn notes(connection: &Connection, notes: &[Note], lost: Lost) -> Result<i64, Failure> {
    if notes.is_empty() && lost.count == 0 {
        return Ok(0);
    }
    let mut writer = Writer { connection, numbers: HashMap::new(), bytes: 0 };
    for note in notes {
        match note {
            Note::Block(packed) => writer.block(packed)?,
            Note::Published { stream, first, last, at } => writer.published(stream, *first, *last, *at)?,
            Note::Step(step) => writer.step(step)?,
        }
    }
    let size = grow(connection, writer.bytes)?;
    if lost.count > 0 {
        let update = "UPDATE journal_size SET lost = lost + ?1, lost_from = coalesce(lost_from, ?2), lost_to = ?3";
        connection.execute(update, (signed(lost.count), lost.from.map(|at| at.0), lost.to.map(|at| at.0)))?;
    }
    Ok(size)
}

/// Adds to the journal's size, or takes from it, and gives what it is then.
pub(super) fn grow(connection: &Connection, bytes: i64) -> Result<i64, Failure> {
    let mut update = connection.prepare_cached("UPDATE journal_size SET bytes = max(0, bytes + ?1) RETURNING bytes")?;
    Ok(update.query_row([bytes], |row| row.get(0))?)
}

/// A step's part of the size, from its texts.
pub(super) fn step_size() -> String {
    format!("{STEP_BYTES} + coalesce(length(message), 0) + coalesce(length(answer), 0)")
}

struct Writer<'a> {
    connection: &'a Connection,
    /// Names of this group of notes: a handful, asked for thousands of times.
    numbers: HashMap<(i64, String), i64>,
    bytes: i64,
}

impl Writer<'_> {
    fn number(&mut self, kind: Kind, name: &str) -> Result<i64, Failure> {
        let known = self.numbers.iter().find(|((of, known), _)| *of == kind as i64 && known == name);
        if let Some((_, number)) = known {
            return Ok(*number);
        }
        let number = names::intern(self.connection, kind, name)?;
        self.numbers.insert((kind as i64, name.to_owned()), number);
        Ok(number)
    }

    /// A batch that is published again after a crash is noted again: the same blocks, which are there already.
    fn block(&mut self, packed: &Packed) -> Result<(), Failure> {
        let run = &packed.run;
        let (Some(first), Some(last)) = (run.envelopes.first(), run.envelopes.last()) else { return Ok(()) };
        let stream = self.number(Kind::Stream, first.stream.as_str())?;
        let feed = self.number(Kind::Feed, run.feed.as_str())?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO journal (stream, epoch, first, last, feed, run, read_at, bytes, entries)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (stream, epoch, first) DO NOTHING",
        )?;
        let new = insert.execute(rusqlite::params![
            stream,
            signed(first.seq.epoch),
            signed(first.seq.number),
            signed(last.seq.number),
            feed,
            signed(run.number),
            first.time.0,
            signed(packed.bytes as u64),
            packed.entries,
        ])? > 0;
        if !new {
            return Ok(());
        }
        let block = self.connection.last_insert_rowid();
        self.bytes += signed(packed.bytes as u64);
        let mut key = self.connection.prepare_cached("INSERT INTO journal_keys (key, at) VALUES (?1, ?2)")?;
        let mut label = self.connection.prepare_cached("INSERT INTO journal_labels (label, at) VALUES (?1, ?2)")?;
        for (slot, envelope) in run.envelopes.iter().enumerate() {
            key.execute((envelope.key.as_str(), at(block, slot)))?;
            // Whoever is labelled with its key is found by it.
            if let Some(text) = envelope.label.as_deref().filter(|label| *label != envelope.key.as_str()) {
                label.execute((searched(text), at(block, slot)))?;
            }
        }
        if let (Some(bodies), Some(age)) = (&packed.bodies, run.archive) {
            let mut insert =
                self.connection.prepare_cached("INSERT INTO archive (block, until, bodies) VALUES (?1, ?2, ?3)")?;
            insert.execute((block, first.time.after(age).0, bodies))?;
        }
        Ok(())
    }

    fn published(&mut self, stream: &StreamName, first: Seq, last: u64, at: Moment) -> Result<(), Failure> {
        let stream = self.number(Kind::Stream, stream.as_str())?;
        let mut update = self.connection.prepare_cached(
            "UPDATE journal SET published_at = ?5
             WHERE stream = ?1 AND epoch = ?2 AND first BETWEEN ?3 AND ?4 AND published_at IS NULL",
        )?;
        update.execute((stream, signed(first.epoch), signed(first.number), signed(last), at.0))?;
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<(), Failure> {
        let row = Row::of(&step.what);
        let (stream, route) =
            (self.number(Kind::Stream, step.stream.as_str())?, self.number(Kind::Route, step.route.as_str())?);
        let place = Place { stream, epoch: signed(step.seq.epoch), number: signed(step.seq.number), route };
        // Most messages are delivered at once and have one step, so there is nothing to look for before it. A message's
        // steps are removed together: where there is no first one, there is none.
        if self.insert(place, 0, &row, step.at)? {
            return Ok(());
        }
        let mut select = self.connection.prepare_cached(
            "SELECT step, kind, word, status FROM journal_steps
             WHERE stream = ?1 AND epoch = ?2 AND number = ?3 AND route = ?4 ORDER BY step DESC LIMIT 1",
        )?;
        let (last, same) = select.query_row((stream, place.epoch, place.number, route), |found| {
            let same = found.get::<_, i64>(1)? == row.kind
                && found.get_ref(2)?.as_str()? == row.word
                && found.get::<_, Option<u16>>(3)? == row.status;
            Ok((found.get::<_, i64>(0)?, same))
        })?;
        if same || last + 1 >= STEPS {
            self.again(place, last, &row, step.at)
        } else {
            self.insert(place, last + 1, &row, step.at).map(|_| ())
        }
    }

    /// `false` if there is such a step.
    fn insert(&mut self, place: Place, step: i64, row: &Row<'_>, at: Moment) -> Result<bool, Failure> {
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO journal_steps (stream, epoch, number, route, step, kind, word, since, at, times, took,
                                        status, until, message, answer)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, 1, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO NOTHING",
        )?;
        let new = insert.execute(&columns(&place, &step, row, &at)[..])? > 0;
        if new {
            let length = |text: Option<&str>| text.map_or(0, |text| text.chars().count());
            self.bytes += signed((STEP_BYTES + length(row.message) + length(row.answer)) as u64);
        }
        Ok(new)
    }

    /// The same once more, or the last of too many: what came of it now stands in its place.
    fn again(&mut self, place: Place, step: i64, row: &Row<'_>, at: Moment) -> Result<(), Failure> {
        let mut update = self.connection.prepare_cached(
            "UPDATE journal_steps SET kind = ?6, word = ?7, at = ?8, times = times + 1, took = ?9, status = ?10,
                 until = ?11, message = ?12, answer = ?13
             WHERE stream = ?1 AND epoch = ?2 AND number = ?3 AND route = ?4 AND step = ?5",
        )?;
        update.execute(&columns(&place, &step, row, &at)[..])?;
        Ok(())
    }
}

/// A message on a route, as the rows of steps name it.
#[derive(Clone, Copy)]
struct Place {
    stream: i64,
    epoch: i64,
    number: i64,
    route: i64,
}

/// A step as its columns.
struct Row<'a> {
    kind: i64,
    word: &'a str,
    took: Option<i64>,
    status: Option<u16>,
    until: Option<i64>,
    message: Option<&'a str>,
    answer: Option<&'a str>,
}

/// A step as the parameters of both its statements.
fn columns<'a>(place: &'a Place, step: &'a i64, row: &'a Row<'_>, at: &'a Moment) -> [&'a dyn ToSql; 13] {
    [
        &place.stream,
        &place.epoch,
        &place.number,
        &place.route,
        step,
        &row.kind,
        &row.word,
        &at.0,
        &row.took,
        &row.status,
        &row.until,
        &row.message,
        &row.answer,
    ]
}

impl<'a> Row<'a> {
    fn of(what: &'a What) -> Self {
        let row = |kind, word| Row {
            kind: code(kind),
            word,
            took: None,
            status: None,
            until: None,
            message: None,
            answer: None,
        };
        match what {
            What::Attempt { took, result, status, message, answer } => Row {
                took: Some(i64::try_from(took.as_millis()).unwrap_or(i64::MAX)),
                status: *status,
                message: Some(message.as_str()).filter(|message| !message.is_empty()),
                answer: answer.as_deref(),
                ..row(StepKind::Attempt, *result)
            },
            What::Skipped(reason) => row(StepKind::Skipped, *reason),
            What::Held { reason, until } => Row { until: Some(until.0), ..row(StepKind::Held, reason.as_str()) },
            What::Dead { fault, message } => Row { message: Some(message), ..row(StepKind::Dead, fault) },
            What::Person { deed, who } => Row { message: Some(who), ..row(StepKind::Person, deed.as_str()) },
        }
    }
}
