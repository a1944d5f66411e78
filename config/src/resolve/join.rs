//! Joined streams: what they are put together from.

use std::time::Duration;

use bus_core::policy::Schedule;
use bus_core::vocabulary::{FeedName, StreamName};
use bus_options::{Definitions, Entry, Report, Span, codes};

use crate::landscape::{Feed, FeedSource, Join, JoinPart};
use crate::language::stream::{Stream, With};

/// How often changed parts are looked for, if nothing is said: one indexed lookup in a local file.
const LOOK: Duration = Duration::from_secs(1);

type Streams = Definitions<StreamName, Stream>;
type Written = Entry<StreamName, Stream>;

/// The feed of a stream with `join` or `with`; `None` where that is not enough to make one.
pub fn resolve(entry: &Written, streams: &Streams, report: &mut Report) -> Option<Feed> {
    let (name, stream) = (&entry.key, &entry.value);
    let (Some(main), Some(with)) = (&stream.join, &stream.with) else {
        let (missing, example) = match stream.join {
            None => ("join", "join = \"STREAM\", whose records get the parts"),
            Some(_) => ("with", "with = { STREAM = { on = \"…\" } }, the parts that are added"),
        };
        report.add_with_hint(codes::MISSING, &name.span, format!("`{missing}` is required"), format!("add {example}"));
        return None;
    };
    nothing_else(entry, report);
    let mut names = vec![(main.name(), &main.0.span)];
    for part in &with.value.0 {
        if names.iter().any(|(known, _)| **known == part.key.value) {
            let message = format!("`{}` is a part of it already", part.key.value);
            report.add_with_hint(codes::CONTRADICTION, &part.key.span, message, "name each stream once");
        }
        names.push((&part.key.value, &part.key.span));
    }
    for (part, span) in names {
        plain(part, &name.value, streams, span, report);
    }
    one_field_each(&with.value.0, report);
    let key: Vec<String> = stream.key.value.0.iter().map(|column| column.0.clone()).collect();
    Some(Feed {
        name: FeedName::new(name.value.as_str()).ok()?,
        streams: vec![name.value.clone()],
        entity_column: None,
        source: FeedSource::Join(Join {
            stream: name.value.clone(),
            main: main.name().clone(),
            with: with.value.0.iter().map(|part| self::part(part, key.len(), report)).collect(),
            key,
            schedule: match &stream.schedule {
                Some(schedule) if schedule.own => schedule.value.clone(),
                _ => Schedule::Every(LOOK),
            },
        }),
    })
}

fn part(entry: &Entry<StreamName, With>, width: usize, report: &mut Report) -> JoinPart {
    let With { on, many, field } = &entry.value;
    if on.value.0.len() != width {
        let message = format!("the key of the joined record has {width} columns, and `on` names {}", on.value.0.len());
        let hint = "name a field for each column of `key`, in its order";
        report.add_with_hint(codes::CONTRADICTION, &on.span, message, hint);
    }
    JoinPart {
        stream: entry.key.value.clone(),
        on: on.value.0.iter().map(|field| field.0.clone()).collect(),
        many: *many,
        field: field.as_ref().map_or_else(|| entry.key.value.to_string(), |field| field.0.clone()),
    }
}

fn one_field_each(parts: &[Entry<StreamName, With>], report: &mut Report) {
    let field = |part: &Entry<StreamName, With>| {
        part.value.field.as_ref().map_or_else(|| part.key.value.to_string(), |field| field.0.clone())
    };
    for (at, part) in parts.iter().enumerate() {
        if parts[..at].iter().any(|other| field(other) == field(part)) {
            let message = format!("two parts stand in the field `{}`", field(part));
            report.add_with_hint(codes::CONTRADICTION, &part.key.span, message, "say field = \"…\" in one of them");
        }
    }
}

/// A joined stream is read from nowhere.
fn nothing_else(entry: &Written, report: &mut Report) {
    let stream = &entry.value;
    let others: [(&str, Option<&Span>); 5] = [
        ("from", stream.from.as_ref().map(|from| &from.0.span)),
        ("entity", stream.entity.as_ref().map(|entity| &entity.span)),
        ("query", stream.query.as_ref().map(|query| &query.0.span)),
        ("changes", stream.changes.as_ref().map(|changes| &changes.span)),
        ("listen", stream.listen.as_ref().map(|listen| &listen.span)),
    ];
    for (key, span) in others {
        if let Some(span) = span {
            let message = format!("`{key}` beside `join`: a joined stream is read from nowhere");
            report.add_with_hint(codes::CONTRADICTION, span, message, format!("remove `{key}`, or `join` and `with`"));
        }
    }
}

/// A part is a stream that comes from outside: joins of joins would go in circles.
fn plain(part: &StreamName, joined: &StreamName, streams: &Streams, span: &Span, report: &mut Report) {
    let is_joined = |stream: &&Written| stream.key.value == *part && stream.value.join.is_some();
    if part == joined || streams.0.iter().any(|stream| is_joined(&stream)) {
        let message = format!("`{part}` is a joined stream itself");
        let hint = "name the streams that it is put together from";
        report.add_with_hint(codes::CONTRADICTION, span, message, hint);
    }
}
