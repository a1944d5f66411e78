//! One object's story: the journal's blocks and steps, and what the durable tables say now. These win.

use std::collections::HashMap;
use std::time::Duration;

use bus_core::ports::state::HoldReason;
use bus_core::ports::story::{Fence, OnRoute, PastStep, State, StepKind, Story, StoryOf, Version};
use bus_core::vocabulary::{Envelope, FeedName, Key, MessageId, Moment, RouteName, Seq};
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};

use super::block::{self, Entry};
use super::row::{BY_KEY, Block};
use super::write;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::{signed, unsigned};

/// Index rows of a key that are followed, whatever their stream.
const ROWS: i64 = 20_000;
/// In hand a message stays for `hold`, 600 s at most, and the time of an attempt: later it is settled or in `waiting`.
const IN_HAND: Duration = Duration::from_secs(1200);

/// A message whose place on the routes is looked up.
pub(super) struct Message {
    stream: i64,
    key: Key,
    seq: Seq,
    id: MessageId,
    read_at: Moment,
}

impl Message {
    pub fn of(block: &Block, slot: usize, entry: &Entry) -> Self {
        Self {
            stream: block.stream,
            key: entry.key.clone(),
            seq: Seq { epoch: block.epoch, number: block.first + slot as u64 },
            id: entry.id,
            read_at: block.read_at,
        }
    }
}

pub(super) fn story(connection: &Connection, of: &StoryOf, now: Moment) -> Result<Story, Failure> {
    let mut story = Story { fences: fences(connection, of)?, ..Story::default() };
    let Some(stream) = names::find(connection, Kind::Stream, of.stream.as_str())? else { return Ok(story) };
    let (mut versions, older) = journalled(connection, of, stream)?;
    story.older = older;
    for envelope in elsewhere(connection, of)? {
        if !versions.iter().any(|version| version.seq == envelope.seq) {
            versions.push(unjournalled(&envelope));
        }
    }
    versions.sort_by_key(|version| version.seq);
    for version in &mut versions {
        let message =
            Message { stream, key: of.key.clone(), seq: version.seq, id: version.id, read_at: version.read_at };
        version.routes = on_routes(connection, &message, &of.routes, now)?;
    }
    story.versions = versions;
    Ok(story)
}

/// The newest versions that the journal knows, and whether there are older ones.
fn journalled(connection: &Connection, of: &StoryOf, stream: i64) -> Result<(Vec<Version>, bool), Failure> {
    let places: Vec<i64> = {
        let mut select = connection.prepare_cached(BY_KEY)?;
        select.query_map((of.key.as_str(), ROWS), |row| row.get(0))?.collect::<Result<_, _>>()?
    };
    let (mut versions, mut open) = (Vec::new(), None::<(Block, Vec<Bytes>)>);
    for at in places {
        let (id, slot) = write::place(at);
        if open.as_ref().is_none_or(|(block, _)| block.id != id) {
            open = match Block::load(connection, id)? {
                Some(block) if block.stream == stream => Some((block, archived(connection, id)?)),
                _ => None,
            };
        }
        let Some((block, bodies)) = &open else { continue };
        let outside =
            of.since.is_some_and(|since| block.read_at < since) || of.until.is_some_and(|at| block.read_at >= at);
        let Some(entry) = block.entries.get(slot).filter(|_| !outside) else { continue };
        if versions.len() >= of.versions {
            return Ok((versions, true));
        }
        let feed =
            names::name(connection, block.feed)?.map(|name| FeedName::new(&name)).transpose().map_err(damaged)?;
        versions.push(Version {
            seq: Seq { epoch: block.epoch, number: block.first + slot as u64 },
            id: entry.id,
            generation: entry.generation,
            operation: entry.operation,
            label: entry.label.clone(),
            run: feed.map(|feed| (feed, block.run)),
            read_at: block.read_at,
            published_at: block.published_at,
            body: bodies.get(slot).filter(|body| !body.is_empty()).cloned(),
            routes: Vec::new(),
        });
    }
    Ok((versions, false))
}

