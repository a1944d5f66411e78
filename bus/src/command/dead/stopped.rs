//! Replaying and dropping while the bus is stopped: straight in its state store, and noted in its journal.

use std::collections::HashMap;
use std::sync::Arc;

use bus_config::Bus;
use bus_core::engine::chronicle::Chronicle;
use bus_core::ports::journal::{Deed, Journal};
use bus_core::ports::state::{DeadFilter, Replay, ReplayMode, StateError, StateStore};
use bus_core::vocabulary::{RouteName, Seq, StreamName};
use bus_storage::{Database, JournalBounds, SqliteJournal, SqliteState};

use crate::command::who::who;

/// The store of a bus that does not run; meanwhile none can start.
pub(super) struct Stopped {
    state: SqliteState,
    journal: Arc<SqliteJournal>,
}

impl Stopped {
    pub fn open(bus: &Bus) -> anyhow::Result<Self> {
        let database = Database::open(&bus.state)?;
        let bounds = JournalBounds { age: bus.journal.age, bytes: bus.journal.bytes };
        let journal = Arc::new(SqliteJournal::open(database.clone(), bounds));
        Ok(Self { state: SqliteState::new(database), journal })
    }

    pub async fn replay(&self, id: i64, mode: ReplayMode) -> Result<Replay, StateError> {
        let outcome = self.state.replay(id, mode).await?;
        if let Replay::Waiting { route, stream, seq, .. } = &outcome {
            let deed = if mode == ReplayMode::Forced { Deed::Forced } else { Deed::Replayed };
            self.note(route, (stream, *seq), deed).await;
        }
        Ok(outcome)
    }

    pub async fn drop_dead(&self, id: i64) -> Result<bool, StateError> {
        let filter = DeadFilter { id: Some(id), ..DeadFilter::default() };
        let row = self.state.dead_letters(&filter).await?.pop();
        let dropped = self.state.drop_dead(id).await?;
        if let Some((route, envelope)) = row.and_then(|row| row.route.zip(row.letter.envelope)).filter(|_| dropped) {
            self.note(&route, (&envelope.stream, envelope.seq), Deed::Dropped).await;
        }
        Ok(dropped)
    }

    async fn note(&self, route: &RouteName, message: (&StreamName, Seq), deed: Deed) {
        let journal: Arc<dyn Journal> = Arc::clone(&self.journal) as _;
        Chronicle::new(journal, HashMap::new()).person(route, message, deed, &who());
        // It is done all the same: the story then lacks who did it.
        let _ = self.journal.flush().await;
    }
}
