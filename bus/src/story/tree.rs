//! A story as a tree of lines, within the terminal's width.

use chrono::{DateTime, SecondsFormat, Utc};
use chrono_tz::Tz;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::words;
use super::{Answer, Change, Comparison, Object, Route, Step, Version};

/// How it is printed.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// ANSI colours; only for a terminal.
    pub colour: bool,
    /// Times are told in it.
    pub timezone: Tz,
}

/// A line and what hangs below it.
struct Node {
    text: String,
    /// An SGR code for the whole line.
    colour: &'static str,
    below: Vec<Node>,
}

const PLAIN: &str = "";
const BOLD: &str = "1";
const GREEN: &str = "32";
const RED: &str = "31";
const YELLOW: &str = "33";
const DIM: &str = "2";
/// Below this nothing can be read; a narrower terminal wraps by itself.
const LEAST: usize = 40;

fn node(text: impl Into<String>) -> Node {
    Node { text: text.into(), colour: PLAIN, below: Vec::new() }
}

/// The whole answer.
pub fn tree(answer: &Answer, style: &Style) -> String {
    let mut out = String::new();
    if answer.objects.is_empty() {
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
    if let Some(lost) = &answer.journal.lost {
        out.push_str(&format!(
            "\nThe journal has lost {lost}, when the disk took nothing: stories have holes there.\n"
        ));
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
    let mut text = match since {
        Some(since) => format!("{what}{since} (the journal is kept for {kept})\n"),
        None => format!("{what}: the journal is empty\n"),
    };
    if !answer.near.is_empty() {
        text.push_str(&format!("near it: {}\n", answer.near.join(", ")));
    }
    text
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
    let mut below: Vec<Node> =
        route.steps.iter().filter(|step| told(step)).map(|step| step_node(step, version, style)).collect();
    below.extend(route.waits_for.iter().map(|what| Node { colour: YELLOW, ..node(local(what, style)) }));
    below.extend(route.remedy.iter().map(|remedy| node(remedy.clone())));
    Node { text: format!("{}: {}", route.route, route.words), colour, below }
}

/// A skip is told by the state.
fn told(step: &Step) -> bool {
    step.kind != "skipped"
}

fn step_node(step: &Step, version: &Version, style: &Style) -> Node {
    let at = beside(&step.at, &version.read_at, style);
    let when = match step.times {
        1 => at,
        times => format!("{} to {at}, {times} times", beside(&step.since, &version.read_at, style)),
    };
    let message = step.message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
    let status = step.status.map(|status| format!(" ({status})")).unwrap_or_default();
    let took = step.took_ms.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
    let until = step.until.as_ref().map(|until| format!(", not before {}", beside(until, &version.read_at, style)));
    let text = match (step.kind.as_str(), step.word.as_str()) {
        ("attempt", "ok") => format!("{when}  accepted{status}{took}"),
        ("attempt", fault) => format!("{when}  {fault}{status}{took}{message}"),
        ("held", reason) => format!("{when}  put aside: {}{}", words::held(reason), until.unwrap_or_default()),
        ("dead", fault) => format!(
            "{when}  became a dead letter ({fault}){}",
            if step.word == "shape" { message } else { String::new() }
        ),
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
    let word = |word: &str| match parsed(word) {
        Some(at) => time(&at.to_rfc3339_opts(SecondsFormat::Millis, true), style),
        None => word.to_owned(),
    };
    sentence.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

fn print(node: &Node, first: &str, rest: &str, style: &Style, out: &mut String) {
    let room = style.width.max(LEAST).saturating_sub(rest.width().max(first.width()));
    for (index, line) in wrapped(&node.text, room).iter().enumerate() {
        let lead = if index == 0 { first } else { rest };
        let continues = if index > 0 { if node.below.is_empty() { "  " } else { "│ " } } else { "" };
        let line = format!("{continues}{line}");
        match (style.colour, node.colour) {
            (true, code) if !code.is_empty() => out.push_str(&format!("{lead}\x1b[{code}m{line}\x1b[0m\n")),
            _ => out.push_str(&format!("{lead}{line}\n")),
        }
    }
    for (index, below) in node.below.iter().enumerate() {
        let last = index + 1 == node.below.len();
        let (branch, stem) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        print(below, &format!("{rest}{branch}"), &format!("{rest}{stem}"), style, out);
    }
}

/// Lines of at most `room` columns; continued ones leave two more for their indent. A word that is longer is cut.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.saturating_sub(2).max(10);
    let (mut lines, mut line) = (Vec::new(), String::new());
    let mut width = 0;
    for word in text.split(' ').flat_map(|word| pieces(word, room)) {
        let needs = word.width() + usize::from(!line.is_empty());
        if width + needs > room && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            width = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            width += 1;
        }
        width += word.width();
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

fn pieces(word: &str, room: usize) -> Vec<String> {
    let (mut pieces, mut piece, mut width) = (Vec::new(), String::new(), 0);
    // Terminals obey control characters, and an answer may hold any.
    for c in word.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }) {
        let columns = c.width().unwrap_or(0);
        if width + columns > room {
            pieces.push(std::mem::take(&mut piece));
            width = 0;
        }
        width += columns;
        piece.push(c);
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { width: 60, colour: false, timezone: chrono_tz::Europe::Moscow };

    #[test]
    fn lines_keep_to_the_width_in_columns_and_hang_below_their_parent() {
        let long = "широкое слово ".repeat(12);
        let leaf = |text: &str| node(text.trim());
        let root = Node {
            below: vec![Node { below: vec![leaf(&long)], ..node("а") }, leaf(&"щ".repeat(100))],
            ..node("к")
        };
        let mut out = String::new();
        print(&root, "", "", &STYLE, &mut out);
        assert!(out.lines().all(|line| line.width() <= 60), "{out}");
        assert!(out.starts_with("к\n├─ а\n│  └─ широкое слово"), "{out}");
        assert!(out.contains("\n│       широкое") || out.contains("\n│       слово"), "{out}");
        assert!(!out.contains('\x1b'));
        assert_eq!(out.matches('щ').count(), 100);
    }

    #[test]
    fn an_answer_cannot_steer_the_terminal() {
        let mut out = String::new();
        print(&node("\x1b[2Jweg"), "", "", &STYLE, &mut out);
        assert!(!out.contains('\x1b'));
        assert!(out.contains("weg"));
    }

    #[test]
    fn times_are_local_and_short_on_the_same_day() {
        let (one, other) = ("2026-11-22T22:30:00.500Z", "2026-11-22T21:00:00.000Z");
        assert_eq!(beside(one, other, &STYLE), "01:30:00.500");
        assert_eq!(beside(one, "2026-11-22T20:00:00.000Z", &STYLE), "2026-11-23 01:30:00.500");
        assert_eq!(
            local("closed until 2026-11-22T22:30:00.500Z now", &STYLE),
            "closed until 2026-11-23 01:30:00.500 now"
        );
    }

    #[test]
    fn an_unknown_word_is_told_with_what_is_near_and_how_far_the_journal_goes() {
        let answer = Answer {
            word: Some("УТ-1".into()),
            near: vec!["УТ-12".into()],
            journal: super::super::Journal {
                kept_for_seconds: 30 * 86_400,
                since: Some("2026-11-22T21:00:00.000Z".into()),
                lost: None,
            },
            ..Answer::default()
        };
        let text = tree(&answer, &STYLE);
        assert!(text.contains("\"УТ-1\" since 2026-11-23 00:00:00.000 (the journal is kept for 30d)"), "{text}");
        assert!(text.contains("near it: УТ-12"), "{text}");
    }
}
