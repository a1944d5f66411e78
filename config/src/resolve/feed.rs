//! Feeds: what reads or is pushed to. A stream of its own has one by its own name; `[feeds.NAME]` serves several.

use bus_core::policy::select::Select;
use bus_core::vocabulary::{FeedName, StreamName, SystemName};
use bus_options::{Definitions, Entry, Report, codes};

use super::odata;
use super::reading::{self, Reading, guarded};
use super::system::{dialect, system};
use crate::landscape::{Feed, FeedSource};
use crate::language::feed as language;
use crate::language::select::SelectText;
use crate::language::stream::{Changes as WrittenChanges, Stream};
use crate::language::system::System;

type Systems = Definitions<SystemName, System>;
type Streams = Definitions<StreamName, Stream>;
type Written = Entry<FeedName, language::Feed>;

/// The feeds of `[feeds]`, each with the streams that take from it.
pub fn resolve(
    written: &Definitions<FeedName, language::Feed>,
    streams: &Streams,
    systems: &Systems,
    report: &mut Report,
) -> Vec<Feed> {
    let mut feeds = Vec::new();
    for entry in &written.0 {
        own_name(entry, streams, systems, report);
        let taking = streams.0.iter().filter(|stream| takes(&stream.value, &entry.key.value));
        let taking: Vec<_> = taking.collect();
        one_stream_each(&taking, report);
        let feed = &entry.value;
        let reading = Reading {
            span: &entry.key.span,
            what: "feed",
            from: feed.from.as_ref().map(|from| (from.name().clone(), &from.0.span)),
            query: feed.query.as_ref(),
            entity: None,
            odata: None,
            schedule: feed.schedule.as_ref(),
            changes: feed.changes.as_ref(),
            listen: feed.listen.as_ref(),
        };
        let column = entity_column(entry, report);
        if let Some(source) = source(&reading, systems, report) {
            feeds.push(Feed {
                name: entry.key.value.clone(),
                streams: taking.iter().map(|stream| stream.key.value.clone()).collect(),
                entity_column: column,
                source,
            });
        }
    }
    for (name, span) in report.unused("feed") {
        let hint = format!("add a stream with from = \"{name}\" and its `entity`, or remove the feed");
        report.add_with_hint(codes::IDLE_FEED, &span, format!("no stream takes from the feed `{name}`"), hint);
    }
    feeds
}

fn takes(stream: &Stream, feed: &FeedName) -> bool {
    stream.from.as_ref().is_some_and(|from| from.0.value == feed.as_str())
}

/// What names the entity of a record: a column, or the records of an exchange plan themselves.
fn entity_column(entry: &Written, report: &mut Report) -> Option<String> {
    let column = entry.value.entity_column.as_ref();
    let plan = matches!(entry.value.changes.as_ref().map(|changes| &changes.value), Some(WrittenChanges::Plan(_)));
    match (column, plan) {
        (Some(column), true) => {
            let message = "the records of an exchange plan name their entity themselves";
            report.add_with_hint(codes::CONTRADICTION, &column.span, message, "remove `entity_column`");
        }
        (None, false) => {
            let hint = "add entity_column = \"…\": what names the entity of a record";
            report.add_with_hint(codes::MISSING, &entry.key.span, "`entity_column` is required", hint);
        }
        _ => {}
    }
    // Named, so that everybody sees that there are several.
    Some(column.map_or("entity", |column| &column.value.0).to_owned())
}

/// `from` must not have two meanings, and what a feed keeps for itself stands under its name.
fn own_name(entry: &Written, streams: &Streams, systems: &Systems, report: &mut Report) {
    let name = entry.key.value.as_str();
    let kind = match () {
        () if systems.0.iter().any(|system| system.key.value.as_str() == name) => "system",
        () if streams.0.iter().any(|stream| stream.key.value.as_str() == name) => "stream",
        () => return,
    };
    let message = format!("`{name}` is a {kind} and a feed");
    report.add_with_hint(codes::DUPLICATE, &entry.key.span, message, "give the feed another name");
}

fn one_stream_each(taking: &[&Entry<StreamName, Stream>], report: &mut Report) {
    for (at, stream) in taking.iter().enumerate() {
        let Some(entity) = &stream.value.entity else { continue };
        let same = |other: &&&Entry<StreamName, Stream>| {
            other.value.entity.as_ref().is_some_and(|other| other.value.0 == entity.value.0)
        };
        if let Some(other) = taking[..at].iter().find(same) {
            let message = format!("the stream `{}` takes the entity `{}` already", other.key.value, entity.value.0);
            let hint = "one stream takes an entity; give it as many routes as it needs";
            report.add_with_hint(codes::CONTRADICTION, &entity.span, message, hint);
        }
    }
}

