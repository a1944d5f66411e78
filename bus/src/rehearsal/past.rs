//! What two configurations make of the same past messages, beside each other.

use std::collections::HashMap;

use bus_core::engine::worker::shared;
use bus_core::ports::state::Settled;
use bus_core::ports::target::Parcel;
use bus_core::vocabulary::{Envelope, Key, Moment, Operation, RouteName, Seq};
use serde::Serialize;

use super::stage::Played;
use super::{Outcome, Request, Stage};

/// One route under both configurations.
#[derive(Debug, Serialize)]
pub struct Compared {
    pub route: String,
    pub stream: String,
    /// Only in the new one, only in the old one, or in both.
    pub is: Standing,
    /// Messages looked at.
    pub messages: usize,
    /// Records that these send: before, after.
    pub records: (usize, usize),
    /// Requests that these take: before, after.
    pub requests: (usize, usize),
    /// The requests themselves, where several records share one: before, after.
    pub shared: (Vec<Shared>, Vec<Shared>),
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

/// A request with the records of several messages.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Shared {
    /// The label of each, or its key.
    pub records: Vec<String>,
    pub request: Request,
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
    let records = (old.sent.len(), new.sent.len());
    let ((before, old), (after, new)) = (old.requests(), new.requests());
    Compared {
        route: route.to_string(),
        stream: messages.first().map(|envelope| envelope.stream.to_string()).unwrap_or_default(),
        is,
        messages: messages.len(),
        records,
        requests: (before, after),
        shared: (old, new),
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
    /// When each was read, and what was sent of it.
    sent: Vec<(Moment, Parcel)>,
}

impl<'a> Side<'a> {
    fn new(stage: &'a Stage, route: &'a RouteName, is: Standing, ids: &'a HashMap<Key, String>) -> Self {
        Self { stage, route, is, ids, present: HashMap::new(), sent: Vec::new() }
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
        let Played { mut outcome, sent } = self.stage.play(self.route, envelope, settled.as_ref())?;
        if let Some(parcel) = sent {
            self.present.insert(envelope.key.clone(), parcel.operation == Operation::Upsert);
            self.sent.push((envelope.time, parcel));
        }
        if let Outcome::Request(request) = &mut outcome {
            request.hide_signs();
        }
        Some(outcome)
    }

    /// How many requests these take, and those with the records of several messages.
    fn requests(self) -> (usize, Vec<Shared>) {
        let Some(batch) = self.stage.batch(self.route) else { return (self.sent.len(), Vec::new()) };
        let all = shared(batch, &self.sent);
        let request = |places: &Vec<usize>| {
            let parcels: Vec<Parcel> = places.iter().map(|place| self.sent[*place].1.clone()).collect();
            let mut request = self.stage.request(self.route, &parcels)?;
            request.hide_signs();
            let name = |parcel: &Parcel| {
                let label = parcel.envelope.label.clone();
                label.unwrap_or_else(|| parcel.envelope.key.as_str().to_owned())
            };
            Some(Shared { records: parcels.iter().map(name).collect(), request })
        };
        (all.len(), all.iter().filter_map(request).collect())
    }
}
