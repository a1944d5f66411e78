//! Streams that are read from a base of 1C.

use bus_core::vocabulary::{StreamName, SystemName};
use bus_options::{Definitions, Filled, Located, Map, OneOrMany, Report, Span, codes};

use super::reading::{Reading, changes, guarded};
use crate::landscape::{self, Feed, FeedSource, OdataRead};
use crate::language::odata::{self as language, Dates, Format, Kept, Mark, OBJECT_HINT};
use crate::language::stream::{Changes, Overlap, Stream};
use crate::onec;

/// A reader of a base: an object, when, and how changes are found.
pub fn source(reading: &Reading<'_>, from: &SystemName, at: &Span, report: &mut Report) -> Option<FeedSource> {
    let mut missing = |key: &str, present: bool, example: &str| {
        if !present {
            let hint = format!("add {example}");
            report.add_with_hint(codes::MISSING, reading.span, format!("`{key}` is required"), hint);
        }
    };
    if reading.what == "stream" {
        missing(
            "entity",
            reading.entity.is_some(),
            "entity = \"Catalog_Номенклатура\": the object's name in the interface",
        );
    }
    missing("schedule", reading.schedule.is_some(), "schedule = \"5m\"");
    missing("changes", reading.changes.is_some(), "changes = \"diff\" or changes = { cursor = \"Date\", recheck = … }");
    if let Some(query) = reading.query {
        let message = "a `query` is for databases; this is a base of 1C";
        report.add_with_hint(codes::CONTRADICTION, &query.0.span, message, "say entity = \"…\", and odata = { … }");
    }
    let plan = matches!(reading.changes.map(|changes| &changes.value), Some(Changes::Plan(_)));
    if let (Some(changes), "stream", true) = (reading.changes, reading.what, plan) {
        let message = "an exchange plan is acknowledged as a whole: it is a feed";
        let hint = "define [feeds.NAME] with these `changes`, and say from = \"NAME\" here";
        report.add_with_hint(codes::CONTRADICTION, &changes.span, message, hint);
        return None;
    }
    if reading.what == "feed" && !plan {
        let message = format!("without an exchange plan `{from}` is read stream by stream");
        let hint = "say changes = { exchange_plan = …, node = … }, or give each stream `from` and `changes` of its own";
        report.add_with_hint(codes::CONTRADICTION, at, message, hint);
        return None;
    }
    let written = reading.changes?;
    date(&written.value, &written.span, report);
    versions(reading, &written.value, report);
    if let (Some(entity), Some(odata)) = (reading.entity, reading.odata) {
        virtual_table(entity, &odata.value, report);
    }
    Some(FeedSource::Odata {
        system: from.clone(),
        schedule: reading.schedule?.value.clone(),
        changes: changes(&written.value),
    })
}

/// Streams of 1C name their objects as its interface does, or as its people do; from here on it is the former.
pub fn names(
    feeds: &[Feed],
    streams: &mut [landscape::Stream],
    written: &Definitions<StreamName, Stream>,
    report: &mut Report,
) {
    for feed in feeds.iter().filter(|feed| matches!(feed.source, FeedSource::Odata { .. })) {
        let mut taken: Vec<(String, String)> = Vec::new();
        for stream in streams.iter_mut().filter(|stream| feed.streams.contains(&stream.name)) {
            let span = written.0.iter().find(|entry| entry.key.value == stream.name);
            let span = span.and_then(|entry| entry.value.entity.as_ref()).map(|entity| &entity.span);
            let (Some(entity), Some(span)) = (&stream.entity, span) else { continue };
            match onec::interface_name(entity) {
                // The same text twice is told where feeds are read.
                Ok(name) if taken.iter().any(|(written, known)| *known == name && written != entity) => {
                    let message = format!("another stream of the feed takes `{name}` already");
                    let hint = "one stream takes an entity; give it as many routes as it needs";
                    report.add_with_hint(codes::CONTRADICTION, span, message, hint);
                }
                Ok(name) => {
                    taken.push((entity.clone(), name.clone()));
                    stream.entity = Some(name);
                }
                Err(why) => report.add_with_hint(codes::NO_OBJECT_OF_1C, span, why, OBJECT_HINT),
            }
        }
    }
}