/// Where a reader's records come from: read or pushed, never both and never neither.
pub fn source(reading: &Reading<'_>, systems: &Systems, report: &mut Report) -> Option<FeedSource> {
    let Reading { span, what, from, query, schedule, changes, listen, .. } = reading;
    if let Some(push) = listen {
        let own_schedule = schedule.is_some_and(|schedule| schedule.own);
        if from.is_some() || query.is_some() || own_schedule || changes.is_some() {
            let hint = "keep `listen`, or `from` with `query`, `schedule` and `changes`";
            let message = format!("a {what} is pushed or read, not both");
            report.add_with_hint(codes::CONTRADICTION, &push.span, message, hint);
        }
        return Some(FeedSource::Push { path: push.value.path.value.0.clone(), key: push.value.key.clone() });
    }
    if let Some((system_name, at)) = from
        && let Some(System::Odata(_)) = system(systems, system_name)
    {
        return odata::source(reading, system_name, at, report);
    }
    let unread = from.as_ref().is_some_and(|(name, _)| system(systems, name).is_none());
    if unread && (reading.entity.is_some() || reading.odata.is_some()) {
        // Meant for a base of 1C that has a mistake of its own.
        return None;
    }
    let mut missing = |key: &str, present: bool, example: &str| {
        if !present {
            let hint = format!("add {example}");
            report.add_with_hint(codes::MISSING, span, format!("`{key}` is required"), hint);
        }
    };
    missing("from", from.is_some(), "from = \"SYSTEM\", or listen = { path = …, key = … }");
    if from.is_some() {
        missing("query", query.is_some(), "query = \"SELECT …\"");
        missing("schedule", schedule.is_some(), "schedule = \"15s\"");
        missing("changes", changes.is_some(), "changes = { cursor = \"updated_at\" } or changes = \"diff\"");
    }
    let (from, at) = from.as_ref()?;
    if let Some(odata) = reading.odata {
        let message = "`odata` is for bases of 1C";
        let hint = format!("remove it, or give `{from}` kind = \"1c-odata\"");
        report.add_with_hint(codes::CONTRADICTION, &odata.span, message, hint);
    }
    if let Some(System::Http(_)) = system(systems, from) {
        let hint = "`from` names a system with kind = \"sql\"";
        report.add_with_hint(codes::CONTRADICTION, at, format!("`{from}` cannot be read"), hint);
    }
    let of_1c = match changes.map(|changes| &changes.value) {
        Some(WrittenChanges::Plan(_)) => Some("exchange plans are of 1C"),
        Some(WrittenChanges::Version(_)) => Some("`data_version` is of 1C"),
        _ => None,
    };
    if let Some(message) = of_1c {
        let hint = format!("give `{from}` kind = \"1c-odata\", or find changes by `cursor` or \"diff\"");
        report.add_with_hint(codes::CONTRADICTION, at, message, hint);
        return None;
    }
    let (query, changes) = ((*query)?, (*changes)?);
    if let Some(select) = query.parse(dialect(systems, from), report) {
        query_and_changes(query, &select, &changes.value, report);
    }
    guarded(&changes.value, report);
    Some(FeedSource::Query {
        system: from.clone(),
        query: query.0.text.clone(),
        schedule: (*schedule)?.value.clone(),
        changes: reading::changes(&changes.value),
    })
}

/// Each door has its own path, whoever it belongs to.
pub fn paths(feeds: &Definitions<FeedName, language::Feed>, streams: &Streams, report: &mut Report) {
    let feeds = feeds.0.iter().filter_map(|feed| Some(("feed", feed.key.value.as_str(), feed.value.listen.as_ref()?)));
    let streams = streams
        .0
        .iter()
        .filter_map(|stream| Some(("stream", stream.key.value.as_str(), stream.value.listen.as_ref()?)));
    let doors: Vec<_> = feeds.chain(streams).collect();
    for (at, (_, _, push)) in doors.iter().enumerate() {
        let path = &push.value.path;
        if let Some((what, other, _)) = doors[..at].iter().find(|(_, _, other)| other.value.path.value == path.value) {
            let message = format!("the {what} `{other}` listens on `{}` already", path.value.0);
            report.add_with_hint(codes::CONTRADICTION, &path.span, message, "give each its own path");
        }
    }
}

/// A cursor must be asked for in the query, and a comparison must see everything.
fn query_and_changes(query: &SelectText, select: &Select, changes: &WrittenChanges, report: &mut Report) {
    let (message, hint) = match (changes, select.takes_cursor()) {
        (WrittenChanges::Cursor(cursor), false) => {
            let hint = format!("add WHERE {0} >= :cursor ORDER BY {0}", column(&cursor.cursor.0));
            ("the query does not use `:cursor`", hint)
        }
        (WrittenChanges::Diff(_), true) => {
            ("a comparison must see every record, but the query uses `:cursor`", "remove the condition".into())
        }
        (WrittenChanges::Cursor(_), true) => {
            if let Some(at) = &select.limited {
                let message =
                    "rows beyond this, whose cursor is not above that of the last one read, would never be read";
                let hint = "leave it out: the bus reads in pages";
                report.add_with_hint(codes::CONTRADICTION, &query.0.span_of(at.clone()), message, hint);
            }
            return;
        }
        _ => return,
    };
    report.add_with_hint(codes::CONTRADICTION, &query.0.span, message, hint);
}

/// A column as it stands in a query. All databases take double quotes; without them, PostgreSQL takes capital letters for
/// small ones, and no database takes a word with a space.
fn column(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    match name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit()) {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}
