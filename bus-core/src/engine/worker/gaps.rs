//! The gap check: a stream's numbers are contiguous within an epoch, so what is skipped was lost with its queue. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::vocabulary::Seq;

/// Holes remembered at a time; the first are the telling ones.
const HOLES: usize = 16;
/// A hole older than this is a gap.
const LATE: Duration = Duration::from_secs(15);

/// What has come through a queue, and what should have.
#[derive(Default)]
pub(super) struct Gaps {
    reached: Option<Seq>,
    /// Taken, and given back unsettled: a queue that still has them brings them before anything newer.
    given_back: BTreeSet<Seq>,
    holes: Vec<Hole>,
}

/// Numbers of the stream that were skipped.
struct Hole {
    from: Seq,
    to: u64,
    seen: Instant,
}

impl Hole {
    fn count(&self) -> u64 {
        self.to - self.from.number + 1
    }
}

impl Gaps {
    /// Goes on from what a predecessor had reached.
    pub fn set_reached(&mut self, reached: Option<Seq>) {
        self.reached = reached;
    }

    /// The highest that came.
    pub fn reached(&self) -> Option<Seq> {
        self.reached
    }

    /// A message that is in hand no more, without an outcome.
    pub fn gave_back(&mut self, seq: Seq) {
        self.given_back.insert(seq);
    }

    /// A message came. Holes may be filled late: a publish that failed half-way is repeated from its first unconfirmed
    /// message.
    pub fn came(&mut self, seq: Seq) {
        let filled = |hole: &Hole| hole.from.epoch == seq.epoch && (hole.from.number..=hole.to).contains(&seq.number);
        self.holes.retain(|hole| !filled(hole));
        let newer = self.given_back.split_off(&seq);
        for missing in std::mem::replace(&mut self.given_back, newer) {
            self.add(missing, missing.number);
        }
        self.given_back.remove(&seq);
        if let Some(reached) = self.reached {
            let expected = match seq.epoch.cmp(&reached.epoch) {
                std::cmp::Ordering::Less => seq.number,
                std::cmp::Ordering::Equal => reached.number + 1,
                std::cmp::Ordering::Greater => 1,
            };
            if seq.number > expected {
                self.add(Seq { epoch: seq.epoch, number: expected }, seq.number - 1);
            }
        }
        self.reached = self.reached.max(Some(seq));
    }

    fn add(&mut self, from: Seq, to: u64) {
        let adjoins = |hole: &&mut Hole| hole.from.epoch == from.epoch && hole.to + 1 == from.number;
        if let Some(last) = self.holes.last_mut().filter(adjoins) {
            last.to = to;
        } else if self.holes.len() < HOLES {
            self.holes.push(Hole { from, to, seen: Instant::now() });
        }
    }

    /// How many messages nothing has brought in time, the first of them, and the number of the last.
    pub fn take_late(&mut self) -> Option<(u64, Seq, u64)> {
        let (late, young): (Vec<Hole>, _) =
            std::mem::take(&mut self.holes).into_iter().partition(|hole| hole.seen.elapsed() > LATE);
        self.holes = young;
        let (first, last) = (late.iter().min_by_key(|hole| hole.from)?, late.iter().max_by_key(|hole| hole.from)?);
        Some((late.iter().map(Hole::count).sum(), first.from, last.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seq(number: u64) -> Seq {
        Seq { epoch: 1, number }
    }

    async fn late(gaps: &mut Gaps) -> Option<(u64, u64, u64)> {
        tokio::time::advance(LATE * 2).await;
        gaps.take_late().map(|(count, first, last)| (count, first.number, last))
    }

    #[tokio::test(start_paused = true)]
    async fn a_skipped_number_is_a_gap_unless_it_comes_late() {
        for (came, expected) in [
            (vec![1, 2, 3], None),
            (vec![1, 2, 6], Some((3, 3, 5))),
            (vec![1, 3, 2], None),
            (vec![1, 3, 3, 7], Some((4, 2, 6))),
        ] {
            let mut gaps = Gaps::default();
            came.iter().for_each(|number| gaps.came(seq(*number)));
            assert_eq!(late(&mut gaps).await, expected, "{came:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_in_hand_when_its_queue_was_deleted_is_part_of_the_gap() {
        for (came_again, expected) in [
            (vec![3, 4, 5, 6], None),
            (vec![9], Some((6, 3, 8))),
            (vec![5, 6], Some((2, 3, 4))),
            (vec![6], Some((3, 3, 5))),
        ] {
            let mut gaps = Gaps::default();
            (1..=5).for_each(|number| gaps.came(seq(number)));
            (3..=5).for_each(|number| gaps.gave_back(seq(number)));
            came_again.iter().for_each(|number| gaps.came(seq(*number)));
            assert_eq!(late(&mut gaps).await, expected, "{came_again:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_settled_before_the_consumer_ended_is_not_waited_for() {
        let mut gaps = Gaps::default();
        (1..=4).for_each(|number| gaps.came(seq(number)));
        gaps.gave_back(seq(1));
        gaps.gave_back(seq(3));
        [1, 3, 5].iter().for_each(|number| gaps.came(seq(*number)));
        assert_eq!(late(&mut gaps).await, None);
    }
}
