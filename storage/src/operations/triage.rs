//! Groups of dead letters, edits, imports.

use std::collections::HashMap;

use async_trait::async_trait;
use bus_core::policy::{fingerprint, pattern};
use bus_core::ports::state::{DeadLetter, StateError};
use bus_core::ports::triage::{DeadGroup, Edit, Imported, TriageStore};
use bus_core::vocabulary::{ContentHash, Envelope, MessageId, Moment, RouteName};
use rusqlite::{Connection, OptionalExtension};

use crate::SqliteState;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::state::{dead, route};

/// More groups than anybody reads; beyond it a pattern is too fine, and the largest are what matters.
const GROUPS: usize = 1000;

#[async_trait]
impl TriageStore for SqliteState {
    async fn dead_groups(&self, route: Option<&RouteName>) -> Result<Vec<DeadGroup>, StateError> {
        let route = route.cloned();
        self.database().read(move |connection| groups(connection, route.as_ref())).await
    }

    async fn edit_dead(&self, id: i64, edit: &Edit, who: &str) -> Result<Option<u32>, StateError> {
        let (edit, who) = (edit.clone(), who.to_owned());
        let (Edit::Record(bytes) | Edit::Body(bytes)) = &edit;
        self.database().write(bytes.len(), move |connection| self::edit(connection, id, &edit, &who)).await
    }

    async fn import_dead(&self, route: &RouteName, letter: &DeadLetter, who: &str) -> Result<Imported, StateError> {
        let (route, letter, who) = (route.clone(), letter.clone(), who.to_owned());
        let weight = letter.envelope.as_ref().map_or(0, |envelope| envelope.body.len());
        self.database().write(weight, move |connection| import(connection, &route, &letter, &who)).await
    }
}

fn groups(connection: &Connection, route: Option<&RouteName>) -> Result<Vec<DeadGroup>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT d.id, r.name, d.fault, d.words, d.key, d.label, d.at FROM dead d LEFT JOIN names r ON r.id = d.route
         WHERE ?1 IS NULL OR r.name = ?1 ORDER BY d.id",
    )?;
    let mut rows = select.query([route.map(RouteName::as_str)])?;
    let mut found: HashMap<String, DeadGroup> = HashMap::new();
    while let Some(row) = rows.next()? {
        let (example, at) = (row.get(0)?, Moment(row.get(6)?));
        let (name, fault): (Option<String>, String) = (row.get(1)?, row.get(2)?);
        let texts: (String, Option<String>, Option<String>) = (row.get(3)?, row.get(4)?, row.get(5)?);
        let pattern = pattern(&texts.0, texts.1.as_deref(), texts.2.as_deref());
        let id = fingerprint(name.as_deref().unwrap_or_default(), &fault, &pattern);
        if let Some(group) = found.get_mut(&id) {
            (group.count, group.last, group.example) = (group.count + 1, at, example);
            group.example_words = texts.0;
            continue;
        }
        let route = name.map(|name| RouteName::new(&name)).transpose().map_err(damaged)?;
        let group = DeadGroup {
            id: id.clone(),
            route,
            fault,
            pattern,
            count: 1,
            first: at,
            last: at,
            example,
            example_words: texts.0,
        };
        found.insert(id, group);
    }
    let mut groups: Vec<DeadGroup> = found.into_values().collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then(b.example.cmp(&a.example)));
    groups.truncate(GROUPS);
    Ok(groups)
}

fn edit(connection: &Connection, id: i64, edit: &Edit, who: &str) -> Result<Option<u32>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT route, frame, transformed FROM dead WHERE id = ?1 AND route IS NOT NULL AND frame IS NOT NULL",
    )?;
    let found: Option<(i64, Vec<u8>, Option<Vec<u8>>)> =
        select.query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()?;
    let Some((route, frame, transformed)) = found else { return Ok(None) };
    let envelope = Envelope::from_frame(frame.clone().into()).map_err(damaged)?;
    let body = match edit {
        Edit::Record(record) => {
            // Same id, same place in the order: it is this version of the record, put right by a person.
            let hash = ContentHash::of(envelope.operation, record);
            let edited = Envelope { hash, body: record.clone(), ..envelope.clone() };
            let update = "UPDATE dead SET frame = ?2, transformed = NULL WHERE id = ?1";
            connection.execute(update, (id, edited.to_frame().as_ref()))?;
            None
        }
        Edit::Body(body) => {
            connection.execute("UPDATE dead SET transformed = ?2 WHERE id = ?1", (id, body.as_ref()))?;
            Some(body.as_ref())
        }
    };
    let mut upsert = connection.prepare_cached(
        "INSERT INTO letters (route, message, replays, edits, editor, body, original_frame, original_body)
         VALUES (?1, ?2, 0, 1, ?3, ?4, ?5, ?6)
         ON CONFLICT (route, message) DO UPDATE SET edits = edits + 1, editor = excluded.editor, body = excluded.body,
             original_body = CASE WHEN original_frame IS NULL THEN excluded.original_body ELSE original_body END,
             original_frame = coalesce(original_frame, excluded.original_frame)
         RETURNING edits",
    )?;
    let message = envelope.id.as_bytes().as_slice();
    Ok(Some(upsert.query_row((route, message, who, body, frame, transformed), |row| row.get(0))?))
}

fn import(connection: &Connection, name: &RouteName, letter: &DeadLetter, who: &str) -> Result<Imported, Failure> {
    let Some(envelope) = &letter.envelope else { return Ok(Imported::Unknown) };
    let Some(route) = names::find(connection, Kind::Route, name.as_str())? else { return Ok(Imported::Unknown) };
    if let Some(id) = dead::find(connection, route, &envelope.id)? {
        let (frame, transformed): (Vec<u8>, Option<Vec<u8>>) = connection
            .prepare_cached("SELECT frame, transformed FROM dead WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let open = Envelope::from_frame(frame.into()).map_err(damaged)?;
        let change = match &letter.transformed {
            _ if open.body != envelope.body => Edit::Record(envelope.body.clone()),
            Some(body) if transformed.as_deref() != Some(body.as_ref()) => Edit::Body(body.clone()),
            _ => return Ok(Imported::Unchanged),
        };
        edit(connection, id, &change, who)?;
        return Ok(Imported::Edited);
    }
    // A letter's death had raised the fence to its place, and fences only rise. Below that, the message may be under way.
    let fence = route::settled(connection, route, std::slice::from_ref(&envelope.key))?.pop().flatten();
    match fence {
        Some(fence) if fence.id == Some(envelope.id) => return Ok(Imported::Delivered),
        Some(fence) if fence.seq >= envelope.seq => {}
        _ => return Ok(Imported::Unknown),
    }
    if route::waits(connection, route, &envelope.key, envelope.seq)? {
        return Ok(Imported::Unknown);
    }
    dead::insert(connection, route, &envelope.id, letter)?;
    let own = ContentHash::of(envelope.operation, &envelope.body);
    if MessageId::derive(&envelope.stream, &envelope.key, envelope.generation, &own) != envelope.id {
        // It comes back with another record than it was sealed with.
        connection.execute(
            "INSERT INTO letters (route, message, replays, edits, editor) VALUES (?1, ?2, 0, 1, ?3)
             ON CONFLICT (route, message) DO UPDATE SET edits = edits + 1, editor = excluded.editor",
            (route, envelope.id.as_bytes().as_slice(), who),
        )?;
    }
    Ok(Imported::Restored)
}
