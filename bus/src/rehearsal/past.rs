//! What two configurations make of the same past messages, beside each other.

use std::collections::HashMap;

use bus_core::ports::state::Settled;
use bus_core::vocabulary::{Envelope, Key, RouteName, Seq};
use serde::Serialize;

use super::{Outcome, Stage};

/// One route under both configurations.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub route: String,
    pub stream: String,
    /// Only in the new one, only in the old one, or in both.
    pub is: Standing,
    /// Messages looked at.
    pub messages: usize,
    /// Requests that these take: before, after.
    pub requests: (usize, usize),
    /// Messages with another outcome, oldest first.
    pub differences: Vec<Other>,
}

/// Whether a route is in both configurations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Kept,
    New,
    Removed,
}

/// A message with another outcome.
#[derive(Debug, Serialize)]
pub struct Other {
    pub key: String,
    pub label: Option<String>,
    pub seq: String,
    /// `None`: the route is not there.
    pub before: Option<Outcome>,
    pub after: Option<Outcome>,
}

/// Plays messages of the route's stream, oldest first, under both. `ids`: what the route's receiver calls its records.
pub fn compared(
    (before, after): (&Stage, &Stage),
    route: &RouteName,
    is: Standing,
    messages: &[Envelope],
    ids: &HashMap<Key, String>,
) -> Compared {
    let (mut old, mut new) = (Side::new(before, route, is, ids), Side::new(after, route, is, ids));
    let mut differences = Vec::new();
    for envelope in messages {
        let (before, after) = (old.play(envelope), new.play(envelope));
        if before != after {
            differences.push(Other {
                key: envelope.key.as_str().to_owned(),
                label: envelope.label.clone(),
                seq: envelope.seq.to_string(),
                before,
                after,
            });
        }
    }
    Compared {
        route: route.to_string(),
        stream: messages.first().map(|envelope| envelope.stream.to_string()).unwrap_or_default(),
        is,
        messages: messages.len(),
        requests: (old.requests, new.requests),
        differences,
    }
}

/// One configuration on its way through the messages.
struct Side<'a> {
    stage: &'a Stage,
    route: &'a RouteName,
    is: Standing,
    ids: &'a HashMap<Key, String>,
    /// Whether the receiver has the record, by what was played so far.
    present: HashMap<Key, bool>,
    requests: usize,
}

impl<'a> Side<'a> {
    fn new(stage: &'a Stage, route: &'a RouteName, is: Standing, ids: &'a HashMap<Key, String>) -> Self {
        Self { stage, route, is, ids, present: HashMap::new(), requests: 0 }
    }

    fn play(&mut self, envelope: &Envelope) -> Option<Outcome> {
        // What was published before the first message looked at is taken to be at the receiver, unless the route is new.
        let begun = envelope.generation > 1 && self.is != Standing::New;
        let known = self.present.get(&envelope.key).copied();
        let settled = known.or(begun.then_some(true)).map(|present| Settled {
            seq: Seq { epoch: 0, number: 0 },
            id: None,
            present,
            doubt: false,
            receiver_id: self.ids.get(&envelope.key).cloned(),
        });
        let (mut outcome, present) = self.stage.play(self.route, envelope, settled.as_ref())?;
        if let Some(present) = present {
            self.requests += 1;
            self.present.insert(envelope.key.clone(), present);
        }
        if let Outcome::Request(request) = &mut outcome {
            request.hide_signs();
        }
        Some(outcome)
    }
}
