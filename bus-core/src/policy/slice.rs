//! Which keys a load keeps at a time: what it reads and has not sent yet is bounded, whatever the size of the source.
//!
//! Keys are placed on a circle of numbers by their hash. A reading keeps those within a slice; where they are too much, it
//! goes on with the lower half, and forgets the rest, which a later reading takes. Pure.

use crate::vocabulary::{ContentHash, Key, Operation};

/// The number behind the last place.
const END: u64 = 1 << 32;

/// Places from `from` to before `to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slice {
    /// The first place.
    pub from: u64,
    /// The first place behind it.
    pub to: u64,
}

impl Slice {
    /// All keys.
    pub const ALL: Slice = Slice { from: 0, to: END };

    /// The place of a key: the same in every process and version.
    pub fn place(key: &Key) -> u64 {
        let hash = ContentHash::of(Operation::Upsert, key.as_str().as_bytes());
        hash.as_bytes()[..4].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// Whether it holds the key.
    pub fn holds(&self, key: &Key) -> bool {
        (self.from..self.to).contains(&Self::place(key))
    }

    /// Its lower half; `None` if there is no smaller one.
    pub fn lower_half(&self) -> Option<Slice> {
        let half = (self.to - self.from) / 2;
        (half > 0).then_some(Slice { to: self.from + half, ..*self })
    }

    /// What follows, as wide as this; `None` behind the last one.
    pub fn next(&self) -> Option<Slice> {
        let width = self.to - self.from;
        (self.to < END).then_some(Slice { from: self.to, to: (self.to + width).min(END) })
    }

    /// How much of all keys lies before it, in percent.
    pub fn behind(&self) -> u64 {
        self.from * 100 / END
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_follow_each_other_and_leave_no_key_out() {
        let mut slice = Slice::ALL.lower_half().and_then(|slice| slice.lower_half()).unwrap_or(Slice::ALL);
        let keys: Vec<Key> = (0..1000).map(|number| Key::from_stored(&format!("ключ {number}"))).collect();
        let (mut seen, mut slices) = (0, 0);
        loop {
            let held = keys.iter().filter(|key| slice.holds(key)).count();
            assert!((150..350).contains(&held), "{held}");
            (seen, slices) = (seen + held, slices + 1);
            match slice.next() {
                Some(next) => slice = next,
                None => break,
            }
        }
        assert_eq!((seen, slices, Slice::ALL.next()), (1000, 4, None));
        assert_eq!(Slice { from: 7, to: 8 }.lower_half(), None);
    }
}
