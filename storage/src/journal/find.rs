//! Finding objects: by word from the indexes of keys and labels, by time and state by walking over blocks.

use std::collections::HashSet;

use bus_core::ports::story::{Found, Object, Search, State, StateKind, Unreadable};
use bus_core::vocabulary::{Envelope, Key, Moment, RouteName, StreamName};
use rusqlite::{Connection, OptionalExtension, Params};

use super::row::{BLOCK, BY_KEY, BY_LABEL, Block};
use super::story::{self, Message};
use super::write;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::number::{signed, unsigned};

/// Messages that one search looks at, where no index answers it.
const LOOKED_AT: usize = 20_000;
/// Index rows of one word that are followed: one object may have many versions.
const ROWS: i64 = 10_000;
/// Words near an unknown one, on each side.
const NEAR: i64 = 40;

const UNREADABLE_BY_WORD: &str = "SELECT d.id, n.name, d.key, d.label, d.at, d.words
     FROM dead d JOIN names n ON n.id = d.stream
     WHERE d.id IN (SELECT id FROM dead WHERE key = ?1 AND route IS NULL
                    UNION SELECT id FROM dead WHERE label = ?1 AND route IS NULL)
       AND (?2 IS NULL OR n.name = ?2) AND d.at >= ?3 AND d.at < ?4 ORDER BY d.id DESC LIMIT ?5";
const UNREADABLE: &str = "SELECT d.id, n.name, d.key, d.label, d.at, d.words
     FROM dead d JOIN names n ON n.id = d.stream
     WHERE ?1 IS NULL AND d.route IS NULL
       AND (?2 IS NULL OR n.name = ?2) AND d.at >= ?3 AND d.at < ?4 ORDER BY d.id DESC LIMIT ?5";

/// Distinct objects in the order they are found.
struct Objects<'a> {
    search: &'a Search,
    seen: HashSet<(StreamName, Key)>,
    list: Vec<Object>,
    more: bool,
}

impl Objects<'_> {
    /// `false`: there are enough.
    fn add(&mut self, stream: &StreamName, key: &Key, label: Option<&str>) -> bool {
        if self.search.stream.as_ref().is_some_and(|wanted| wanted != stream) {
            return true;
        }
        let name = (stream.clone(), key.clone());
        if self.seen.contains(&name) {
            return true;
        }
        if self.list.len() >= self.search.limit {
            self.more = true;
            return false;
        }
        self.seen.insert(name);
        self.list.push(Object { stream: stream.clone(), key: key.clone(), label: label.map(str::to_owned) });
        true
    }

    fn in_time(&self, at: Moment) -> bool {
        self.search.since.is_none_or(|since| at >= since) && self.search.until.is_none_or(|until| at < until)
    }
}

pub(super) fn find(connection: &Connection, search: &Search) -> Result<Found, Failure> {
    let mut objects = Objects { search, seen: HashSet::new(), list: Vec::new(), more: false };
    match (&search.word, search.state) {
        (Some(word), _) => by_word(connection, word, &mut objects)?,
        (None, Some(StateKind::Waiting)) => waiting(connection, &mut objects)?,
        (None, Some(StateKind::Dead)) => dead(connection, None, &mut objects)?,
        (None, state) => by_time(connection, state, &mut objects)?,
    }
    let unreadable = match (&search.word, search.state) {
        (None, state) if state != Some(StateKind::Dead) => Vec::new(),
        _ => unreadable(connection, search)?,
    };
    let near = match &search.word {
        Some(word) if objects.list.is_empty() && unreadable.is_empty() => near(connection, word)?,
        _ => Vec::new(),
    };
    let since: Option<i64> = connection.query_row("SELECT min(read_at) FROM journal", [], |row| row.get(0))?;
    let lost = connection.query_row("SELECT lost, lost_from, lost_to FROM journal_size WHERE lost > 0", [], |row| {
        let at = |column| Ok::<_, rusqlite::Error>(Moment(row.get::<_, Option<i64>>(column)?.unwrap_or_default()));
        Ok((unsigned(row.get(0)?), at(1)?, at(2)?))
    });
    let (objects, more) = (objects.list, objects.more);
    Ok(Found { objects, unreadable, more, near, since: since.map(Moment), lost: lost.optional()? })
}

