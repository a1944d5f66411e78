//! One queue as positions in its stream's log: what is settled, what is handed out, what comes next. Pure.

use std::collections::BTreeMap;

/// Position 0 is before every message.
#[derive(Debug, Default)]
pub(crate) struct Line {
    /// Everything up to here is acked (or dropped by a bound).
    floor: u64,
    /// Acked above the floor, as start → end, never adjacent. Holes are unsettled messages, so there are at most as
    /// many ranges as the prefetch.
    acked: BTreeMap<u64, u64>,
    acked_count: u64,
    /// Where handing out goes on.
    next: u64,
    unsettled: u64,
    /// Highest position ever handed out, and the same at the last give-back.
    handed: u64,
    given_back: u64,
}

impl Line {
    pub fn new(floor: u64) -> Self {
        Self { floor, next: floor + 1, ..Self::default() }
    }

    pub fn floor(&self) -> u64 {
        self.floor
    }

    pub fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// Messages not acked, those handed out included.
    pub fn depth(&self, end: u64) -> u64 {
        end.saturating_sub(self.floor).saturating_sub(self.acked_count)
    }

    /// The position to hand out next, if the log reaches so far.
    pub fn upcoming(&self, end: u64) -> Option<u64> {
        let candidate = self.next.max(self.floor + 1);
        let position = match self.acked.range(..=candidate).next_back() {
            Some((_, &last)) if last >= candidate => last + 1,
            _ => candidate,
        };
        (position <= end).then_some(position)
    }

    /// Hands out what [`Line::upcoming`] named; `true` if it was handed out before a give-back.
    pub fn hand_out(&mut self, position: u64) -> bool {
        self.next = position + 1;
        self.unsettled += 1;
        self.handed = self.handed.max(position);
        position <= self.given_back
    }

    /// Settles one that is handed out.
    pub fn ack(&mut self, position: u64) {
        self.unsettled = self.unsettled.saturating_sub(1);
        if position <= self.floor {
            return; // dropped by a bound while it was handed out
        }
        let (mut start, mut end) = (position, position);
        if let Some((&before, &last)) = self.acked.range(..position).next_back()
            && last + 1 == position
        {
            start = before;
        }
        if let Some(last) = self.acked.remove(&(position + 1)) {
            end = last;
        }
        self.acked.insert(start, end);
        self.acked_count += 1;
        self.absorb();
    }

    /// The consumer has gone: everything unsettled comes next, in order.
    pub fn give_back(&mut self) {
        self.next = self.floor + 1;
        self.unsettled = 0;
        self.given_back = self.handed;
    }

    /// Drops what is at or below `floor`, and says how many of those were not acked.
    pub fn raise(&mut self, floor: u64) -> u64 {
        if floor <= self.floor {
            return 0;
        }
        let unacked = (floor - self.floor) + self.acked_above(floor) - self.acked_count;
        self.floor = floor;
        while let Some((start, end)) = self.acked.pop_first() {
            if end <= floor {
                self.acked_count -= end - start + 1;
            } else if start <= floor {
                self.acked_count -= floor - start + 1;
                self.acked.insert(floor + 1, end);
                break;
            } else {
                self.acked.insert(start, end);
                break;
            }
        }
        self.absorb();
        unacked
    }

    fn acked_above(&self, floor: u64) -> u64 {
        self.acked.iter().map(|(&start, &end)| (end + 1).saturating_sub(start.max(floor + 1))).sum()
    }

    /// A range that touches the floor becomes part of it.
    fn absorb(&mut self) {
        if let Some(end) = self.acked.remove(&(self.floor + 1)) {
            self.acked_count -= end - self.floor;
            self.floor = end;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn acks_in_any_order_raise_the_floor_over_what_is_contiguous() {
        let mut line = Line::new(10);
        for _ in 0..5 {
            let position = line.upcoming(20).unwrap();
            assert!(!line.hand_out(position));
        }
        for (ack, floor, depth) in [(13, 10, 9), (12, 10, 8), (11, 13, 7), (15, 13, 6), (14, 15, 5)] {
            line.ack(ack);
            assert_eq!((line.floor(), line.depth(20)), (floor, depth), "after the ack of {ack}");
        }
        assert_eq!(line.unsettled(), 0);
        assert_eq!(line.upcoming(15), None);
    }

    #[test]
    fn a_bound_drops_and_counts_only_what_was_not_acked() {
        let mut line = Line::new(0);
        for position in 1..=6 {
            line.hand_out(position);
        }
        for position in [2, 4, 5] {
            line.ack(position);
        }
        assert_eq!(line.raise(4), 2, "1 and 3 were not acked");
        assert_eq!(line.floor(), 5, "5 was acked already");
        line.ack(3);
        assert_eq!(line.depth(6), 1);
    }

    /// Against a plain set of everything ever acked, over random histories.
    #[test]
    fn a_line_agrees_with_a_plain_set_of_acks() {
        for seed in 0..300 {
            let mut random = fastrand::Rng::with_seed(seed);
            let (mut line, mut acked, mut held, mut end) = (Line::new(0), BTreeSet::new(), Vec::new(), 0u64);
            let (mut low, mut seen) = (0, BTreeSet::new());
            for _ in 0..400 {
                match random.u8(..20) {
                    0..6 => end += random.u64(..4),
                    6..13 => {
                        let expected = (low + 1..=end).find(|p| !acked.contains(p) && !held.contains(p));
                        assert_eq!(line.upcoming(end), expected, "seed {seed}");
                        if let Some(position) = expected {
                            assert_eq!(line.hand_out(position), seen.contains(&position), "seed {seed}");
                            held.push(position);
                        }
                    }
                    13..18 if !held.is_empty() => {
                        let position = held.swap_remove(random.usize(..held.len()));
                        line.ack(position);
                        acked.insert(position);
                    }
                    18 => {
                        line.give_back();
                        seen.extend(1..=acked.iter().chain(&held).max().copied().unwrap_or(0).max(low));
                        held.clear();
                    }
                    _ if held.is_empty() && random.u8(..8) == 0 && end > low => {
                        let floor = random.u64(low..=end);
                        let open = (low + 1..=floor).filter(|p| !acked.contains(p)).count() as u64;
                        assert_eq!(line.raise(floor), open, "seed {seed}");
                        low = low.max(floor);
                    }
                    _ => {}
                }
                let depth = (low + 1..=end).filter(|p| !acked.contains(p)).count() as u64;
                assert_eq!(line.depth(end), depth, "seed {seed}");
                assert_eq!(line.unsettled(), held.len() as u64, "seed {seed}");
            }
        }
    }
}