fn archived(connection: &Connection, block: i64) -> Result<Vec<Bytes>, Failure> {
    let mut select = connection.prepare_cached("SELECT bodies FROM archive WHERE block = ?1")?;
    let packed: Option<Vec<u8>> = select.query_row([block], |row| row.get(0)).optional()?;
    packed.map_or_else(|| Ok(Vec::new()), |packed| block::bodies(&packed))
}

/// Messages that wait or are dead: they are known even when the journal has forgotten them, or never saw them.
fn elsewhere(connection: &Connection, of: &StoryOf) -> Result<Vec<Envelope>, Failure> {
    let mut found = Vec::new();
    for route in &of.routes {
        let Some(route) = names::find(connection, Kind::Route, route.as_str())? else { continue };
        let mut select = connection.prepare_cached(
            "SELECT frame FROM waiting WHERE route = ?1 AND key = ?2
             UNION ALL SELECT frame FROM dead WHERE route = ?1 AND key = ?2 AND frame IS NOT NULL LIMIT ?3",
        )?;
        let limit = signed(of.versions as u64);
        let mut rows = select.query((route, of.key.as_str(), limit))?;
        while let Some(row) = rows.next()? {
            let envelope = Envelope::from_frame(row.get::<_, Vec<u8>>(0)?.into()).map_err(damaged)?;
            let outside =
                of.since.is_some_and(|since| envelope.time < since) || of.until.is_some_and(|at| envelope.time >= at);
            if !outside && envelope.stream == of.stream {
                found.push(envelope);
            }
        }
    }
    Ok(found)
}

/// Its body is not shown: nobody has masked it.
fn unjournalled(envelope: &Envelope) -> Version {
    Version {
        seq: envelope.seq,
        id: envelope.id,
        generation: envelope.generation,
        operation: envelope.operation,
        label: envelope.label.clone(),
        run: None,
        read_at: envelope.time,
        published_at: None,
        body: None,
        routes: Vec::new(),
    }
}

fn fences(connection: &Connection, of: &StoryOf) -> Result<Vec<(RouteName, Fence)>, Failure> {
    let mut found = Vec::new();
    for name in &of.routes {
        let Some(route) = names::find(connection, Kind::Route, name.as_str())? else { continue };
        let mut select = connection
            .prepare_cached("SELECT epoch, number, present, receiver_id FROM settled WHERE route = ?1 AND key = ?2")?;
        let fence = select.query_row((route, of.key.as_str()), |row| {
            let seq = Seq { epoch: unsigned(row.get(0)?), number: unsigned(row.get(1)?) };
            Ok(Fence { seq, present: row.get(2)?, receiver_id: row.get(3)? })
        });
        found.extend(fence.optional()?.map(|fence| (name.clone(), fence)));
    }
    Ok(found)
}

/// The message on each route that takes its stream, and on each that has left a trace of it.
pub(super) fn on_routes(
    connection: &Connection,
    message: &Message,
    routes: &[RouteName],
    now: Moment,
) -> Result<Vec<OnRoute>, Failure> {
    let mut steps = steps(connection, message)?;
    let mut on_routes = Vec::new();
    for name in routes {
        let route = names::find(connection, Kind::Route, name.as_str())?;
        let steps = route.and_then(|route| steps.remove(&route)).unwrap_or_default();
        let state = match route {
            Some(route) => state(connection, message, route, &steps, now)?,
            None => State::OnItsWay,
        };
        on_routes.push(OnRoute { route: name.clone(), state, steps });
    }
    // Routes that are no longer in the configuration.
    for (route, steps) in steps {
        let Some(name) = names::name(connection, route)? else { continue };
        let state = state(connection, message, route, &steps, now)?;
        on_routes.push(OnRoute { route: RouteName::new(&name).map_err(damaged)?, state, steps });
    }
    Ok(on_routes)
}