/// In the journal first, then in the durable tables, which may know what the journal has forgotten.
fn by_word(connection: &Connection, word: &str, objects: &mut Objects<'_>) -> Result<(), Failure> {
    let mut places: Vec<i64> = Vec::new();
    for (sql, word) in [(BY_KEY, word), (BY_LABEL, write::searched(word))] {
        let mut select = connection.prepare_cached(sql)?;
        let rows = select.query_map((word, ROWS), |row| row.get(0))?;
        places.extend(rows.collect::<Result<Vec<i64>, _>>()?);
    }
    places.sort_unstable_by(|a, b| b.cmp(a));
    let mut open: Option<Block> = None;
    for at in places {
        let (id, slot) = write::place(at);
        if open.as_ref().is_none_or(|block| block.id != id) {
            open = Block::load(connection, id)?;
        }
        let Some((block, entry)) = open.as_ref().and_then(|block| Some((block, block.entries.get(slot)?))) else {
            continue;
        };
        if objects.in_time(block.read_at) && !objects.add(&block.stream_name, &entry.key, entry.label.as_deref()) {
            return Ok(());
        }
    }
    if objects.search.since.is_some() || objects.search.until.is_some() {
        return Ok(());
    }
    dead(connection, Some(word), objects)?;
    let key = Key::from_stored(word);
    for (route, stream) in objects.search.routes.clone() {
        let Some(route) = names::find(connection, Kind::Route, route.as_str())? else { continue };
        let known = "SELECT 1 FROM settled WHERE route = ?1 AND key = ?2
                     UNION ALL SELECT 1 FROM waiting WHERE route = ?1 AND key = ?2 LIMIT 1";
        if connection.prepare_cached(known)?.exists((route, word))? {
            objects.add(&stream, &key, None);
        }
    }
    Ok(())
}

fn frames<P: Params>(connection: &Connection, sql: &str, with: P, objects: &mut Objects<'_>) -> Result<(), Failure> {
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query(with)?;
    while let Some(row) = rows.next()? {
        let envelope = Envelope::from_frame(row.get::<_, Vec<u8>>(0)?.into()).map_err(damaged)?;
        let wanted = objects.in_time(envelope.time);
        if wanted && !objects.add(&envelope.stream, &envelope.key, envelope.label.as_deref()) {
            break;
        }
    }
    Ok(())
}

fn waiting(connection: &Connection, objects: &mut Objects<'_>) -> Result<(), Failure> {
    let rows = signed(LOOKED_AT as u64);
    frames(connection, "SELECT frame FROM waiting ORDER BY place DESC LIMIT ?1", [rows], objects)
}

fn dead(connection: &Connection, word: Option<&str>, objects: &mut Objects<'_>) -> Result<(), Failure> {
    let rows = signed(LOOKED_AT as u64);
    match word {
        None => {
            let sql = "SELECT frame FROM dead WHERE frame IS NOT NULL ORDER BY id DESC LIMIT ?1";
            frames(connection, sql, [rows], objects)
        }
        Some(word) => {
            let sql = "SELECT frame FROM dead WHERE key = ?1 AND frame IS NOT NULL
                       UNION ALL SELECT frame FROM dead WHERE label = ?1 AND frame IS NOT NULL LIMIT ?2";
            frames(connection, sql, (word, rows), objects)
        }
    }
}

