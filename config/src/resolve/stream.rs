//! Streams: each with a reader of its own, or one of those that a feed serves.

use std::time::Duration;

use bus_core::vocabulary::{FeedName, StreamName, SystemName};
use bus_options::{Definitions, EntityName, Entry, Report, Span, codes};
use chrono_tz::Tz;

use super::feed;
use super::join;
use super::odata;
use super::reading::Reading;
use super::system::system;
use crate::landscape::{Feed, Stream};
use crate::language::feed as feeds;
use crate::language::stream as language;
use crate::language::system::System;
use crate::shape::Masked;

type Systems = Definitions<SystemName, System>;
type Written = Entry<StreamName, language::Stream>;

/// All streams, and the feeds of those that are read by themselves.
pub fn resolve(
    written: &Definitions<StreamName, language::Stream>,
    feeds: &Definitions<FeedName, feeds::Feed>,
    systems: &Systems,
    zone: Tz,
    journal: Duration,
    report: &mut Report,
) -> (Vec<Feed>, Vec<Stream>) {
    let (mut own, mut streams) = (Vec::new(), Vec::new());
    for entry in &written.0 {
        repeated_key(entry, report);
        let stream = &entry.value;
        remembered(entry, journal, report);
        dated(entry, feeds, report);
        streams.push(Stream {
            name: entry.key.value.clone(),
            key: stream.key.value.0.iter().map(|column| column.0.clone()).collect(),
            label: stream.label.as_ref().map(|label| label.0.clone()),
            date: stream.date.as_ref().map(|date| date.value.0.clone()),
            expect: stream.expect.as_ref().map(|expect| super::watch::expectation(expect, zone)),
            archive: stream.archive.as_ref().map(|archive| archive.value),
            mask: masks(entry).map(|mask| mask.0.clone()).collect(),
            entity: stream.entity.as_ref().map(|entity| entity.value.0.clone()),
            odata: odata::read(stream.odata.as_ref().map(|odata| &odata.value)),
        });
        if stream.join.is_some() || stream.with.is_some() {
            own.extend(join::resolve(entry, written, report));
            continue;
        }
        let unread = from_unread(stream, systems, report);
        if !unread && is_served(stream, feeds, systems) {
            served(entry, report);
            if let Some(odata) = &stream.odata {
                odata::of_a_plan(odata, report);
            }
            continue;
        }
        let base = stream.from.as_ref().and_then(|from| system(systems, &SystemName::new(&from.0.value).ok()?));
        let base = unread || matches!(base, Some(System::Odata(_)));
        if let Some(entity) = stream.entity.as_ref().filter(|_| !base) {
            let message = "`entity` picks the records of a feed, and this stream takes from none";
            let hint = "define [feeds.NAME] and say from = \"NAME\", or remove `entity`";
            report.add_with_hint(codes::CONTRADICTION, &entity.span, message, hint);
        }
        let from = stream.from.as_ref();
        let reading = Reading {
            span: &entry.key.span,
            what: "stream",
            from: from.and_then(|from| Some((SystemName::new(&from.0.value).ok()?, &from.0.span))),
            query: stream.query.as_ref(),
            entity: stream.entity.as_ref(),
            odata: stream.odata.as_ref(),
            schedule: stream.schedule.as_ref(),
            changes: stream.changes.as_ref(),
            listen: stream.listen.as_ref(),
        };
        let name = FeedName::new(entry.key.value.as_str());
        if let (Some(source), Ok(name)) = (feed::source(&reading, systems, report), name) {
            own.push(Feed { name, streams: vec![entry.key.value.clone()], entity_column: None, source });
        }
    }
    (own, streams)
}

/// It takes from a system that has a mistake of its own: what goes with it nobody knows.
fn from_unread(stream: &language::Stream, systems: &Systems, report: &Report) -> bool {
    let Some(from) = &stream.from else { return false };
    let read = systems.0.iter().any(|system| system.key.value.as_str() == from.0.value);
    !read && report.defined(SystemName::KIND).any(|name| name == from.0.value)
}

/// It takes from a feed, or was meant to: nothing has the name, but it says which entity.
fn is_served(stream: &language::Stream, feeds: &Definitions<FeedName, feeds::Feed>, systems: &Systems) -> bool {
    let Some(from) = &stream.from else { return false };
    let name = &from.0.value;
    let is_system = SystemName::new(name).is_ok_and(|name| system(systems, &name).is_some());
    let is_feed = feeds.0.iter().any(|feed| feed.key.value.as_str() == name);
    // A feed with the name of a system is a mistake of the feed, told there: `entity` says which of them is meant.
    if is_feed == is_system { stream.entity.is_some() } else { is_feed }
}

/// A stream of a feed says which records are its own, and nothing of how they are read.
fn served(entry: &Written, report: &mut Report) {
    let (name, stream) = (&entry.key, &entry.value);
    if stream.entity.is_none() {
        let hint = "add entity = \"…\": what the feed's `entity_column` holds for this stream's records";
        report.add_with_hint(codes::MISSING, &name.span, "`entity` is required", hint);
    }
    let own_schedule = stream.schedule.as_ref().is_some_and(|schedule| schedule.own).then_some(&name.span);
    let reads: [(&str, Option<&Span>); 4] = [
        ("query", stream.query.as_ref().map(|query| &query.0.span)),
        ("changes", stream.changes.as_ref().map(|changes| &changes.span)),
        ("listen", stream.listen.as_ref().map(|listen| &listen.span)),
        ("schedule", own_schedule),
    ];
    for (key, span) in reads {
        if let Some(span) = span {
            let message = format!("`{key}` beside a feed, which says how its streams are read");
            report.add_with_hint(
                codes::CONTRADICTION,
                span,
                message,
                format!("move `{key}` to the feed, or remove it"),
            );
        }
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

/// Only what is read from a source can be read by a date.
fn dated(entry: &Written, feeds: &Definitions<FeedName, feeds::Feed>, report: &mut Report) {
    let stream = &entry.value;
    let Some(date) = &stream.date else { return };
    let feed =
        stream.from.as_ref().and_then(|from| feeds.0.iter().find(|feed| feed.key.value.as_str() == from.0.value));
    let pushed = stream.listen.is_some() || feed.is_some_and(|feed| feed.value.listen.is_some());
    let is_virtual = stream.entity.as_ref().is_some_and(|entity| entity.value.0.contains('/'));
    let (message, hint) = match () {
        () if stream.join.is_some() => {
            ("a joined stream has no source that could be read by a date", "give `date` to the streams that it joins")
        }
        () if pushed => (
            "pushed records are read by the time they came, from the archive",
            "remove `date`; say archive = \"30d\" if there is none",
        ),
        () if is_virtual => (
            "a virtual table is computed by 1C as a whole, and cannot be read by a date",
            "remove `date`, or read the register itself",
        ),
        () => return,
    };
    report.add_with_hint(codes::DATE_UNREAD, &date.span, message, hint);
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
