//! Streams: read from a system or pushed, never both and never neither.

use std::time::Duration;

use bus_core::vocabulary::{FeedName, StreamName, SystemName};
use bus_options::{Definitions, Entry, Report, Span, codes};
use chrono_tz::Tz;

use crate::landscape::{Changes, Feed, FeedSource, Recheck, Stream};
use crate::language::stream as language;
use crate::language::system::System;
use crate::shape::Masked;

type Systems = Definitions<SystemName, System>;
type Written = Entry<StreamName, language::Stream>;

pub fn resolve(
    written: &Definitions<StreamName, language::Stream>,
    systems: &Systems,
    zone: Tz,
    journal: Duration,
    report: &mut Report,
) -> (Vec<Feed>, Vec<Stream>) {
    let (mut feeds, mut streams) = (Vec::new(), Vec::new());
    for (at, entry) in written.0.iter().enumerate() {
        repeated_key(entry, report);
        same_path(entry, &written.0[..at], report);
        remembered(entry, journal, report);
        streams.push(Stream {
            name: entry.key.value.clone(),
            key: entry.value.key.value.0.iter().map(|column| column.0.clone()).collect(),
            label: entry.value.label.as_ref().map(|label| label.0.clone()),
            expect: entry.value.expect.as_ref().map(|expect| super::watch::expectation(expect, zone)),
            archive: entry.value.archive.as_ref().map(|archive| archive.value),
            mask: masks(entry).map(|mask| mask.0.clone()).collect(),
        });
        let name = FeedName::new(entry.key.value.as_str());
        if let (Some(source), Ok(name)) = (source(entry, systems, report), name) {
            feeds.push(Feed { name, streams: vec![entry.key.value.clone()], source });
        }
    }
    (feeds, streams)
}

fn source(entry: &Written, systems: &Systems, report: &mut Report) -> Option<FeedSource> {
    let (name, stream) = (&entry.key, &entry.value);
    if let Some(push) = &stream.listen {
        let own_schedule = stream.schedule.as_ref().is_some_and(|schedule| schedule.own);
        let reads = stream.from.is_some() || stream.query.is_some() || own_schedule || stream.changes.is_some();
        if reads {
            let hint = "keep `listen`, or `from` with `query`, `schedule` and `changes`";
            report.add_with_hint(codes::CONTRADICTION, &push.span, "a stream is pushed or read, not both", hint);
        }
        return Some(FeedSource::Push { path: push.value.path.value.0.clone(), key: push.value.key.clone() });
    }
    let mut missing = |key: &str, present: bool, example: &str| {
        if !present {
            let hint = format!("add {example}");
            report.add_with_hint(codes::MISSING, &name.span, format!("`{key}` is required"), hint);
        }
    };
    missing("from", stream.from.is_some(), "from = \"SYSTEM\", or listen = { path = …, key = … }");
    if stream.from.is_some() {
        missing("query", stream.query.is_some(), "query = \"SELECT …\"");
        missing("schedule", stream.schedule.is_some(), "schedule = \"15s\"");
        missing("changes", stream.changes.is_some(), "changes = { cursor = \"updated_at\" } or changes = \"diff\"");
    }
    let from = stream.from.as_ref()?;
    if let Some(System::Http(_)) = system(systems, from.name()) {
        let hint = "`from` names a system with kind = \"sql\"";
        report.add_with_hint(codes::CONTRADICTION, &from.0.span, format!("`{}` cannot be read", from.name()), hint);
    }
    let (query, changes) = (stream.query.as_ref()?, stream.changes.as_ref()?);
    query_and_changes(&query.value.0, &query.span, &changes.value, report);
    Some(FeedSource::Query {
        system: from.name().clone(),
        query: query.value.0.clone(),
        schedule: stream.schedule.clone()?.value,
        changes: self::changes(&changes.value),
    })
}

/// The system of this name, if one is there.
pub fn system<'a>(systems: &'a Systems, name: &SystemName) -> Option<&'a System> {
    systems.0.iter().find(|entry| entry.key.value == *name).map(|entry| &entry.value)
}

/// A cursor must be asked for in the query, and a comparison must see everything.
fn query_and_changes(query: &str, span: &Span, changes: &language::Changes, report: &mut Report) {
    if let language::Changes::Cursor(cursor) = changes
        && cursor.recheck.is_none()
        && cursor.guard.value.own
    {
        let hint = "add recheck = \"Sun 04:00\", or remove `guard`";
        let message = "without `recheck` nothing is compared, so there is nothing to guard";
        report.add_with_hint(codes::CONTRADICTION, &cursor.guard.span, message, hint);
    }
    let (message, hint) = match (changes, query.contains(":cursor")) {
        (language::Changes::Cursor(cursor), false) => {
            let hint = format!("add WHERE {0} >= :cursor ORDER BY {0}", cursor.cursor.0);
            ("the query does not use `:cursor`", hint)
        }
        (language::Changes::Diff(_), true) => {
            ("a comparison must see every record, but the query uses `:cursor`", "remove the condition".into())
        }
        _ => return,
    };
    report.add_with_hint(codes::CONTRADICTION, span, message, hint);
}

fn changes(changes: &language::Changes) -> Changes {
    match changes {
        language::Changes::Diff(diff) => Changes::Diff { guard: diff.guard.share() },
        language::Changes::Cursor(cursor) => Changes::Cursor {
            column: cursor.cursor.0.clone(),
            overlap: cursor.overlap,
            recheck: cursor
                .recheck
                .clone()
                .map(|schedule| Recheck { schedule, guard: cursor.guard.value.value.share() }),
        },
    }
}

fn repeated_key(entry: &Written, report: &mut Report) {
    let columns = &entry.value.key.value.0;
    for (at, column) in columns.iter().enumerate() {
        if columns[..at].contains(column) {
            let message = format!("the column `{}` stands in the key twice", column.0);
            report.add_with_hint(codes::CONTRADICTION, &entry.value.key.span, message, "name each column once");
        }
    }
}

fn masks(entry: &Written) -> impl Iterator<Item = &Masked> {
    entry.value.mask.iter().flat_map(|mask| &mask.value.0)
}

/// What is remembered of a record must agree with the journal, and with what the record is found by.
fn remembered(entry: &Written, journal: Duration, report: &mut Report) {
    let stream = &entry.value;
    if let Some(archive) = stream.archive.as_ref().filter(|archive| archive.value > journal) {
        let hint = "keep the journal as long: [bus] journal = { for = \"…\" }, or shorten `archive`";
        let message = "bodies are found through the journal, which is kept for a shorter time";
        report.add_with_hint(codes::ARCHIVE_OUTLIVES, &archive.span, message, hint);
    }
    let Some(mask) = &stream.mask else { return };
    let names = stream.key.value.0.iter().chain(&stream.label);
    for name in names {
        if masks(entry).any(|masked| masked.0 == [name.0.clone()]) {
            let hint = "take it out of `mask`, or know records by another column";
            let message = format!("`{}` is what records are found by, and stands in the journal as it is", name.0);
            report.add_with_hint(codes::MASKED_NAME, &mask.span, message, hint);
        }
    }
}

fn same_path(entry: &Written, earlier: &[Written], report: &mut Report) {
    let Some(push) = &entry.value.listen else { return };
    let path = &push.value.path;
    let same = |other: &&Written| other.value.listen.as_ref().is_some_and(|push| push.value.path.value == path.value);
    if let Some(other) = earlier.iter().find(same) {
        let message = format!("the stream `{}` listens on `{}` already", other.key.value, path.value.0);
        report.add_with_hint(codes::CONTRADICTION, &path.span, message, "give each stream its own path");
    }
}
