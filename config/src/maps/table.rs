//! A map in memory: inline values, a CSV file or the answer of a query, exchanged as a whole.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use bus_core::ports::map::{Answer, Map};
use serde_json::Value;

/// Values by key.
pub type Entries = HashMap<Box<str>, Value>;

/// A map in memory; unread until [`Table::set`].
#[derive(Default)]
pub struct Table(RwLock<Option<Arc<Entries>>>);

impl Table {
    /// A map that holds these values.
    pub fn of(entries: Entries) -> Self {
        Self(RwLock::new(Some(Arc::new(entries))))
    }

    /// From now on it holds these and no others.
    pub fn set(&self, entries: Entries) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(entries));
    }

    fn entries(&self) -> Option<Arc<Entries>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many values; `None` while it was not read.
    pub fn count(&self) -> Option<usize> {
        self.entries().map(|entries| entries.len())
    }
}

/// The same values, written in the same way.
impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.entries() == other.entries()
    }
}

/// Values may be personal.
impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Table({:?})", self.count())
    }
}

impl Map for Table {
    fn get(&self, key: &str) -> Answer {
        match &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            None => Answer::NotReady,
            Some(entries) => entries.get(key).cloned().map_or(Answer::Unknown, Answer::Value),
        }
    }
}
