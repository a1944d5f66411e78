//! Whether nobody is told now: hours from the configuration, and what a person began by command.

use std::sync::{Arc, Mutex, PoisonError};

use bus_config::PlannedMaintenance;
use bus_core::ports::state::StateError;
use bus_core::ports::watch::{Maintenance, WatchStore};
use bus_core::vocabulary::Moment;

/// Asked for every incident that is shown or told, so what is stored is kept at hand.
pub struct Quiet {
    store: Arc<dyn WatchStore>,
    begun: Mutex<Vec<Maintenance>>,
}

impl Quiet {
    /// Nothing is known of what was begun until [`reload`](Self::reload).
    pub fn new(store: Arc<dyn WatchStore>) -> Self {
        Self { store, begun: Mutex::default() }
    }

    /// Reads what people have begun; at the start, and after every change.
    pub async fn reload(&self) -> Result<(), StateError> {
        let begun = self.store.maintenance(Moment::now()).await?;
        *self.begun.lock().unwrap_or_else(PoisonError::into_inner) = begun;
        Ok(())
    }

    /// What people have begun and not ended.
    pub fn begun(&self, now: Moment) -> Vec<Maintenance> {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        begun.iter().filter(|one| now < one.ends).cloned().collect()
    }

    /// Whether nobody is told about a system now (`None`: about the bus itself, which only maintenance of everything covers).
    pub fn covers(&self, planned: &[PlannedMaintenance], system: Option<&str>, now: Moment) -> bool {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        let by_command = begun.iter().any(|one| {
            one.begins <= now && now < one.ends && one.system.as_ref().is_none_or(|of| Some(of.as_str()) == system)
        });
        by_command
            || open(planned, now).any(|window| match &window.systems {
                None => true,
                Some(systems) => systems.iter().any(|of| Some(of.as_str()) == system),
            })
    }
}

/// The windows of the configuration that are open now.
pub fn open(planned: &[PlannedMaintenance], now: Moment) -> impl Iterator<Item = &PlannedMaintenance> {
    planned.iter().filter(move |window| window.calendar.open_for(now).is_some())
}
