//! States in sentences.

use bus_core::ports::story::State;

/// A stable word.
pub fn word(state: &State) -> &'static str {
    match state {
        State::Delivered => "delivered",
        State::Skipped(_) => "skipped",
        State::Settled => "settled",
        State::Dead(_) => "dead",
        State::WasDead => "was-dead",
        State::Waiting { .. } => "waiting",
        State::OnItsWay => "on-its-way",
        State::NoTrace => "no-trace",
    }
}

/// Characters of a filter that are shown; the file has the rest.
const FILTER: usize = 200;

/// The state in a sentence; `filter` is the route's `when`, as it is now.
pub fn sentence(state: &State, tried: bool, filter: Option<&str>) -> String {
    match state {
        State::Delivered => "delivered".to_owned(),
        State::Skipped(reason) => {
            let filter = filter.filter(|_| matches!(reason.as_str(), "filtered" | "left")).map(written);
            format!("not sent: {}{}", skipped(reason), filter.unwrap_or_default())
        }
        State::Settled => "settled; how is not in the journal: delivered, or overtaken by a newer version".to_owned(),
        State::Dead(number) => format!("not accepted: dead letter {number}"),
        State::WasDead => {
            "was a dead letter, which a person has dropped, or which a newer version has replaced".to_owned()
        }
        State::Waiting { reason, attempts, .. } => {
            let attempts =
                if *attempts > 0 { format!(", after {attempts} failed attempts that count") } else { String::new() };
            format!("waits: {}{attempts}", held(reason.as_str()))
        }
        State::OnItsWay if tried => "on its way: tried, and not settled yet".to_owned(),
        State::OnItsWay => "on its way: in the queue of the route or in hand".to_owned(),
        State::NoTrace => "no trace here: read before the route took the stream, or in hand right now".to_owned(),
    }
}

/// `: when = .Posted == true`
fn written(filter: &str) -> String {
    let line = filter.split_whitespace().collect::<Vec<_>>().join(" ");
    let cut = line.char_indices().nth(FILTER).map(|(at, _)| format!("{}…", &line[..at]));
    format!(": when = {}", cut.unwrap_or(line))
}

/// What a person did, as `edited by anna@erp1`.
pub fn deed(deed: &str, who: &str) -> String {
    let by = if who.is_empty() { "by somebody".to_owned() } else { format!("by {who}") };
    match deed {
        "imported" => format!("brought back: bus dead import {by}"),
        "replayed" => format!("replayed {by}"),
        "forced" => format!("replayed {by}, even over a newer version"),
        "resent" => format!("sent again: bus resend {by}"),
        "loaded" => format!("brought by bus load {by}"),
        other => format!("{other} {by}"),
    }
}

/// Why a message was not sent.
pub fn skipped(reason: &str) -> &str {
    match reason {
        "filtered" => "the route's filter does not want it",
        "left" => "it no longer matches the filter, and the receiver keeps what it has (when_left = \"ignore\")",
        "repeat" => "the receiver has this content already",
        "deletes-ignored" => "the route sends no deletions (no on_delete)",
        "not-at-receiver" => "the receiver does not hold the record, so there is nothing to delete",
        "superseded" => "a newer version took its place",
        other => other,
    }
}

/// Why a message waits.
pub fn held(reason: &str) -> &str {
    match reason {
        "behind" => "an earlier message of its key goes first",
        "retry" => "it failed for now and is tried again",
        "closed" => "the receiver takes nothing for now",
        "paused" => "the route is paused",
        "replay" => "a person sent it again",
        "map" => "a map does not know a value yet",
        "requires" => "what it refers to has not been delivered to the receiver",
        "load" => "a load or a resend brings it, at its own pace",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_told_and_cut() {
        let skipped = |reason: &str, filter| sentence(&State::Skipped(reason.into()), false, filter);
        assert_eq!(
            skipped("filtered", Some(".Posted ==\n  true")),
            "not sent: the route's filter does not want it: when = .Posted == true"
        );
        assert!(skipped("left", Some(".a")).ends_with("(when_left = \"ignore\"): when = .a"));
        assert!(!skipped("repeat", Some(".a")).contains("when"));
        let long = skipped("filtered", Some(&"щ".repeat(300)));
        assert!(long.matches('щ').count() == FILTER && long.ends_with('…'), "{long}");
    }

    #[test]
    fn people_are_named_with_what_they_did() {
        assert_eq!(deed("edited", "anna@erp1"), "edited by anna@erp1");
        assert_eq!(deed("resent", "anna@erp1"), "sent again: bus resend by anna@erp1");
        assert_eq!(deed("dropped", ""), "dropped by somebody");
    }
}
