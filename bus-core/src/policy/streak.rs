//! A run of rejected messages, which looks like a broken route more than like many broken messages.

use std::collections::HashSet;

use crate::vocabulary::Key;

/// How many ids are kept per distinct key of the limit: one key that rejects version after version is a poison message,
/// not a broken route, and must not grow the run without end.
const IDS_PER_KEY: usize = 10;

/// Rejected outcomes of one route with no success in between, counted by distinct keys.
#[derive(Debug)]
pub struct RejectStreak<Id> {
    limit: usize,
    keys: HashSet<Key>,
    ids: std::collections::VecDeque<Id>,
}

impl<Id> RejectStreak<Id> {
    /// A run that ends at `limit` distinct keys; 0 never ends one.
    pub fn new(limit: u32) -> Self {
        Self { limit: limit as usize, keys: HashSet::new(), ids: std::collections::VecDeque::new() }
    }

    /// A message was accepted: what was rejected before it was rejected for its own sake.
    pub fn on_success(&mut self) {
        self.keys.clear();
        self.ids.clear();
    }

    /// A message was rejected and became the dead letter `id`. At the limit: `Some` of the run's dead letters, oldest
    /// first, to be taken back while the route is paused; the count starts again.
    pub fn on_reject(&mut self, key: &Key, id: Id) -> Option<Vec<Id>> {
        if self.limit == 0 {
            return None;
        }
        self.keys.insert(key.clone());
        self.ids.push_back(id);
        if self.keys.len() >= self.limit {
            self.keys.clear();
            return Some(std::mem::take(&mut self.ids).into());
        }
        if self.ids.len() > self.limit * IDS_PER_KEY {
            self.ids.pop_front();
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn key(number: u32) -> Key {
        Key::from_stored(&format!("ключ-{number}"))
    }

    #[test]
    fn a_run_over_distinct_keys_gives_all_its_dead_letters_back() {
        let mut streak = RejectStreak::new(3);
        assert_eq!(streak.on_reject(&key(1), 'a'), None);
        assert_eq!(streak.on_reject(&key(1), 'b'), None);
        assert_eq!(streak.on_reject(&key(2), 'c'), None);
        assert_eq!(streak.on_reject(&key(3), 'd'), Some(vec!['a', 'b', 'c', 'd']));
        assert_eq!(streak.on_reject(&key(3), 'e'), None, "the count starts again");
    }

    #[test]
    fn a_success_ends_the_run() {
        let mut streak = RejectStreak::new(2);
        assert_eq!(streak.on_reject(&key(1), 1), None);
        streak.on_success();
        assert_eq!(streak.on_reject(&key(2), 2), None);
        assert_eq!(streak.on_reject(&key(3), 3), Some(vec![2, 3]));
    }

    #[test]
    fn one_poison_key_never_pauses_a_route_and_stays_bounded() {
        let mut streak = RejectStreak::new(2);
        for version in 0..1000 {
            assert_eq!(streak.on_reject(&key(1), version), None);
        }
        let back = streak.on_reject(&key(2), 1000).unwrap();
        assert!(back.len() <= 21 && back.ends_with(&[999, 1000]));
    }

    #[test]
    fn a_limit_of_zero_switches_it_off() {
        let mut streak = RejectStreak::new(0);
        assert!((0..100).all(|number| streak.on_reject(&key(number), number).is_none()));
    }
}
