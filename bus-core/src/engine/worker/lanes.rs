//! Lanes: the messages in hand, one line per key, so that a key's next message starts only when the one before it
//! has its durable outcome (D2, R6). Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use super::item::Item;
use crate::vocabulary::{Key, Seq};

/// All lanes of one worker. A key is locked from [`Lanes::take`] until [`Lanes::release`].
#[derive(Default)]
pub(super) struct Lanes {
    lanes: HashMap<Key, Lane>,
    /// Keys whose head may be taken, in the order they became ready.
    ready: VecDeque<Key>,
    /// `latest`: locked keys that may have a newer version in line than the one taken out.
    renewed: HashSet<Key>,
    items: usize,
}

#[derive(Default)]
struct Lane {
    items: VecDeque<Item>,
    /// The one that was taken out, and locks the key.
    taken: Option<Seq>,
}

impl Lanes {
    /// Messages in line, those taken out not included.
    pub fn len(&self) -> usize {
        self.items
    }

    /// To the end of its key's line.
    pub fn push(&mut self, item: Item) {
        let key = item.envelope.key.clone();
        let lane = self.lanes.entry(key.clone()).or_default();
        if lane.items.is_empty() && lane.taken.is_none() {
            self.ready.push_back(key);
        }
        lane.items.push_back(item);
        self.items += 1;
    }

    /// Whether [`Lanes::take`] may give something.
    pub fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Whether a message in line waits for another one of its key.
    pub fn any_behind(&self) -> bool {
        self.items > self.ready.len()
    }

    /// Keys of which [`Lanes::take`] will give something next, in its order.
    pub fn next(&self, limit: usize) -> impl Iterator<Item = &Key> {
        self.ready.iter().take(limit)
    }

    /// `latest`: in the place of the last one in its key's line, which is given back; else as [`Lanes::push`].
    pub fn push_latest(&mut self, mut item: Item) -> Option<Item> {
        let lane = self.lanes.get_mut(&item.envelope.key);
        if lane.as_ref().is_some_and(|lane| lane.taken.is_some()) {
            self.renewed.insert(item.envelope.key.clone());
        }
        match lane.and_then(|lane| lane.items.back_mut()).filter(|last| item.replaces(last)) {
            Some(last) => {
                item.inherit_doubt(last);
                Some(std::mem::replace(last, item))
            }
            None => {
                self.push(item);
                None
            }
        }
    }

    /// The one taken out of this lane is to be compared with what is in line.
    pub fn compare(&mut self, key: &Key) {
        if self.lanes.get(key).is_some_and(|lane| !lane.items.is_empty()) {
            self.renewed.insert(key.clone());
        }
    }

    /// Keys for which something newer may be in line than what was taken out.
    pub fn take_renewed(&mut self) -> HashSet<Key> {
        std::mem::take(&mut self.renewed)
    }

    /// Takes the next in line if it replaces the one that was taken out; the key stays locked.
    pub fn take_newer(&mut self, older: &Item) -> Option<Item> {
        let lane = self.lanes.get_mut(&older.envelope.key)?;
        let mut newer = lane.items.pop_front_if(|next| next.replaces(older))?;
        lane.taken = Some(newer.seq());
        self.items -= 1;
        newer.inherit_doubt(older);
        Some(newer)
    }

