//! The fence of each key, from memory where it is known and from the store where it is not.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ports::state::{Settled, StateError, StateStore};
use crate::vocabulary::{Key, RouteName, Seq};

/// Fences kept in memory per route: at about 200 bytes each, 10 MB. Beyond it the memory starts anew; the store knows
/// them all.
const MEMORY: usize = 50_000;

/// A worker is the only writer of its route's fences, so what it remembers after a commit is what the store holds.
pub(super) struct Fences {
    route: RouteName,
    store: Arc<dyn StateStore>,
    memory: HashMap<Key, Option<Settled>>,
}

impl Fences {
    pub fn new(route: RouteName, store: Arc<dyn StateStore>) -> Self {
        Self { route, store, memory: HashMap::new() }
    }

    /// Whether the fences of all these keys are in memory.
    pub fn are_known(&self, keys: &[Key]) -> bool {
        keys.iter().all(|key| self.memory.contains_key(key))
    }

    /// Makes sure that the fences of these keys are in memory.
    pub async fn load(&mut self, keys: &[Key]) -> Result<(), StateError> {
        let unknown: Vec<Key> = keys.iter().filter(|key| !self.memory.contains_key(*key)).cloned().collect();
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.store.settled(&self.route, &unknown).await?;
        if self.memory.len() + unknown.len() > MEMORY {
            let wanted: HashSet<_> = keys.iter().collect();
            self.memory.retain(|key, _| wanted.contains(key));
        }
        self.memory.extend(unknown.into_iter().zip(found));
        Ok(())
    }

    /// The fence of a key that was loaded.
    pub fn get(&self, key: &Key) -> Option<&Settled> {
        self.memory.get(key)?.as_ref()
    }

    /// After a commit: raises what is remembered, as the store raised what it holds (R13). A key that was forgotten
    /// meanwhile stays so, because only the store still knows all of its fence.
    pub fn raise(&mut self, key: &Key, raised: Settled) {
        let Some(fence) = self.memory.get_mut(key) else { return };
        if fence.as_ref().is_none_or(|known| known.seq <= raised.seq) {
            *fence = Some(raised);
        }
    }

    /// A version of the key that may have been tried was superseded (D10).
    pub fn doubt(&mut self, key: &Key) {
        if let Some(fence) = self.memory.get_mut(key) {
            let nothing = Settled { seq: Seq::ZERO, id: None, present: false, doubt: false, receiver_id: None };
            fence.get_or_insert(nothing).doubt = true;
        }
    }

    /// Forgets a key whose fence changed behind our back (a replay).
    pub fn forget(&mut self, key: &Key) {
        self.memory.remove(key);
    }
}
