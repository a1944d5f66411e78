//! [`SqliteJournal`]: the journal on a [`Database`].
//!
//! Notes wait in memory and ride along with the writer's next transaction, so they cost no flush of their own, and a
//! note that was made before something was committed is durable with it.

mod block;
mod buffer;
mod find;
mod note;
pub(crate) mod recent;
mod row;
mod story;
mod trim;
mod write;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::journal::{Event, Journal};
use bus_core::ports::recent::Recent;
use bus_core::ports::state::StateError;
use bus_core::ports::story::{Found, Search, Stories, Story, StoryOf};
use bus_core::vocabulary::{Envelope, Moment, StreamName};

use self::buffer::Buffer;
use self::note::Note;
use crate::database::Database;
use crate::writer::Owner;

/// How much the journal keeps. What is older or more goes, the oldest first, in small steps beside other writes.
#[derive(Debug, Clone, Copy)]
pub struct JournalBounds {
    /// For how long.
    pub age: Duration,
    /// How many bytes, bodies included, as they are estimated when they are written.
    pub bytes: u64,
}

/// [`Journal`] and [`Stories`] on a [`Database`]. Cloning shares it.
#[derive(Clone)]
pub struct SqliteJournal {
    database: Database,
    /// `None` when opened for looking only.
    buffer: Option<Arc<Buffer>>,
}

impl SqliteJournal {
    /// The journal of an open database; it has one, so a second one takes no notes.
    pub fn open(database: Database, bounds: JournalBounds) -> Self {
        let buffer = Arc::new(Buffer::new(bounds));
        let buffer = database.register(Owner::Journal, buffer.clone()).then_some(buffer);
        Self { database, buffer }
    }

    /// For looking only.
    pub fn readonly(database: Database) -> Self {
        Self { database, buffer: None }
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn note(&self, event: Event) {
        let Some(buffer) = &self.buffer else { return };
        buffer.add(match event {
            Event::Sealed(run) if run.envelopes.is_empty() => return,
            Event::Sealed(run) => Note::Block(Box::new(block::pack(run))),
            Event::Published { stream, first, last, at } => Note::Published { stream, first, last, at },
            Event::Step(step) => Note::Step(Box::new(step)),
        });
    }

    async fn flush(&self) -> Result<(), StateError> {
        let Some(buffer) = &self.buffer else { return Ok(()) };
        let noted = buffer.noted();
        // Any transaction takes the notes along.
        self.database.write(0, |_| Ok(())).await?;
        if buffer.durable() < noted {
            return Err(StateError::Failed("the journal could not be written; its notes wait".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl Stories for SqliteJournal {
    async fn find(&self, search: &Search) -> Result<Found, StateError> {
        let search = search.clone();
        self.database.read(move |connection| find::find(connection, &search)).await
    }

    async fn story(&self, of: &StoryOf) -> Result<Story, StateError> {
        let (of, now) = (of.clone(), Moment::now());
        self.database.read(move |connection| story::story(connection, &of, now)).await
    }
}

#[async_trait]
impl Recent for SqliteJournal {
    async fn newest(&self, stream: &StreamName, limit: usize) -> Result<Vec<Envelope>, StateError> {
        let stream = stream.clone();
        self.database.read(move |connection| recent::newest(connection, &stream, limit)).await
    }

    async fn read_since(&self, stream: &StreamName, since: Moment) -> Result<u64, StateError> {
        let stream = stream.clone();
        self.database.read(move |connection| recent::read_since(connection, &stream, since)).await
    }
}
