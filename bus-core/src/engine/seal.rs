//! Sealing: from records to envelopes with identity and order. Pure.

use std::collections::HashMap;

use crate::ports::state::Published;
use crate::vocabulary::{ContentHash, Envelope, Key, MessageId, Moment, Record, Seq, StreamName};

/// Of a label, in bytes. Every copy of a message carries it, in RabbitMQ as a header, and the headers of a message must fit into
/// one frame: a longer one would end the connection that all feeds publish through, again and again.
const LABEL: usize = 512;

/// What was last published of each key in hand.
pub type LastPublished = HashMap<(StreamName, Key), Published>;

/// The numbers that the epoch's next messages get, by stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    epoch: u64,
    last: HashMap<StreamName, u64>,
}

impl Numbering {
    /// Numbers of a fresh epoch: each stream starts at 1.
    pub fn new(epoch: u64) -> Self {
        Self { epoch, last: HashMap::new() }
    }

    fn next(&mut self, stream: &StreamName) -> Seq {
        let last = self.last.entry(stream.clone()).or_insert(0);
        *last += 1;
        Seq { epoch: self.epoch, number: *last }
    }
}

/// Seals what is new: a record whose content is the last published one of its key is dropped as a repeat.
///
/// `published` is brought up to date on the way, so several versions of a key in one batch get rising generations.
/// `numbering` is advanced; the caller keeps the advanced copy only if the seal was stored, so numbers stay contiguous.
pub fn seal(
    records: Vec<Record>,
    published: &mut LastPublished,
    numbering: &mut Numbering,
    now: Moment,
) -> Vec<Envelope> {
    let mut envelopes = Vec::with_capacity(records.len());
    for record in records {
        let hash = ContentHash::of(record.operation, &record.body);
        let deleted = record.operation == crate::vocabulary::Operation::Delete;
        let place = (record.stream.clone(), record.key.clone());
        let last = published.get(&place);
        if last.is_some_and(|last| last.hash == hash || (deleted && last.deleted)) {
            continue;
        }
        let generation = last.map_or(1, |last| last.generation + 1);
        published.insert(place, Published { generation, hash, deleted });
        envelopes.push(Envelope {
            id: MessageId::derive(&record.stream, &record.key, generation, &hash),
            seq: numbering.next(&record.stream),
            stream: record.stream,
            key: record.key,
            generation,
            operation: record.operation,
            time: now,
            label: record.label.map(bounded),
            hash,
            body: record.body,
        });
    }
    envelopes
}

/// A label as messages carry it: cut between two characters where it is long.
pub(super) fn bounded(mut label: String) -> String {
    label.truncate(label.floor_char_boundary(LABEL));
    label
}

/// Splits a batch into publish windows: in order, at most `size` long, never two versions of a key in one (R8), one
/// stream each.
pub fn windows(envelopes: &[Envelope], size: usize) -> Vec<&[Envelope]> {
    let mut windows = Vec::new();
    let mut start = 0;
    let mut keys = std::collections::HashSet::new();
    for (index, envelope) in envelopes.iter().enumerate() {
        let other_stream = envelopes[start].stream != envelope.stream;
        if index - start == size || other_stream || keys.contains(&&envelope.key) {
            windows.push(&envelopes[start..index]);
            start = index;
            keys.clear();
        }
        keys.insert(&envelope.key);
    }
    if start < envelopes.len() {
        windows.push(&envelopes[start..]);
    }
    windows
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::vocabulary::Operation;

    fn record(key: &str, body: &'static str) -> Record {
        Record {
            stream: StreamName::new("stock").unwrap(),
            key: Key::from_stored(key),
            operation: Operation::Upsert,
            label: None,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn a_value_that_returns_is_a_new_message_and_a_repeat_is_none() {
        let (mut published, mut numbering) = (LastPublished::new(), Numbering::new(7));
        let records = vec![record("a", "100"), record("a", "100"), record("a", "90"), record("a", "100")];
        let sealed = seal(records, &mut published, &mut numbering, Moment(0));
        assert_eq!(sealed.iter().map(|e| (e.generation, e.seq.number)).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 3)]);
        assert_ne!(sealed[0].id, sealed[2].id);
        assert!(seal(vec![record("a", "100")], &mut published, &mut numbering, Moment(0)).is_empty());
    }

    #[test]
    fn a_deletion_is_said_once_and_a_record_may_come_back() {
        let (mut published, mut numbering) = (LastPublished::new(), Numbering::new(1));
        let delete = |body| Record { operation: Operation::Delete, ..record("a", body) };
        let records = vec![record("a", "1"), delete("x"), delete("y"), record("a", "1")];
        let sealed = seal(records, &mut published, &mut numbering, Moment(0));
        assert_eq!(sealed.iter().map(|e| e.operation.as_str()).collect::<Vec<_>>(), ["upsert", "delete", "upsert"]);
    }

    #[test]
    fn a_label_is_cut_between_characters() {
        let labelled = |label: String| Record { label: Some(label), ..record("a", "1") };
        let label = |label: String| {
            let sealed = seal(vec![labelled(label)], &mut LastPublished::new(), &mut Numbering::new(1), Moment(0));
            sealed[0].label.clone().unwrap()
        };
        assert_eq!(label("Заказ УТ-000123".into()), "Заказ УТ-000123");
        assert_eq!(label("я".repeat(100_000)), "я".repeat(256));
        assert_eq!(label(format!("x{}", "я".repeat(100_000))), format!("x{}", "я".repeat(255)));
    }

    #[test]
    fn a_window_holds_one_version_of_a_key() {
        let records = ["a", "b", "a", "c", "d", "e"].iter().zip(["1", "1", "2", "1", "1", "1"]);
        let records = records.map(|(key, body)| record(key, body)).collect();
        let sealed = seal(records, &mut LastPublished::new(), &mut Numbering::new(1), Moment(0));
        let sizes: Vec<usize> = windows(&sealed, 3).iter().map(|w| w.len()).collect();
        assert_eq!(sizes, [2, 3, 1]);
        assert!(windows(&[], 3).is_empty());
    }
}