fn state(
    connection: &Connection,
    message: &Message,
    route: i64,
    steps: &[PastStep],
    now: Moment,
) -> Result<State, Failure> {
    let (key, epoch, number) = (message.key.as_str(), signed(message.seq.epoch), signed(message.seq.number));
    let mut waiting = connection.prepare_cached(
        "SELECT reason, not_before, attempts, held_for, held_since,
                (SELECT count(*) FROM waiting e WHERE e.route = ?1 AND e.key = ?2 AND (e.epoch, e.number) < (?3, ?4))
         FROM waiting WHERE route = ?1 AND key = ?2 AND epoch = ?3 AND number = ?4",
    )?;
    let row = waiting.query_row((route, key, epoch, number), |row| {
        let reason = HoldReason::parse(row.get_ref(0)?.as_str()?).unwrap_or(HoldReason::Behind);
        let (until, attempts, behind) = (Moment(row.get(1)?), row.get(2)?, unsigned(row.get(5)?));
        let held: Option<(String, Option<i64>)> = row.get::<_, Option<String>>(3)?.zip(Some(row.get(4)?));
        // What it waited for once says nothing when it waits for something else now.
        let own = matches!(reason, HoldReason::Map | HoldReason::Requires);
        let held = held.filter(|_| own).and_then(|(what, since)| Some((what, Moment(since?))));
        Ok(State::Waiting { reason, until, attempts, behind, held })
    });
    if let Some(waiting) = row.optional()? {
        return Ok(waiting);
    }
    let id = message.id.as_bytes().as_slice();
    let mut dead = connection.prepare_cached("SELECT id FROM dead WHERE route = ?1 AND message = ?2")?;
    if let Some(number) = dead.query_row((route, id), |row| row.get(0)).optional()? {
        return Ok(State::Dead(number));
    }
    let mut fence = connection
        .prepare_cached("SELECT (epoch, number) >= (?3, ?4), id IS ?5 FROM settled WHERE route = ?1 AND key = ?2")?;
    let fence = fence.query_row((route, key, epoch, number, id), |row| Ok((row.get(0)?, row.get(1)?)));
    if let Some((true, delivered)) = fence.optional()? {
        return Ok(outcome(steps).unwrap_or(if delivered { State::Delivered } else { State::Settled }));
    }
    let mut reached =
        connection.prepare_cached("SELECT 1 FROM reached WHERE route = ?1 AND (epoch, number) > (?2, ?3)")?;
    let passed = reached.exists((route, epoch, number))?;
    let old = message.read_at.after(IN_HAND) < now;
    Ok(if passed && old && steps.is_empty() { State::NoTrace } else { State::OnItsWay })
}

/// What the journal knows of a message that has had its outcome.
fn outcome(steps: &[PastStep]) -> Option<State> {
    steps.iter().rev().find_map(|step| match step.kind {
        StepKind::Attempt if step.word == "ok" => Some(State::Delivered),
        StepKind::Skipped => Some(State::Skipped(step.word.clone())),
        StepKind::Dead => Some(State::WasDead),
        StepKind::Attempt | StepKind::Held | StepKind::Person => None,
    })
}

fn steps(connection: &Connection, message: &Message) -> Result<HashMap<i64, Vec<PastStep>>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT route, kind, word, since, at, times, took, status, until, message, answer FROM journal_steps
         WHERE stream = ?1 AND epoch = ?2 AND number = ?3 ORDER BY route, step",
    )?;
    let mut rows = select.query((message.stream, signed(message.seq.epoch), signed(message.seq.number)))?;
    let mut steps: HashMap<i64, Vec<PastStep>> = HashMap::new();
    while let Some(row) = rows.next()? {
        let code: i64 = row.get(1)?;
        let kinds = [StepKind::Attempt, StepKind::Skipped, StepKind::Held, StepKind::Dead, StepKind::Person];
        let kind = kinds.into_iter().find(|kind| write::code(*kind) == code);
        let took: Option<i64> = row.get(6)?;
        steps.entry(row.get(0)?).or_default().push(PastStep {
            kind: kind.ok_or_else(|| damaged("a step of the journal is of an unknown kind"))?,
            word: row.get(2)?,
            since: Moment(row.get(3)?),
            at: Moment(row.get(4)?),
            times: unsigned(row.get(5)?),
            took: took.map(|took| Duration::from_millis(unsigned(took))),
            status: row.get(7)?,
            until: row.get::<_, Option<i64>>(8)?.map(Moment),
            message: row.get(9)?,
            answer: row.get(10)?,
        });
    }
    Ok(steps)
}
