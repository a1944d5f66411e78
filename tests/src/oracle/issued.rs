//! The ledger of what the source has issued: every committed version of every key.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// One version of one key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// The key.
    pub key: String,
    /// Counts from 1 within the key.
    pub number: u64,
}

impl Version {
    /// The version with this number.
    pub fn new(key: impl Into<String>, number: u64) -> Self {
        Self { key: key.into(), number }
    }
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{}", self.key, self.number)
    }
}

/// What a receiver is owed of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    /// The last version of each key; one that was overwritten before the bus read it is superseded.
    Last,
    /// Every version: each was pushed to the bus, and accepted by it.
    Every,
}

/// All versions of one stream.
#[derive(Debug, Clone)]
pub struct Issued {
    /// What of it is owed.
    pub owed: Owed,
    keys: BTreeMap<String, BTreeMap<u64, Content>>,
}

/// What one version said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// See [`digest`].
    pub digest: String,
    /// The route's filter takes it.
    pub wanted: bool,
}

impl Issued {
    /// An empty ledger.
    pub fn new(owed: Owed) -> Self {
        Self { owed, keys: BTreeMap::new() }
    }

    /// Writes down one version.
    pub fn add(&mut self, version: Version, content: Content) {
        self.keys.entry(version.key).or_default().insert(version.number, content);
    }

    /// Adds what another ledger of the same stream holds.
    pub fn merge(&mut self, other: Self) {
        for (key, versions) in other.keys {
            self.keys.entry(key).or_default().extend(versions);
        }
    }

    /// What a version said, if it was issued.
    pub fn get(&self, version: &Version) -> Option<&Content> {
        self.keys.get(&version.key)?.get(&version.number)
    }

    /// How many versions were issued.
    pub fn len(&self) -> usize {
        self.keys.values().map(BTreeMap::len).sum()
    }

    /// Whether nothing was.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// How many keys have a version.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// How many versions the route's filter does not take.
    pub fn filtered(&self) -> usize {
        self.keys.values().flat_map(BTreeMap::values).filter(|content| !content.wanted).count()
    }

    /// The versions that must end as delivered or dead.
    pub fn obligations(&self) -> impl Iterator<Item = Version> + '_ {
        self.keys.iter().flat_map(|(key, versions)| {
            let skipped = match self.owed {
                Owed::Last => versions.len().saturating_sub(1),
                Owed::Every => 0,
            };
            let owed = versions.iter().skip(skipped).filter(|(_, content)| content.wanted);
            owed.map(move |(number, _)| Version::new(key, *number))
        })
    }
}

/// What the source and a receiver's body must agree on, as SHA-256. `amount` as it is written: no digit may be lost.
pub fn digest(key: &str, number: u64, amount: &str, payload: &str) -> String {
    hex::encode(Sha256::digest(format!("{key}|{number}|{amount}|{payload}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_depends_on_the_stream_and_on_the_filter() {
        for (owed, expected) in [(Owed::Last, vec!["а v2"]), (Owed::Every, vec!["а v1", "а v2", "б v1"])] {
            let mut issued = Issued::new(owed);
            for (key, number, wanted) in [("а", 1, true), ("а", 2, true), ("б", 1, true), ("б", 2, false)] {
                issued.add(Version::new(key, number), Content { digest: String::new(), wanted });
            }
            let owed: Vec<_> = issued.obligations().map(|version| version.to_string()).collect();
            assert_eq!(owed, expected);
        }
    }
}