/// One node has one reader: what one of two was told, the other would never see.
pub fn nodes(feeds: &[Feed], spans: &[(&str, &Span)], report: &mut Report) {
    let node = |feed: &Feed| match &feed.source {
        FeedSource::Odata { system, changes: landscape::Changes::Plan { plan, node, .. }, .. } => {
            Some((system.clone(), plan.clone(), node.clone()))
        }
        _ => None,
    };
    for (at, feed) in feeds.iter().enumerate() {
        let Some(own) = node(feed) else { continue };
        let other = feeds[..at].iter().find(|other| node(other).as_ref() == Some(&own));
        let span = spans.iter().find(|(name, _)| *name == feed.name.as_str());
        if let (Some(other), Some((_, span))) = (other, span) {
            let message = format!("the feed `{}` reads the node `{}` already", other.name, own.2);
            let hint = "add a node in 1C for this feed, or take both feeds' streams from one";
            report.add_with_hint(codes::CONTRADICTION, span, message, hint);
        }
    }
}

/// An exchange plan registers objects and gives them whole.
pub fn of_a_plan(written: &Located<language::OdataRead>, report: &mut Report) {
    let odata = &written.value;
    let asked = [
        ("select", odata.select.is_some()),
        ("expand", odata.expand.is_some()),
        ("equals", !odata.equals.0.is_empty()),
        ("filter", odata.filter.is_some()),
        ("parameters", odata.parameters.is_some()),
    ];
    for (name, _) in asked.iter().filter(|(_, there)| *there) {
        let message = format!("`{name}` is no question to an exchange plan, which gives records whole");
        let hint = "remove it; choose in the route, by `when` and `fields`";
        report.add_with_hint(codes::CONTRADICTION, &written.span, message, hint);
    }
}

/// What is read of other records changes without this one being written.
fn versions(reading: &Reading<'_>, changes: &Changes, report: &mut Report) {
    let (Changes::Version(_), Some(odata)) = (changes, reading.odata) else { return };
    let mut selected = odata.value.select.iter().flat_map(|select| &select.0);
    if odata.value.expand.is_some() || selected.any(|name| name.0.contains("Presentation") || name.0.contains('/')) {
        let message = "what is shown of other records changes without a new version of this one";
        let hint = "leave out `expand` and presentations, or say changes = \"diff\"";
        report.add_with_hint(codes::CONTRADICTION, &odata.span, message, hint);
    }
}

/// A date of business says when something happened, not when it was written.
fn date(changes: &Changes, span: &Span, report: &mut Report) {
    guarded(changes, report);
    let Changes::Cursor(cursor) = changes else { return };
    if cursor.recheck.is_none() {
        let message = format!("`{}` is a date of business: what is written back-dated is missed", cursor.cursor.0);
        let hint = "add recheck = \"Sun 04:00\", or say changes = \"diff\"";
        report.add_with_hint(codes::DATE_WITHOUT_RECHECK, span, message, hint);
    }
    if let Overlap::Count(1..) = cursor.overlap {
        let message = "the overlap of a date is a time";
        report.add_with_hint(codes::CONTRADICTION, span, message, "say overlap = \"1d\"");
    }
}

fn virtual_table(entity: &Located<Filled>, odata: &language::OdataRead, report: &mut Report) {
    if let Some(parameters) = &odata.parameters
        && !onec::interface_name(&entity.value.0).is_ok_and(|name| name.contains('/'))
    {
        let message = format!("`{}` is no virtual table, so it has no parameters", entity.value.0);
        let hint = "name one: entity = \"AccumulationRegister_X/Balance\", or say `equals` or `filter`";
        report.add_with_hint(codes::CONTRADICTION, &parameters.span, message, hint);
    }
}

/// What a stream asks for, with what holds where it says nothing.
pub fn read(written: Option<&language::OdataRead>) -> OdataRead {
    let Some(written) = written else { return OdataRead::default() };
    let texts = |list: &Option<OneOrMany<Filled>>| {
        list.iter().flat_map(|list| &list.0).map(|text| text.0.clone()).collect::<Vec<_>>()
    };
    let pairs = |map: &Map<Filled>| {
        map.0.iter().map(|entry| (entry.key.value.clone(), entry.value.0.clone())).collect::<Vec<_>>()
    };
    let keeps = |kept: Kept| written.keep.iter().any(|keep| keep.0.contains(&kept));
    OdataRead {
        select: texts(&written.select),
        expand: texts(&written.expand),
        equals: pairs(&written.equals),
        filter: written.filter.as_ref().map(|filter| filter.0.clone()),
        parameters: written.parameters.as_ref().map(|all| pairs(&all.value)).unwrap_or_default(),
        allowed_only: written.allowed_only,
        atom: written.format == Format::Atom,
        empty_dates: keeps(Kept::EmptyDates),
        zero_references: keeps(Kept::ZeroReferences),
        padding: keeps(Kept::Padding),
        plain_dates: written.dates == Dates::Plain,
        marked_is_deleted: written.deletion_mark == Mark::Delete,
    }
}
