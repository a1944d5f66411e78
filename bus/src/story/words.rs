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

/// The state in a sentence.
pub fn sentence(state: &State, tried: bool) -> String {
    match state {
        State::Delivered => "delivered".to_owned(),
        State::Skipped(reason) => format!("not sent: {}", skipped(reason)),
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