    /// Takes up to `limit` heads of unlocked lanes, and locks their keys.
    pub fn take(&mut self, limit: usize) -> Vec<Item> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let Some(key) = self.ready.pop_front() else { break };
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            if let Some(item) = lane.items.pop_front() {
                lane.taken = Some(item.seq());
                self.items -= 1;
                taken.push(item);
            }
        }
        taken
    }

    /// The outcome of the key's message is durable: its next one may go.
    pub fn release(&mut self, key: &Key) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        lane.taken = None;
        if lane.items.is_empty() {
            self.lanes.remove(key);
        } else {
            self.ready.push_back(key.clone());
        }
    }

    /// Removes what stands in line for a key (not the one taken out), oldest first.
    pub fn drain_key(&mut self, key: &Key) -> Vec<Item> {
        let Some(lane) = self.lanes.get_mut(key) else { return Vec::new() };
        let drained: Vec<Item> = lane.items.drain(..).collect();
        self.items -= drained.len();
        if lane.taken.is_none() {
            self.lanes.remove(key);
            self.ready.retain(|ready| ready != key);
        }
        drained
    }

    /// Removes everything in line that came from the queue, oldest first within a key; locked keys stay locked.
    /// With `unlocked_only`, keys with a message under way keep their line.
    pub fn drain_queue(&mut self, unlocked_only: bool) -> Vec<Item> {
        let mut drained = Vec::new();
        for lane in self.lanes.values_mut() {
            if unlocked_only && lane.taken.is_some() {
                continue;
            }
            let (from_queue, waiting): (VecDeque<_>, VecDeque<_>) =
                lane.items.drain(..).partition(|item| !item.is_waiting());
            lane.items = waiting;
            drained.extend(from_queue);
        }
        self.items -= drained.len();
        self.lanes.retain(|_, lane| lane.taken.is_some() || !lane.items.is_empty());
        let lanes = &self.lanes;
        self.ready.retain(|key| lanes.contains_key(key));
        drained
    }

    /// Whether a message of the key is under way.
    pub fn is_locked(&self, key: &Key) -> bool {
        self.lanes.get(key).is_some_and(|lane| lane.taken.is_some())
    }

    /// Whether what is under way of the key is this message come again, or a newer one.
    pub fn is_repeat(&self, key: &Key, seq: Seq) -> bool {
        self.lanes.get(key).and_then(|lane| lane.taken).is_some_and(|taken| seq <= taken)
    }

    /// Whether anything of the key is in hand: in line, or taken out.
    pub fn has(&self, key: &Key) -> bool {
        self.lanes.contains_key(key)
    }

    /// Messages in line whose key has nothing under way, for looking at their age.
    pub fn unlocked(&self) -> impl Iterator<Item = &Item> {
        self.lanes.values().filter(|lane| lane.taken.is_none()).flat_map(|lane| &lane.items)
    }

    /// All messages in line.
    pub fn iter(&self) -> impl Iterator<Item = &Item> {
        self.lanes.values().flat_map(|lane| &lane.items)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::item::Origin;
    use super::*;
    use crate::ports::state::Replayed;
    use crate::vocabulary::{ContentHash, Envelope, MessageId, Moment, Operation, StreamName};

    fn item(key: &str, number: u64) -> Item {
        let stream = StreamName::new("s").unwrap();
        let hash = ContentHash::of(Operation::Upsert, b"x");
        let key = Key::from_stored(key);
        let envelope = Envelope {
            id: MessageId::derive(&stream, &key, number, &hash),
            stream,
            key,
            seq: Seq { epoch: 1, number },
            generation: number,
            operation: Operation::Upsert,
            time: Moment(0),
            label: None,
            hash,
            body: Bytes::from_static(b"{}"),
        };
        let origin = Origin::Waiting { replayed: Replayed::Never };
        Item { envelope, origin, attempts: 0, doubt: false }
    }

    fn numbers(items: &[Item]) -> Vec<u64> {
        items.iter().map(|item| item.seq().number).collect()
    }

    #[test]
    fn a_keys_next_message_starts_only_after_release() {
        let mut lanes = Lanes::default();
        for (key, number) in [("a", 1), ("a", 2), ("b", 3), ("a", 4)] {
            lanes.push(item(key, number));
        }
        assert_eq!(numbers(&lanes.take(10)), [1, 3]);
        assert!(lanes.take(10).is_empty());
        lanes.push(item("b", 5));
        lanes.release(&Key::from_stored("a"));
        assert_eq!(numbers(&lanes.take(10)), [2]);
        lanes.release(&Key::from_stored("b"));
        lanes.release(&Key::from_stored("a"));
        assert_eq!(numbers(&lanes.take(10)), [5, 4]);
        assert!(lanes.take(10).is_empty());
        for key in ["a", "b"] {
            lanes.release(&Key::from_stored(key));
        }
        assert!(lanes.lanes.is_empty());
    }

    #[test]
    fn it_is_known_what_comes_next_and_whether_a_message_waits_for_its_key() {
        let mut lanes = Lanes::default();
        lanes.push(item("a", 1));
        lanes.push(item("b", 2));
        assert_eq!(lanes.next(5).map(Key::as_str).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(lanes.next(1).count(), 1);
        assert!(!lanes.any_behind());
        lanes.take(1);
        assert!(!lanes.any_behind());
        lanes.push(item("a", 3));
        assert!(lanes.any_behind());
        lanes.release(&Key::from_stored("a"));
        assert!(!lanes.any_behind());
        assert_eq!(lanes.next(5).map(Key::as_str).collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn draining_a_key_leaves_the_lock() {
        let mut lanes = Lanes::default();
        for number in 1..=3 {
            lanes.push(item("a", number));
        }
        assert_eq!(numbers(&lanes.take(1)), [1]);
        assert_eq!(numbers(&lanes.drain_key(&Key::from_stored("a"))), [2, 3]);
        assert!(lanes.is_locked(&Key::from_stored("a")));
        lanes.push(item("a", 4));
        assert!(lanes.take(1).is_empty());
        lanes.release(&Key::from_stored("a"));
        assert_eq!(numbers(&lanes.take(1)), [4]);
    }

    #[test]
    fn a_drained_unlocked_key_is_not_ready_twice() {
        let mut lanes = Lanes::default();
        lanes.push(item("a", 1));
        lanes.drain_key(&Key::from_stored("a"));
        lanes.push(item("a", 2));
        assert_eq!(numbers(&lanes.take(10)), [2]);
        assert_eq!(lanes.len(), 0);
    }
}
