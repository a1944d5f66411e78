//! A story as a tree of lines.

use chrono::{DateTime, Utc};

use super::lines::{BOLD, DIM, GREEN, Node, PLAIN, RED, Style, YELLOW, node, print};
use super::words;
use super::{Answer, Change, Comparison, Object, Route, Step, Unreadable, Version};
use crate::clock::localised;
use crate::shown;

/// The whole answer.
pub fn tree(answer: &Answer, style: &Style) -> String {
    let mut out = String::new();
    if answer.is_empty() {
        out.push_str(&nothing(answer, style));
    } else if answer.objects.len() > 1 {
        let many = if answer.more { "the newest of more" } else { "" };
        out.push_str(&format!("{} objects {many}\n\n", answer.objects.len()).replace(" \n", "\n"));
    }
    for (index, object) in answer.objects.iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        print(&object_node(object, style), "", "", style, &mut out);
    }
    for row in &answer.unreadable {
        print(&unreadable_node(row, style), "", "", style, &mut out);
    }
    for feed in &answer.feeds {
        print(&Node { colour: YELLOW, ..node(local(feed, style)) }, "", "", style, &mut out);
    }
    if let Some(lost) = &answer.journal.lost {
        let said = format!("The journal has lost {lost}, when the disk took nothing: stories have holes there.");
        out.push_str(&format!("\n{}\n", shown::line(&said, style.timezone)));
    }
    out
}

fn nothing(answer: &Answer, style: &Style) -> String {
    let kept = words_of_days(answer.journal.kept_for_seconds);
    let since = answer.journal.since.as_ref().map(|since| format!(" since {}", time(since, style)));
    let what = match &answer.word {
        Some(word) => format!("nothing is known under the key or label \"{word}\""),
        None => "nothing was found".to_owned(),
    };
    let mut lines = vec![match since {
        Some(since) => format!("{what}{since} (the journal is kept for {kept})"),
        None => format!("{what}: the journal is empty"),
    }];
    if !answer.near.is_empty() {
        lines.push(format!("near it: {}", answer.near.join(", ")));
    }
    lines.iter().map(|line| line.chars().map(shown::shown).chain(['\n']).collect::<String>()).collect()
}

fn unreadable_node(row: &Unreadable, style: &Style) -> Node {
    let name = row.label.as_ref().or(row.key.as_ref()).map_or("a row", String::as_str);
    let key = row.key.as_ref().filter(|key| *key != name).map(|key| format!(", key {key}")).unwrap_or_default();
    let text = format!("{name}   stream {}{key}", row.stream);
    let number = row.dead;
    let read = format!("{}  could not be read: dead letter {number}: {}", time(&row.read_at, style), row.reason);
    let remedy = format!(
        "look: bus dead show {number}; it is read again when it is mended at its source; then: bus dead drop {number}"
    );
    Node { text, colour: BOLD, below: vec![Node { colour: RED, ..node(read) }, node(remedy)] }
}

fn words_of_days(seconds: u64) -> String {
    match seconds {
        s if s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s % 3_600 == 0 => format!("{}h", s / 3_600),
        s => format!("{s}s"),
    }
}

fn object_node(object: &Object, style: &Style) -> Node {
    let name = match &object.label {
        Some(label) if *label != object.key => format!("{label}   stream {}, key {}", object.stream, object.key),
        _ => format!("{}   stream {}", object.key, object.stream),
    };
    let mut below = Vec::new();
    if object.older {
        below.push(Node { colour: DIM, ..node("older versions are not shown (--versions)") });
    }
    below.extend(object.versions.iter().map(|version| version_node(version, style)));
    if object.versions.is_empty() {
        for settled in &object.settled {
            let there = if settled.at_receiver { "the receiver holds it" } else { "the receiver does not hold it" };
            below.push(node(format!("{}: settled up to {}; {there}", settled.route, settled.seq)));
        }
        below.push(Node { colour: DIM, ..node("the journal no longer knows its messages") });
    }
    Node { text: name, colour: BOLD, below }
}

fn version_node(version: &Version, style: &Style) -> Node {
    let what = match (version.operation.as_str(), version.generation) {
        ("delete", _) => "deleted".to_owned(),
        (_, 1) => "first seen".to_owned(),
        (_, generation) => format!("version {generation}"),
    };
    let read = match (&version.feed, &version.run) {
        (Some(feed), Some(run)) => format!("read by feed {feed} (round {run})"),
        _ => "read; the journal no longer knows by whom".to_owned(),
    };
    let published = match &version.published_at {
        Some(at) => format!(", in the broker {}", beside(at, &version.read_at, style)),
        None if version.feed.is_some() => ", not yet confirmed by the broker".to_owned(),
        None => String::new(),
    };
    let text = format!("{}  {what}  {read} as {}{published}", time(&version.read_at, style), version.seq);
    let mut below: Vec<Node> = changes_node(version).into_iter().collect();
    below.extend(version.routes.iter().map(|route| route_node(route, version, style)));
    Node { text, colour: PLAIN, below }
}

