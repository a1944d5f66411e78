//! Storage in one SQLite file: the state store and the embedded broker, sharing one writer and its disk flushes.
//!
//! [`Database`] owns the file: its lock, its schema, one writer thread with group commit, a few reader threads.
//! [`SqliteState`], [`EmbeddedBroker`] and [`SqliteJournal`] are views of it; with both on one database, what a worker settles and what
//! a capture publishes at the same moment cost one flush.

mod database;
mod failure;
#[cfg(test)]
mod full_disk;
mod joins;
mod journal;
mod lock;
mod look;
mod maps;
mod names;
mod number;
mod numbers;
mod operations;
mod parts;
mod places;
mod queue;
mod readers;
mod runs;
mod schema;
mod state;
mod watch;
mod work;
mod writer;

pub use database::{Database, OpenError};
pub use joins::{JoinPlan, JoinSource, JoinedPart, StoredPart};
pub use journal::{JournalBounds, SqliteJournal};
pub use lock::{Holder, holder};
pub use look::{Look, look};
pub use maps::{Gives, ReceiverIds, StoredMap};
pub use queue::EmbeddedBroker;
pub use runs::SqliteRuns;
pub use state::{SqliteState, SqliteWrites};
