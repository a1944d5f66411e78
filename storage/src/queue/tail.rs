//! The newest messages of a stream in memory, so that a consumer that keeps up reads nothing from the disk.

use std::collections::VecDeque;

use bus_core::vocabulary::Envelope;

/// What one envelope costs beside its body, roughly.
const OVERHEAD: usize = 400;

/// Contiguous positions up to the end of the log, bounded by bytes.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    first: u64,
    messages: VecDeque<Envelope>,
    bytes: usize,
}

fn cost(envelope: &Envelope) -> usize {
    OVERHEAD + envelope.body.len()
}

impl Tail {
    /// Appends messages whose first has this position, then forgets the oldest over `bound` bytes.
    pub fn append(&mut self, first: u64, messages: Vec<Envelope>, bound: usize) {
        if self.messages.is_empty() || first != self.first + self.messages.len() as u64 {
            self.messages.clear();
            (self.first, self.bytes) = (first, 0);
        }
        self.bytes += messages.iter().map(cost).sum::<usize>();
        self.messages.extend(messages);
        while self.bytes > bound && self.pop() {}
    }

    /// Forgets what is below a position, because every consumer has had it.
    pub fn forget_below(&mut self, position: u64) {
        while self.first < position && self.pop() {}
    }

    /// The message, if it is still here.
    pub fn get(&self, position: u64) -> Option<&Envelope> {
        self.messages.get(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    fn pop(&mut self) -> bool {
        let Some(oldest) = self.messages.pop_front() else { return false };
        self.first += 1;
        self.bytes -= cost(&oldest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus_contract::sample;

    #[test]
    fn the_oldest_go_first_and_positions_stay_right() {
        let stream = sample::stream();
        let mut tail = Tail::default();
        let one = cost(&sample::envelope(&stream, "k", 1));
        tail.append(1, sample::run(&stream, 1, 4), 6 * one);
        tail.append(5, sample::run(&stream, 5, 8), 6 * one);
        assert!(tail.get(2).is_none());
        assert_eq!(tail.get(3).map(|envelope| envelope.seq.number), Some(3));
        tail.forget_below(6);
        assert_eq!([5, 6, 8, 9].map(|p| tail.get(p).is_some()), [false, true, true, false]);
        tail.append(20, sample::run(&stream, 20, 21), 6 * one);
        assert_eq!([8, 20, 21].map(|p| tail.get(p).is_some()), [false, true, true]);
    }
}
