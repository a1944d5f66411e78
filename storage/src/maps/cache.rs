//! What was looked up lately, absent values included, in bounded memory.

use std::collections::HashMap;

use bus_core::vocabulary::Key;
use serde_json::Value;

/// Bytes of keys and values per generation, roughly; there are two. 16 MB hold about 100 000 article numbers.
const GENERATION: usize = 8 * 1024 * 1024;
/// What an entry costs beside its texts.
const ENTRY: usize = 96;

/// Two generations: what is asked for moves into the young one; when that is full the old one is forgotten.
pub(super) struct Cache {
    version: u64,
    young: HashMap<Box<str>, Option<Value>>,
    old: HashMap<Box<str>, Option<Value>>,
    bytes: usize,
    limit: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self { version: 0, young: HashMap::new(), old: HashMap::new(), bytes: 0, limit: GENERATION }
    }
}

impl Cache {
    /// Rises with every write to the map.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// What is known about a key: `Some(None)` is known to be absent.
    pub fn get(&mut self, key: &str) -> Option<Option<Value>> {
        if let Some(found) = self.young.get(key) {
            return Some(found.clone());
        }
        let found = self.old.remove(key)?;
        self.insert(key, found.clone());
        Some(found)
    }

    /// Keeps what a lookup found, unless the map was written since `version`: the lookup may have been before that.
    pub fn remember(&mut self, version: u64, key: &str, found: Option<Value>) {
        if version == self.version {
            self.insert(key, found);
        }
    }

    /// The map was written.
    pub fn replace(&mut self, entries: &[(Key, Option<Value>)]) {
        self.version += 1;
        for (key, value) in entries {
            self.old.remove(key.as_str());
            self.insert(key.as_str(), value.clone());
        }
    }

    fn insert(&mut self, key: &str, found: Option<Value>) {
        let size = key.len() + ENTRY + found.as_ref().and_then(Value::as_str).map_or(0, str::len);
        if self.bytes + size > self.limit {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += size;
        self.young.insert(key.into(), found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_what_is_asked_for_stays() {
        let mut cache = Cache { limit: 10 * (ENTRY + 2), ..Cache::default() };
        cache.remember(0, "ab", Some("".into()));
        for round in 0..100 {
            cache.remember(0, &format!("{round:02}"), None);
            assert!(cache.get("ab").is_some(), "{round}");
            assert!(cache.young.len() + cache.old.len() <= 20);
        }
        assert!(cache.get("00").is_none());
    }

    #[test]
    fn a_lookup_from_before_a_write_is_not_kept() {
        let mut cache = Cache::default();
        let before = cache.version();
        cache.replace(&[(Key::from_stored("a"), Some(2.into()))]);
        cache.remember(before, "a", Some(1.into()));
        assert_eq!(cache.get("a"), Some(Some(2.into())));
        cache.remember(before, "b", None);
        assert_eq!(cache.get("b"), None);
    }
}
