//! What a stream would read now: a few records, and what was asked and answered on the way. Changes nothing: no cursor
//! moves, nothing is acknowledged, nothing is marked at the source.

use std::hash::RandomState;
use std::time::Duration;

use bus_config::{Changes, Feed, FeedSource, Landscape, Stream};
use bus_connectors::{Heard, Tape};
use bus_core::policy::{MASKED, Masks, is_sign};
use bus_core::ports::cursors::CursorStore;
use bus_core::ports::permits::Permits;
use bus_core::ports::recent::Recent;
use bus_core::ports::source::{BatchLimit, Source, SourceError};
use bus_core::vocabulary::{Cursor, Operation, Record};
use bus_storage::{Database, SqliteJournal, SqliteState};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::wire::{joins, source};

/// A base of 1C takes half a minute to wake up, and as long for its `$metadata` and for a virtual table.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// Records of other streams of the same feed that are passed by.
const LOOKED: usize = 1000;
/// Of all records together.
const BYTES: usize = 4 * 1024 * 1024;
/// Records of one look; what a command may ask for.
const MOST: usize = 100;

/// What is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    pub records: usize,
    /// Not from where the feed stands.
    pub begin: bool,
    /// What was asked and answered, too.
    pub raw: bool,
}

/// What a stream would read.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Preview {
    pub stream: String,
    /// From where, in words.
    pub from: String,
    pub records: Vec<Seen>,
    /// Why rows could not be read, each.
    pub unreadable: Vec<String>,
    pub raw: Vec<Heard>,
    /// Worth knowing.
    pub notes: Vec<String>,
}

/// One record, as it would be published.
#[derive(Debug, Serialize, Deserialize)]
pub struct Seen {
    pub key: String,
    pub label: Option<String>,
    pub operation: String,
    pub body: Value,
}

/// Why there is no preview.
#[derive(Debug)]
pub enum Failure {
    /// No such stream.
    Unknown(String),
    /// The source, or the state store.
    Source(String),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error.message)
    }
}

/// The feed that reads a stream, and the stream; the error names the streams that there are.
pub fn feed_of<'a>(landscape: &'a Landscape, name: &str) -> Result<(&'a Feed, &'a Stream), String> {
    let stream = landscape.streams.iter().find(|stream| stream.name.as_str() == name);
    let found = stream.and_then(|stream| {
        let feed = landscape.feeds.iter().find(|feed| feed.streams.contains(&stream.name))?;
        Some((feed, stream))
    });
    found.ok_or_else(|| {
        let names: Vec<&str> = landscape.streams.iter().map(|stream| stream.name.as_str()).collect();
        format!("there is no stream {name:?}; there are {}", names.join(", "))
    })
}

/// Looks. `database` is the state store, where there is one yet. Ends within [`PATIENCE`].
pub async fn preview(
    landscape: &Landscape,
    database: Option<&Database>,
    name: &str,
    wanted: &Wanted,
    permits: &Permits,
) -> Result<Preview, Failure> {
    let (feed, stream) = feed_of(landscape, name).map_err(Failure::Unknown)?;
    let look = async {
        match &feed.source {
            FeedSource::Push { path, .. } => pushed(database, stream, path, wanted).await,
            FeedSource::Join(join) => {
                let Some(database) = database else {
                    return Err(Failure::Source(
                        "it is put together in the state store, and there is none yet".to_owned(),
                    ));
                };
                read(joins::source(landscape, database, join), Some(database), feed, stream, wanted, permits).await
            }
            FeedSource::Query { .. } | FeedSource::Odata { .. } => {
                let tape = Tape::default();
                let reader = source::looked_at(landscape, feed, stream, tape.clone())
                    .map_err(|error| Failure::Source(format!("{error:#}")))?;
                let mut preview = read(reader, database, feed, stream, wanted, permits).await;
                if let (Ok(preview), true) = (&mut preview, wanted.raw) {
                    preview.raw = tape.heard();
                }
                // What it said instead is the most useful of all.
                if let (Err(Failure::Source(why)), true, true) = (&mut preview, wanted.raw, stream.mask.is_empty()) {
                    why.extend(tape.heard().last().map(|heard| format!("\n{}\n\n{}", heard.request, heard.answer)));
                }
                preview
            }
        }
    };
    let mut preview = match tokio::time::timeout(PATIENCE, look).await {
        Ok(preview) => preview?,
        Err(_) => return Err(Failure::Source(format!("no answer within {} s", PATIENCE.as_secs()))),
    };
    name.clone_into(&mut preview.stream);
    if wanted.raw && preview.raw.is_empty() {
        preview.notes.push("nothing goes over a wire for this stream".to_owned());
    }
    if !stream.mask.is_empty() && !preview.raw.is_empty() {
        preview.raw.iter_mut().for_each(|heard| heard.answer = MASKED.to_owned());
        preview.notes.push("answers are left out: the stream masks fields, and an answer would show them".to_owned());
    }
    Ok(preview)
}

