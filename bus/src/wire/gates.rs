//! The open gates of all systems: one for the deliveries to each, one for its reads. A gate lives as long as its system's
//! options, however often routes are started anew behind it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bus_config::{Limits, System, is_own_route};
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::Incidents;
use bus_core::engine::metrics::Metrics;
use bus_core::engine::pauses::Pauses;
use bus_core::engine::worker::RoutePlan;
use bus_core::policy::{BreakerOptions, DEFAULT_MARGIN, Profile};
use bus_core::ports::state::StateStore;
use bus_core::vocabulary::{GateName, SystemName};

/// See the module's comment.
pub struct Gates {
    store: Arc<dyn StateStore>,
    pauses: Pauses,
    incidents: Incidents,
    metrics: Metrics,
    open: Mutex<BTreeMap<GateName, Arc<Gate>>>,
    /// Held by the one who opens a gate: nobody opens it a second time meanwhile.
    opening: tokio::sync::Mutex<()>,
}

/// What a route delivers through. The state store is no system that anybody would look for among those delivered to.
pub fn of_route(plan: &RoutePlan) -> GateName {
    if is_own_route(plan.name.as_str()) {
        GateName::Own(plan.name.clone())
    } else {
        GateName::Deliveries(plan.system.clone())
    }
}

/// What is read from a system goes through, and how much of it.
pub fn of_reads(system: &System, reads: &Limits) -> (GateName, Capacity) {
    let Limits { pace, concurrency } = reads.clone();
    (GateName::Reads(system.name.clone()), unguarded(pace, concurrency))
}

/// Without a breaker of its own, and without requests that could still be under way after a crash and do harm: reads, and
/// writes to the state store.
pub fn unguarded(profile: Option<Profile>, concurrency: usize) -> Capacity {
    Capacity {
        profile,
        operations: Vec::new(),
        margin: DEFAULT_MARGIN,
        adaptive: true,
        concurrency,
        deadline: Duration::ZERO,
        breaker: BreakerOptions::default(),
    }
}

impl Gates {
    pub fn new(store: Arc<dyn StateStore>, pauses: Pauses, incidents: Incidents, metrics: Metrics) -> Self {
        let (open, opening) = (Mutex::default(), tokio::sync::Mutex::default());
        Self { store, pauses, incidents, metrics, open, opening }
    }

    /// The gate of this name; opened with this capacity unless it is open.
    pub async fn at(&self, name: GateName, capacity: Capacity) -> anyhow::Result<Arc<Gate>> {
        let _turn = self.opening.lock().await;
        if let Some(open) = self.known(&name) {
            return Ok(open);
        }
        let (store, incidents) = (Arc::clone(&self.store), self.incidents.clone());
        let gate = Gate::open(name.clone(), capacity, store, incidents, self.metrics.clone()).await;
        let gate = gate.context("the state store")?;
        if let GateName::Deliveries(system) | GateName::Reads(system) = &name {
            gate.follow(self.pauses.clone(), system.clone());
        }
        self.open().insert(name, Arc::clone(&gate));
        Ok(gate)
    }

    /// One that is open.
    pub fn known(&self, name: &GateName) -> Option<Arc<Gate>> {
        self.open().get(name).cloned()
    }

    /// The gates of systems that are delivered to.
    pub fn delivering(&self) -> Vec<(SystemName, Arc<Gate>)> {
        let delivers = |(name, gate): (&GateName, &Arc<Gate>)| match name {
            GateName::Deliveries(system) => Some((system.clone(), Arc::clone(gate))),
            GateName::Reads(_) | GateName::Own(_) => None,
        };
        self.open().iter().filter_map(delivers).collect()
    }

    /// Closes one, when everything behind it has ended by itself: the next one of this name goes on with its pace.
    pub async fn close(&self, name: &GateName) {
        let open = self.open().remove(name);
        if let Some(gate) = open
            && let Err(error) = gate.close().await
        {
            tracing::warn!(gate = %name, "the next start will wait for a request time-out: {error}");
        }
    }

    /// Forgets one behind which an attempt was cut off: the next one of this name waits until it must be over (R11).
    pub fn abandon(&self, name: &GateName) {
        self.open().remove(name);
    }

    /// Closes all, at a clean end.
    pub async fn close_all(&self) {
        let names: Vec<GateName> = self.open().keys().cloned().collect();
        for name in names {
            self.close(&name).await;
        }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<GateName, Arc<Gate>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
