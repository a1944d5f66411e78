//! The names of the one landscape, and messages as its capture would have sealed them.

use std::sync::Arc;
use std::time::Duration;

use bus_core::engine::worker::{Late, Requirement};
use bus_core::ports::requires::References;
use bus_core::ports::shape::ShapeError;
use bus_core::vocabulary::{
    ContentHash, Envelope, FeedName, Key, MessageId, Moment, Operation, QueueName, RouteName, Seq, StreamName,
    SystemName,
};
use bytes::Bytes;

use super::table::content;

/// The one stream.
pub fn stream() -> StreamName {
    StreamName::new("остатки").expect("letters are a name")
}

/// Its queue.
pub fn queue() -> QueueName {
    QueueName::new("остатки-в-магазин").expect("letters and hyphens are a name")
}

/// The one feed.
pub fn feed() -> FeedName {
    FeedName::new("склад").expect("letters are a name")
}

/// The receiver's system.
pub fn system() -> SystemName {
    SystemName::new("магазин").expect("letters are a name")
}

/// The one route.
pub fn route() -> RouteName {
    RouteName::new("остатки-в-магазин").expect("letters and hyphens are a name")
}

/// Version `number` of a key, as capture would have sealed it in this epoch.
pub fn message(key: &str, epoch: u64, number: u64, value: &str) -> Envelope {
    sealed(key, epoch, number, Operation::Upsert, &content(value))
}

/// A deletion.
pub fn deletion(key: &str, epoch: u64, number: u64) -> Envelope {
    sealed(key, epoch, number, Operation::Delete, &format!("{{\"ключ\":\"{key}\"}}"))
}

fn sealed(key: &str, epoch: u64, number: u64, operation: Operation, body: &str) -> Envelope {
    let (key, body) = (Key::from_stored(key), Bytes::copy_from_slice(body.as_bytes()));
    let hash = ContentHash::of(operation, &body);
    Envelope {
        id: MessageId::derive(&stream(), &key, number, &hash),
        stream: stream(),
        key,
        seq: Seq { epoch, number },
        generation: number,
        operation,
        time: Moment::now(),
        label: None,
        hash,
        body,
    }
}

/// Every record but that one refers to this one of the same stream, which the one route brings.
pub fn refers_to(key: &'static str, late: Late) -> Requirement {
    Requirement {
        stream: stream(),
        from: Arc::from([route()]),
        references: Arc::new(Always(key)),
        within: Duration::from_millis(if late == Late::Send { 30 } else { 3_600_000 }),
        late,
        preloaded: false,
    }
}

struct Always(&'static str);

impl References for Always {
    fn of(&self, _body: &[u8]) -> Result<Vec<Key>, ShapeError> {
        Ok(vec![Key::from_stored(self.0)])
    }
}
