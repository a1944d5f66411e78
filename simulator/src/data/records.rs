//! One set: generated records, which take no memory, with what was changed, added and deleted laid over them.

use std::collections::HashMap;

use crate::value::Row;

/// The records of a set, by number.
pub(super) struct Records {
    generated: u32,
    /// Generated ones that were written since, or deleted.
    changed: HashMap<u32, Option<Row>>,
    /// Behind the generated ones.
    added: Vec<Option<Row>>,
    by_key: HashMap<String, u32>,
}

impl Records {
    pub(super) fn new(generated: u32) -> Self {
        Self { generated, changed: HashMap::new(), added: Vec::new(), by_key: HashMap::new() }
    }

    /// One more than the highest number.
    pub(super) fn len(&self) -> u32 {
        self.generated + u32::try_from(self.added.len()).unwrap_or(u32::MAX - self.generated)
    }

    /// The number of an added record.
    pub(super) fn find(&self, key: &str) -> Option<u32> {
        self.by_key.get(key).copied()
    }

    /// The record of a number.
    pub(super) fn at(&self, at: u32, generate: impl FnOnce(u32) -> Option<Row>) -> Option<Row> {
        if at >= self.generated {
            return self.added.get((at - self.generated) as usize)?.clone();
        }
        match self.changed.get(&at) {
            Some(changed) => changed.clone(),
            None => generate(at),
        }
    }

    /// Writes a record over the one with its key; `generated` is the number of a generated one with that key.
    pub(super) fn put(&mut self, key: String, generated: Option<u32>, row: Row) {
        if let Some(at) = generated {
            self.changed.insert(at, Some(row));
        } else if let Some(at) = self.find(&key) {
            self.added[(at - self.generated) as usize] = Some(row);
        } else {
            self.by_key.insert(key, self.len());
            self.added.push(Some(row));
        }
    }

    /// Deletes a record.
    pub(super) fn remove(&mut self, key: &str, generated: Option<u32>) {
        if let Some(at) = generated {
            self.changed.insert(at, None);
        } else if let Some(at) = self.by_key.remove(key) {
            self.added[(at - self.generated) as usize] = None;
        }
    }
}
