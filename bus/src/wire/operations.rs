//! What people order: kept by the same store as everything else, and shared by all parts of the process.

use std::sync::Arc;

use anyhow::Context;
use bus_core::engine::incident::Incidents;
use bus_core::engine::pauses::Pauses;
use bus_core::ports::triage::TriageStore;
use bus_storage::SqliteState;

/// See the module's comment. Cloning shares it.
#[derive(Clone)]
pub struct Operations {
    pub pauses: Pauses,
    pub triage: Arc<dyn TriageStore>,
}

impl Operations {
    /// What an earlier process was told counts on.
    pub async fn open(store: &Arc<SqliteState>, incidents: &Incidents) -> anyhow::Result<Self> {
        let pauses = Pauses::load(Arc::clone(store) as _, incidents.clone()).await.context("the state store")?;
        Ok(Self { pauses, triage: Arc::clone(store) as _ })
    }
}