/// Rows that nobody could read, the newest first; they are no messages, so the journal knows nothing of them.
fn unreadable(connection: &Connection, search: &Search) -> Result<Vec<Unreadable>, Failure> {
    let sql = match &search.word {
        // Two plain conditions on the word, so that each is answered by its index.
        Some(_) => UNREADABLE_BY_WORD,
        None => UNREADABLE,
    };
    let (since, until) = (search.since.map_or(i64::MIN, |at| at.0), search.until.map_or(i64::MAX, |at| at.0));
    let stream = search.stream.as_ref().map(StreamName::as_str);
    let mut select = connection.prepare_cached(sql)?;
    let mut rows = select.query((search.word.as_deref(), stream, since, until, signed(search.limit as u64)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Unreadable {
            letter: row.get(0)?,
            stream: StreamName::new(&row.get::<_, String>(1)?).map_err(damaged)?,
            key: row.get::<_, Option<String>>(2)?.map(|key| Key::from_stored(&key)),
            label: row.get(3)?,
            at: Moment(row.get(4)?),
            reason: row.get(5)?,
        });
    }
    Ok(found)
}

/// The newest first, up to a bound: only the words have an index.
fn by_time(connection: &Connection, state: Option<StateKind>, objects: &mut Objects<'_>) -> Result<(), Failure> {
    let (since, until) =
        (objects.search.since.map_or(i64::MIN, |at| at.0), objects.search.until.map_or(i64::MAX, |at| at.0));
    let mut select = connection.prepare_cached(&format!(
        "{BLOCK} WHERE j.read_at >= ?1 AND j.read_at < ?2 ORDER BY j.read_at DESC, j.id DESC"
    ))?;
    let mut rows = select.query((since, until))?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        let block = Block::read(row)?;
        if objects.search.stream.as_ref().is_some_and(|wanted| *wanted != block.stream_name) {
            continue;
        }
        let routes: Vec<RouteName> = objects
            .search
            .routes
            .iter()
            .filter(|(_, stream)| *stream == block.stream_name)
            .map(|(route, _)| route.clone())
            .collect();
        for (slot, entry) in block.entries.iter().enumerate().rev() {
            looked_at += 1;
            if looked_at > LOOKED_AT {
                objects.more = true;
                return Ok(());
            }
            let wanted = match state {
                None => true,
                Some(kind) => {
                    let message = Message::of(&block, slot, entry);
                    let routes = story::on_routes(connection, &message, &routes, Moment::now())?;
                    routes.iter().any(|on| State::kind(&on.state) == Some(kind))
                }
            };
            if wanted && !objects.add(&block.stream_name, &entry.key, entry.label.as_deref()) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What stands beside the word in the order of letters, also in the other case: people type `ут-12` for `УТ-12`.
fn near(connection: &Connection, word: &str) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    for spelling in HashSet::from([word.to_owned(), word.to_uppercase(), word.to_lowercase()]) {
        for (table, column) in [("journal_labels", "label"), ("journal_keys", "key")] {
            for (sign, order) in [(">=", ""), ("<", "DESC")] {
                let sql = format!(
                    "SELECT DISTINCT {column} FROM {table} WHERE {column} {sign} ?1 ORDER BY {column} {order} LIMIT ?2"
                );
                let mut select = connection.prepare_cached(&sql)?;
                let rows = select.query_map((&spelling, NEAR), |row| row.get(0))?;
                found.extend(rows.collect::<Result<Vec<String>, _>>()?);
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Database, JournalBounds, SqliteJournal};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn words_are_found_by_their_index() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let bounds = JournalBounds { age: std::time::Duration::from_secs(1), bytes: 1 };
        let _journal = SqliteJournal::open(database.clone(), bounds);
        for (sql, table) in [(BY_LABEL, "journal_labels"), (BY_KEY, "journal_keys")] {
            let plan = database
                .read(move |connection| {
                    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
                    let rows = explain.query_map(("УТ-000123", 10), |row| row.get::<_, String>(3))?;
                    Ok(rows.collect::<Result<Vec<_>, _>>()?.join("; "))
                })
                .await
                .unwrap();
            let column = if sql == BY_KEY { "key" } else { "label" };
            assert_eq!(plan, format!("SEARCH {table} USING PRIMARY KEY ({column}=?)"), "no scan, no sorting");
        }
    }
}
