//! What people order: kept by the same store as everything else, and shared by all parts of the process.

use std::sync::Arc;

use anyhow::Context;
use bus_core::engine::backfills::Backfills;
use bus_core::engine::incident::Incidents;
use bus_core::engine::pauses::Pauses;
use bus_core::engine::rewind::Rewinds;
use bus_core::engine::tasks::Tasks;
use bus_core::ports::cursors::CursorStore;
use bus_core::ports::triage::TriageStore;
use bus_storage::SqliteState;

/// See the module's comment. Cloning shares it.
#[derive(Clone)]
pub struct Operations {
    pub pauses: Pauses,
    pub triage: Arc<dyn TriageStore>,
    pub tasks: Tasks,
    pub backfills: Backfills,
    pub rewinds: Rewinds,
    pub cursors: Arc<dyn CursorStore>,
}

impl Operations {
    /// What an earlier process was told counts on.
    pub async fn open(store: &Arc<SqliteState>, incidents: &Incidents) -> anyhow::Result<Self> {
        let pauses = Pauses::load(Arc::clone(store) as _, incidents.clone()).await.context("the state store")?;
        let tasks = Tasks::load(Arc::clone(store) as _).await.context("the state store")?;
        let backfills = Backfills::new(Arc::clone(store) as _, tasks.clone());
        let (triage, cursors) = (Arc::clone(store) as _, Arc::clone(store) as _);
        Ok(Self { pauses, triage, tasks, backfills, rewinds: Rewinds::default(), cursors })
    }
}
