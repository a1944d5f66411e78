//! Which of the messages that are ready goes next: a task's rows take no more than their share while others are ready.

use super::Worker;
use super::item::Prepared;

/// Whose turn it is. Pure.
#[derive(Debug, Clone, Copy)]
pub(super) struct Share {
    percent: u8,
    /// Percent that loaded rows have not used.
    credit: u8,
}

impl Default for Share {
    fn default() -> Self {
        Self { percent: 50, credit: 0 }
    }
}

impl Share {
    pub fn set(&mut self, percent: u8) {
        self.percent = percent.clamp(1, 100);
    }

    /// Both kinds are ready: whether a loaded row goes.
    pub fn loaded_goes(&mut self) -> bool {
        self.credit += self.percent;
        let goes = self.credit >= 100;
        self.credit -= if goes { 100 } else { 0 };
        goes
    }
}

impl Worker {
    pub(super) fn next_to_send(&mut self) -> Option<Prepared> {
        if !self.line.has_loaded_rows() {
            return self.sendable.pop_front();
        }
        let loaded = |prepared: &Prepared| self.line.is_loaded_row(&prepared.item.envelope.key, prepared.item.seq());
        let first_is_loaded = loaded(self.sendable.front()?);
        let other = self.sendable.iter().position(|prepared| loaded(prepared) != first_is_loaded);
        match other {
            Some(other) if self.line.share.loaded_goes() != first_is_loaded => self.sendable.remove(other),
            _ => self.sendable.pop_front(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_kept_over_any_hundred() {
        for (percent, expected) in [(50, 50), (20, 20), (100, 100), (0, 1), (33, 33)] {
            let mut share = Share::default();
            share.set(percent);
            assert_eq!((0..100).filter(|_| share.loaded_goes()).count(), expected, "{percent}");
        }
    }
}