/// Nothing is asked of who pushes; what came last is in the archive, if there is one.
async fn pushed(database: Option<&Database>, stream: &Stream, path: &str, wanted: &Wanted) -> Result<Preview, Failure> {
    let from = format!("it is pushed to {path}: there is nothing to read");
    let mut preview = Preview { from, ..Preview::default() };
    let (Some(database), Some(_)) = (database, stream.archive) else {
        preview.notes.push(format!("nothing is archived of it: archive = \"30d\" in [streams.{}]", stream.name));
        return Ok(preview);
    };
    preview.notes.push("these came last, as the archive keeps them".to_owned());
    let newest = SqliteJournal::readonly(database.clone()).newest(&stream.name, wanted.records.min(MOST)).await;
    for envelope in newest.map_err(|error| Failure::Source(error.to_string()))? {
        let label = envelope.label.clone();
        preview.records.extend(seen(stream, envelope.key.as_str(), label, envelope.operation, &envelope.body));
    }
    Ok(preview)
}

/// The next records, or the first ones.
async fn read(
    mut reader: Box<dyn Source>,
    database: Option<&Database>,
    feed: &Feed,
    stream: &Stream,
    wanted: &Wanted,
    permits: &Permits,
) -> Result<Preview, Failure> {
    let limit = BatchLimit { records: wanted.records.clamp(1, MOST), bytes: BYTES };
    let mut preview = Preview::default();
    let position = if wanted.begin { None } else { position(database, feed).await? };
    if is_planned(feed) {
        preview.notes.push(
            "the exchange plan itself is not asked, because it marks what it gives: these are the first records of the \
             object, as a first load reads them"
                .to_owned(),
        );
    }
    match position {
        Some(position) => {
            let batch = reader.fetch(Some(&position), limit, permits).await?;
            preview.from = format!("behind the position {}", position.as_str());
            preview.take(stream, batch.records, limit.records);
            preview.unreadable.extend(batch.unreadable.into_iter().map(|row| row.reason));
            if preview.records.is_empty() {
                preview.notes.push("nothing is new there; --begin shows the first records".to_owned());
            }
        }
        None => {
            "from the beginning".clone_into(&mut preview.from);
            let (mut restart, mut passed) = (true, 0);
            loop {
                let page = reader.scan(restart, limit, permits).await?;
                restart = false;
                passed += page.records.len() + page.unreadable.len();
                preview.take(stream, page.records, limit.records);
                preview.unreadable.extend(page.unreadable.into_iter().map(|row| row.reason));
                preview.unreadable.truncate(limit.records);
                if page.complete || preview.records.len() >= limit.records || passed >= LOOKED {
                    break;
                }
            }
            if preview.records.is_empty() {
                preview.notes.push(format!("no record of it among the {passed} that were looked at"));
            }
        }
    }
    Ok(preview)
}

fn is_planned(feed: &Feed) -> bool {
    matches!(&feed.source, FeedSource::Odata { changes: Changes::Plan { .. }, .. })
}

/// Where the feed stands, if it reads on from there.
async fn position(database: Option<&Database>, feed: &Feed) -> Result<Option<Cursor>, Failure> {
    let goes_on = match &feed.source {
        FeedSource::Query { changes, .. } | FeedSource::Odata { changes, .. } => {
            matches!(changes, Changes::Cursor { .. })
        }
        FeedSource::Join(_) => true,
        FeedSource::Push { .. } => false,
    };
    let Some(database) = database.filter(|_| goes_on) else { return Ok(None) };
    let standings = SqliteState::new(database.clone()).standings().await;
    let standings = standings.map_err(|error| Failure::Source(error.to_string()))?;
    Ok(standings.into_iter().find(|standing| standing.feed == feed.name).and_then(|standing| standing.cursor))
}

impl Preview {
    /// Those of the stream, up to so many.
    fn take(&mut self, stream: &Stream, records: Vec<Record>, most: usize) {
        for record in records.into_iter().filter(|record| record.stream == stream.name) {
            if self.records.len() < most {
                self.records.extend(seen(stream, record.key.as_str(), record.label, record.operation, &record.body));
            }
        }
    }
}

/// A record with its masked fields hidden; none that is no JSON, because nobody could say what it holds.
fn seen(stream: &Stream, key: &str, label: Option<String>, operation: Operation, body: &[u8]) -> Option<Seen> {
    let masks = Masks::new(stream.mask.clone());
    let mut body = match masks.is_empty() {
        true => serde_json::from_slice(body).ok()?,
        false => serde_json::from_slice(&masks.body(body, key, &RandomState::new())?).ok()?,
    };
    unsigned(&mut body);
    Some(Seen { key: key.to_owned(), label, operation: operation.as_str().to_owned(), body })
}

/// A sign says nothing to a person.
fn unsigned(value: &mut Value) {
    match value {
        Value::String(text) if is_sign(text) => MASKED.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(unsigned),
        Value::Object(fields) => fields.values_mut().for_each(unsigned),
        _ => {}
    }
}
