//! The open gates of all systems: one for the deliveries to each, one for its reads. A gate lives as long as its system's
//! options, however often routes are started anew behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::Incidents;
use bus_core::engine::metrics::Metrics;
use bus_core::engine::pauses::Pauses;
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::SystemName;

/// Ends the name of the gate of a system's reads.
pub const READS: &str = ".reads";

/// See the module's comment.
pub struct Gates {
    store: Arc<dyn StateStore>,
    pauses: Pauses,
    incidents: Incidents,
    metrics: Metrics,
    open: Mutex<BTreeMap<SystemName, Open>>,
}

struct Open {
    gate: Arc<Gate>,
    /// For deliveries, which status shows.
    delivers: bool,
}

impl Gates {
    pub fn new(store: Arc<dyn StateStore>, pauses: Pauses, incidents: Incidents, metrics: Metrics) -> Self {
        Self { store, pauses, incidents, metrics, open: Mutex::default() }
    }

    /// The gate of this name; opened with this capacity unless it is open. Not to be called twice at the same time.
    pub async fn at(&self, name: SystemName, capacity: Capacity, delivers: bool) -> anyhow::Result<Arc<Gate>> {
        if let Some(open) = self.open().get(&name) {
            return Ok(Arc::clone(&open.gate));
        }
        let (store, incidents) = (Arc::clone(&self.store), self.incidents.clone());
        let gate = Gate::open(name.clone(), capacity, store, incidents, self.metrics.clone()).await;
        let gate = gate.context("the state store")?;
        // Records that are pushed come from no system of ours.
        if let Some(system) = if delivers { Some(name.as_str()) } else { name.as_str().strip_suffix(READS) } {
            gate.follow(self.pauses.clone(), SystemName::new(system)?);
        }
        self.open().insert(name, Open { gate: Arc::clone(&gate), delivers });
        Ok(gate)
    }

    /// One that is open.
    pub fn known(&self, name: &SystemName) -> Option<Arc<Gate>> {
        self.open().get(name).map(|open| Arc::clone(&open.gate))
    }

    /// The gates of systems that are delivered to.
    pub fn delivering(&self) -> Vec<(SystemName, Arc<Gate>)> {
        let open = self.open();
        open.iter()
            .filter(|(_, open)| open.delivers)
            .map(|(name, open)| (name.clone(), Arc::clone(&open.gate)))
            .collect()
    }

    /// Closes one, when everything behind it has ended by itself: the next one of this name goes on with its pace.
    pub async fn close(&self, name: &SystemName) {
        let open = self.open().remove(name);
        if let Some(Open { gate, .. }) = open
            && let Err(error) = gate.close().await
        {
            tracing::warn!(system = name.as_str(), "the next start will wait for a request time-out: {error}");
        }
    }

    /// Forgets one behind which an attempt was cut off: the next one of this name waits until it must be over (R11).
    pub fn abandon(&self, name: &SystemName) {
        self.open().remove(name);
    }

    /// Closes all, at a clean end.
    pub async fn close_all(&self) {
        let names: Vec<SystemName> = self.open().keys().cloned().collect();
        for name in names {
            self.close(&name).await;
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<SystemName, Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
