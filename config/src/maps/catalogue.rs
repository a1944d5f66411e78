//! The maps of a configuration, as programs and `fields` know them while they are compiled.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bus_core::ports::map::{Answer, Map};
use bus_core::vocabulary::MapName;
use bus_options::nearest;

use super::unknown::Unknown;

/// A map by name. Programs hold it from the moment they are compiled; what answers is bound later, when the bus is
/// wired: until then it is not ready. Cloning shares it.
#[derive(Clone)]
pub struct Handle {
    /// Its name.
    pub name: MapName,
    /// What happens to a value that it lacks, unless the lookup says otherwise.
    pub unknown: Unknown,
    /// Every value is a text.
    pub texts: bool,
    bound: Arc<OnceLock<Arc<dyn Map>>>,
}

impl Handle {
    /// A map that nothing answers for yet.
    pub fn new(name: MapName, unknown: Unknown, texts: bool) -> Self {
        Self { name, unknown, texts, bound: Arc::default() }
    }

    /// Says what answers. The first binding stays.
    pub fn bind(&self, map: Arc<dyn Map>) {
        // A second binding would be a mistake of the caller; what runs keeps the map it has.
        let _ = self.bound.set(map);
    }

    /// Lets what answers for another one answer for this one too, unless something does already.
    pub fn share(&self, other: &Self) {
        if let Some(map) = other.bound.get() {
            self.bind(Arc::clone(map));
        }
    }

    /// Whether something answers.
    pub fn is_bound(&self) -> bool {
        self.bound.get().is_some()
    }

    /// What the map has for a value.
    pub fn get(&self, key: &str) -> Answer {
        self.bound.get().map_or(Answer::NotReady, |map| map.get(key))
    }
}

/// What the operator wrote about it; who answers does not count.
impl PartialEq for Handle {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.unknown, self.texts) == (&other.name, &other.unknown, other.texts)
    }
}

/// Values may be personal: `{:?}` shows the name.
impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.name)
    }
}

/// All maps of a configuration.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(pub Vec<Handle>);

impl Catalogue {
    /// The map of this name.
    pub fn get(&self, name: &str) -> Option<&Handle> {
        self.0.iter().find(|handle| handle.name.as_str() == name)
    }

    /// What a mistyped name seems to mean, or a map that knows nothing; `None` where it is no name at all.
    pub fn stand_in(&self, name: &str) -> Option<Handle> {
        let meant = nearest(name, self.names()).and_then(|name| self.get(name)).cloned();
        meant.or_else(|| Some(Handle::new(MapName::new(name).ok()?, Unknown::DeadLetter, true)))
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|handle| handle.name.as_str())
    }
}