fn changes_node(version: &Version) -> Option<Node> {
    let cut = if version.comparison == Comparison::Cut { " and more" } else { "" };
    match version.comparison {
        Comparison::First | Comparison::Deletion => None,
        Comparison::NotArchived => {
            Some(Node { colour: DIM, ..node("what changed is not known: the bodies are not in the archive") })
        }
        Comparison::Done | Comparison::Cut if version.changes.is_empty() => Some(node("no field changed")),
        Comparison::Done | Comparison::Cut => {
            let below = version.changes.iter().map(|change| node(change_words(change))).collect();
            Some(Node { text: format!("changed: {} fields{cut}", version.changes.len()), colour: PLAIN, below })
        }
    }
}

fn change_words(change: &Change) -> String {
    let side = |side: &Option<String>| side.clone().unwrap_or_default();
    match (change.what.as_str(), change.masked) {
        ("perhaps-changed", _) => format!("{}: perhaps changed, masked", change.field),
        (what, true) => format!("{}: {what}, masked", change.field),
        ("added", _) => format!("{}: added {}", change.field, side(&change.after)),
        ("removed", _) => format!("{}: removed, was {}", change.field, side(&change.before)),
        _ => format!("{}: {} → {}", change.field, side(&change.before), side(&change.after)),
    }
}

fn route_node(route: &Route, version: &Version, style: &Style) -> Node {
    let colour = match route.state.as_str() {
        "delivered" => GREEN,
        "dead" => RED,
        "waiting" | "on-its-way" => YELLOW,
        _ => PLAIN,
    };
    let steps = route.steps.iter().enumerate().filter(|(_, step)| told(step));
    let mut below: Vec<Node> = steps
        .map(|(at, step)| {
            // What an attempt has said is not said again by the letter that it became.
            let before = at.checked_sub(1).and_then(|before| route.steps.get(before));
            let again = step.kind == "dead" && before.is_some_and(|before| before.message == step.message);
            step_node(step, !again, version, style)
        })
        .collect();
    below.extend(route.waits_for.iter().map(|what| Node { colour: YELLOW, ..node(local(what, style)) }));
    below.extend(route.remedy.iter().map(|remedy| node(remedy.clone())));
    Node { text: format!("{}: {}", route.route, route.words), colour, below }
}

/// A skip is told by the state.
fn told(step: &Step) -> bool {
    step.kind != "skipped"
}

fn step_node(step: &Step, says: bool, version: &Version, style: &Style) -> Node {
    let at = beside(&step.at, &version.read_at, style);
    let when = match step.times {
        1 => at,
        times => format!("{} to {at}, {times} times", beside(&step.since, &version.read_at, style)),
    };
    let message = step.message.as_ref().filter(|_| says).map(|message| format!(": {message}")).unwrap_or_default();
    let status = step.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let took = step.took_ms.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
    // What only waits for its turn waits until no moment of its own.
    let until = step.until.as_ref().filter(|until| parsed(until) > parsed(&step.at));
    let until = until.map(|until| format!(", not before {}", beside(until, &version.read_at, style)));
    let text = match (step.kind.as_str(), step.word.as_str()) {
        ("attempt", "ok") => format!("{when}  accepted{status}{took}"),
        ("attempt", fault) => format!("{when}  {fault}{status}{took}{message}"),
        ("held", reason) => format!("{when}  put aside: {}{}", words::held(reason), until.unwrap_or_default()),
        ("dead", fault) => format!("{when}  became a dead letter ({fault}){}", local(&message, style)),
        ("person", deed) => format!("{when}  {}", words::deed(deed, step.message.as_deref().unwrap_or_default())),
        (kind, word) => format!("{when}  {kind} {word}{message}"),
    };
    let answer = step.answer.as_ref().map(|answer| node(format!("answered: {}", one_line(answer))));
    Node { text, colour: PLAIN, below: answer.into_iter().collect() }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn parsed(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text).ok().map(|at| at.with_timezone(&Utc))
}

/// `2026-11-22 15:00:01.123` in the bus's time zone.
fn time(text: &str, style: &Style) -> String {
    let Some(at) = parsed(text) else { return text.to_owned() };
    at.with_timezone(&style.timezone).format("%Y-%m-%d %H:%M:%S%.3f").to_string()
}

/// Only the time of day where the day is that of `other`.
fn beside(text: &str, other: &str, style: &Style) -> String {
    let whole = time(text, style);
    let day = time(other, style);
    match (whole.split_once(' '), day.split_once(' ')) {
        (Some((day, of_day)), Some((same, _))) if day == same => of_day.to_owned(),
        _ => whole,
    }
}

/// Times in a sentence, in the bus's time zone.
fn local(sentence: &str, style: &Style) -> String {
    localised(sentence, style.timezone)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
