//! A comparison in words and columns.

use super::outcome::in_order_of;
use super::past::{Compared, Standing};
use super::sides::side_by_side;
use super::{Difference, Outcome};

/// One route's comparison as lines; at most `show` of its differences.
pub fn told(compared: &Compared, show: usize, width: usize, colour: bool) -> Vec<String> {
    let Compared { route, stream, is, messages, requests, differences } = compared;
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
        0 => bold(format!("{route}{what}: the same for {of}")),
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
    lines.push(String::new());
    lines
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
