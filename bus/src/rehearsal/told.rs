//! A comparison in words and columns.

use super::outcome::in_order_of;
use super::past::{Compared, Shared, Standing};
use super::sides::side_by_side;
use super::{Difference, Outcome};

/// Lines of one request of many records; JSON has them all.
const LINES: usize = 60;
/// Records of a request that are named.
const NAMED: usize = 5;

/// One route's comparison as lines; at most `show` of its differences, and of the requests that records share.
pub fn told(compared: &Compared, show: usize, width: usize, colour: bool) -> Vec<String> {
    let Compared { route, stream, is, messages, records: _, requests, shared, differences } = compared;
    let bold = |text: String| if colour { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text };
    let what = match is {
        Standing::Kept => "",
        Standing::New => " (new)",
        Standing::Removed => " (removed)",
    };
    if *messages == 0 {
        return vec![bold(format!("{route}{what}: no message to look at"))];
    }
    let of = format!("the last {messages} messages of {stream}");
    let mut lines = vec![match differences.len() {
        0 if requests.0 == requests.1 => bold(format!("{route}{what}: the same for {of}")),
        0 => bold(format!("{route}{what}: the same records for {of}; {} requests, then {}", requests.0, requests.1)),
        count => bold(format!("{route}{what}: {count} of {of} differ; {} requests, then {}", requests.0, requests.1)),
    }];
    for other in differences.iter().take(show) {
        let name = other.label.as_ref().filter(|label| **label != other.key);
        let name = name.map_or_else(|| other.key.clone(), |label| format!("{label} (key {})", other.key));
        lines.push(format!("\n{name}, {}: before, and after", other.seq));
        let (before, after) = (lines_of(other.before.as_ref()), ordered(other.before.as_ref(), other.after.as_ref()));
        lines.extend(side_by_side(&Difference::of(&before, &after), width, colour));
    }
    if differences.len() > show {
        lines.push(format!("\n… and {} more of {route} (--show, or --json for all)", differences.len() - show));
    }
    lines.extend(requests_of_several(shared, show, width, colour));
    lines.push(String::new());
    lines
}

/// The requests that records share, where these differ: the first before and the first after, and so on.
fn requests_of_several(shared: &(Vec<Shared>, Vec<Shared>), show: usize, width: usize, colour: bool) -> Vec<String> {
    let (before, after) = shared;
    let all = before.len().max(after.len());
    let pairs = (0..all).map(|place| (place, before.get(place), after.get(place)));
    let mut differ = pairs.filter(|(_, before, after)| before != after);
    let mut lines = Vec::new();
    for (place, before, after) in differ.by_ref().take(show) {
        let named = |one: Option<&Shared>| one.map_or_else(|| "none".to_owned(), |one| of_whom(&one.records));
        lines.push(format!("\nshared request {} of {all}: {}, then {}", place + 1, named(before), named(after)));
        let body = |one: Option<&Shared>| {
            one.map_or_else(Vec::new, |one| Outcome::Request(one.request.clone()).with_headers())
        };
        let mut both = side_by_side(&Difference::of(&body(before), &body(after)), width, colour);
        if both.len() > LINES {
            let more = both.len() - LINES;
            both.truncate(LINES);
            both.push(format!("  … and {more} more lines (--json for all)"));
        }
        lines.extend(both);
    }
    let more = differ.count();
    if more > 0 {
        lines.push(format!("\n… and {more} more shared requests (--show, or --json for all)"));
    }
    lines
}

/// `3 records (УТ-1, УТ-2, УТ-3)`
fn of_whom(records: &[String]) -> String {
    let more = if records.len() > NAMED { ", …" } else { "" };
    let count = if records.len() == 1 { "1 record".to_owned() } else { format!("{} records", records.len()) };
    format!("{count} ({}{more})", records[..records.len().min(NAMED)].join(", "))
}

fn lines_of(outcome: Option<&Outcome>) -> Vec<String> {
    outcome.map_or_else(|| vec!["the route is not there".to_owned()], Outcome::with_headers)
}

/// The fields of what comes after stand as in what came before, where both are requests.
fn ordered(before: Option<&Outcome>, after: Option<&Outcome>) -> Vec<String> {
    let (Some(Outcome::Request(before)), Some(Outcome::Request(after))) = (before, after) else {
        return lines_of(after);
    };
    let mut after = after.clone();
    if let (Some(model), Some(body)) = (&before.body, &after.body) {
        after.body = Some(in_order_of(model, body));
    }
    Outcome::Request(after).with_headers()
}
