//! Sample messages and names for the suites: Cyrillic on purpose, and fresh for each property.

use std::sync::atomic::{AtomicU64, Ordering};

use bus_core::vocabulary::{ContentHash, Envelope, Key, MessageId, Moment, Operation, Seq, StreamName};

/// A suffix no other property of this or another run uses, so that suites can share one server.
pub fn fresh() -> String {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{:08x}-{}", fastrand::u32(..), COUNTER.fetch_add(1, Ordering::Relaxed))
}

/// A stream name no other property uses.
pub fn stream() -> StreamName {
    StreamName::new(&format!("заказы-{}", fresh())).expect("letters, digits and hyphens are a name")
}

/// Message `number` of epoch 1 with a body that names it; generation and content differ for each number.
pub fn envelope(stream: &StreamName, key: &str, number: u64) -> Envelope {
    with_body(stream, key, number, format!("{{\"Номер\":{number},\"Сумма\":12345678901234567.89}}").into_bytes())
}

/// As [`envelope`], with a given body.
pub fn with_body(stream: &StreamName, key: &str, number: u64, body: Vec<u8>) -> Envelope {
    let key = Key::from_stored(key);
    let hash = ContentHash::of(Operation::Upsert, &body);
    Envelope {
        id: MessageId::derive(stream, &key, number, &hash),
        stream: stream.clone(),
        key,
        seq: Seq { epoch: 1, number },
        generation: number,
        operation: Operation::Upsert,
        time: Moment(1_763_800_000_000 + i64::try_from(number).unwrap_or(0)),
        label: Some(format!("УТ-{number:06}")),
        hash,
        body: body.into(),
    }
}

/// Messages `from..=to` of epoch 1, over seven keys.
pub fn run(stream: &StreamName, from: u64, to: u64) -> Vec<Envelope> {
    (from..=to).map(|number| envelope(stream, &format!("ключ-{}", number % 7), number)).collect()
}
