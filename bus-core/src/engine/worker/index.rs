//! Which keys have something in `waiting` or an open dead letter (D8): loaded before the first take, kept in step.

use std::collections::{HashMap, HashSet};

use crate::ports::state::RouteState;
use crate::vocabulary::Key;

/// Keys whose next messages must go through `waiting`.
#[derive(Debug, Default)]
pub(super) struct Index {
    waiting: HashMap<Key, u32>,
    dead: HashSet<Key>,
    /// Dead letters on their way to disk: a reload of `dead` does not know them yet.
    dying: HashSet<Key>,
    rows: usize,
}

impl Index {
    pub fn load(state: &RouteState) -> Self {
        let waiting: HashMap<Key, u32> = state.waiting.iter().cloned().collect();
        let rows = waiting.values().map(|rows| *rows as usize).sum();
        Self { waiting, dead: state.dead.iter().cloned().collect(), dying: HashSet::new(), rows }
    }

    /// Counts again from the store, with what is still on its way there.
    pub fn recount<'a>(&mut self, state: &RouteState, held: impl Iterator<Item = &'a Key>) {
        let dying = std::mem::take(&mut self.dying);
        *self = Self { dying, ..Self::load(state) };
        held.for_each(|key| self.held(key));
    }

    /// A new message of this key must not be sent directly: it would overtake one in `waiting` (property 7), or a
    /// dead letter that may be replayed (R10).
    pub fn diverts(&self, key: &Key) -> bool {
        self.waiting.contains_key(key) || self.dead.contains(key) || self.dying.contains(key)
    }

    /// Rows in `waiting`, those about to be committed included.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Open dead letters' keys.
    pub fn dead(&self) -> usize {
        self.dead.len()
    }

    /// A row is on its way into `waiting`.
    pub fn held(&mut self, key: &Key) {
        *self.waiting.entry(key.clone()).or_insert(0) += 1;
        self.rows += 1;
    }

    /// A row left `waiting`, or turned out not to be needed there.
    pub fn left(&mut self, key: &Key) {
        let Some(rows) = self.waiting.get_mut(key) else { return };
        *rows -= 1;
        self.rows -= 1;
        if *rows == 0 {
            self.waiting.remove(key);
        }
    }

    /// The key gets a dead letter: from now on nothing of it may be sent directly, or the letter's replay could meet
    /// it under way.
    pub fn dies(&mut self, key: &Key) {
        self.dying.insert(key.clone());
    }

    /// The dead letter is on disk.
    pub fn died(&mut self, key: &Key) {
        self.dying.remove(key);
        self.dead.insert(key.clone());
    }

    /// Dead letters were replayed or dropped by a person: what is left of them.
    pub fn set_dead(&mut self, dead: Vec<Key>) {
        self.dead = dead.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_diverted_while_anything_of_it_waits_or_is_dead() {
        let (a, b) = (Key::from_stored("a"), Key::from_stored("b"));
        let mut index = Index::load(&RouteState { waiting: vec![(a.clone(), 2)], dead: vec![], reached: None });
        index.left(&a);
        assert!(index.diverts(&a) && !index.diverts(&b));
        index.left(&a);
        index.left(&a);
        assert!(!index.diverts(&a));
        assert_eq!(index.rows(), 0);
        index.dies(&b);
        index.set_dead(vec![]);
        assert!(index.diverts(&b));
        index.died(&b);
        assert!(index.diverts(&b));
        index.set_dead(vec![]);
        assert!(!index.diverts(&b));
    }
}
