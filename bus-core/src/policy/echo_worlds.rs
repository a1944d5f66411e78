//! E1 to E5 in every order that there is: two systems, a route each way, a person at each side, requests that are taken, refused
//! or not answered, and a crash. What comes to rest must agree, or somebody must have been told of the difference.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use super::*;
use crate::vocabulary::Operation;

/// What may still happen that nobody controls.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Budget {
    /// What the person at each side sets next, last first.
    people: [Vec<u8>; 2],
    unanswered: u8,
    refused: u8,
    crashes: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Origin {
    Before,
    Person,
    /// A person's, which has come to the other side.
    Carried,
    Bus,
}

/// Messages, attempts and letters stand at the side they come from, writes at the side they were written to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    now: i64,
    holds: [(u8, Origin); 2],
    read: [u8; 2],
    /// Value, when it was sealed, attempts so far.
    queue: [Vec<(u8, i64, u8)>; 2],
    /// When it began, and whether the receiver has applied it.
    attempt: [Option<(i64, bool)>; 2],
    /// Value, when it began, whether it is in doubt.
    writes: [Vec<(u8, i64, bool)>; 2],
    /// Decided, and not durable yet.
    forget: [Option<i64>; 2],
    letters: [Vec<u8>; 2],
    left: Budget,
}

/// So often an attempt is repeated that gets no answer.
const ATTEMPTS: u8 = 2;

impl World {
    fn new(left: Budget) -> Self {
        Self {
            now: 1,
            holds: [(0, Origin::Before); 2],
            read: [0; 2],
            queue: Default::default(),
            attempt: [None; 2],
            writes: Default::default(),
            forget: [None; 2],
            letters: Default::default(),
            left,
        }
    }

    /// Everything that may happen next, each as the world after it.
    fn next(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut happens = |change: &dyn Fn(&mut Self) -> bool| {
            let mut world = Self { now: self.now + 1, ..self.clone() };
            if change(&mut world) {
                all.push(world.ranked());
            }
        };
        for side in [0, 1] {
            happens(&|world| world.person(side));
            happens(&|world| world.capture(side));
            happens(&|world| world.begin(side));
            happens(&|world| world.apply(side));
            happens(&|world| world.flush(side));
            happens(&|world| world.answer(side));
            happens(&|world| world.no_answer(side));
        }
        happens(&|world| world.crash());
        all
    }

    fn person(&mut self, side: usize) -> bool {
        let Some(value) = self.left.people[side].pop() else { return false };
        // Who sets what is there already changes nothing.
        if self.holds[side].0 != value {
            self.holds[side] = (value, Origin::Person);
        }
        true
    }

    fn capture(&mut self, side: usize) -> bool {
        let value = self.holds[side].0;
        let changed = value != self.read[side];
        if changed {
            self.read[side] = value;
            self.queue[side].push((value, self.now, 0));
        }
        changed
    }

    /// The oldest message is judged.
    fn begin(&mut self, side: usize) -> bool {
        let Some((value, sealed, _)) = self.queue[side].first().copied().filter(|_| self.attempt[side].is_none())
        else {
            return false;
        };
        let print = |value: u8| ContentHash::of(Operation::Upsert, &[value]);
        let write = |(value, began, in_doubt): &(u8, i64, bool)| {
            let end = if *in_doubt { End::InDoubt } else { End::Taken };
            Write { print: print(*value), began: Moment(*began), end }
        };
        let mut writes: Vec<Write> = self.writes[side].iter().map(write).collect();
        if let Some((began, _)) = self.attempt[1 - side] {
            let value = self.queue[1 - side][0].0;
            writes.push(Write { print: print(value), began: Moment(began), end: End::UnderWay });
        }
        match judge(&print(value), Moment(sealed), &writes) {
            Verdict::Later => return false,
            Verdict::Echo(before) => {
                self.forget[side] = self.forget[side].max(Some(before.0));
                self.queue[side].remove(0);
                self.flush(side);
                if self.holds[1 - side].0 == value {
                    self.carried(side, value);
                }
            }
            Verdict::Overwritten => drop(self.queue[side].remove(0)),
            Verdict::Changed(before) => {
                self.forget[side] = self.forget[side].max(Some(before.0));
                self.attempt[side] = Some((self.now, false));
            }
        }
        true
    }

    fn apply(&mut self, side: usize) -> bool {
        let Some((_, applied @ false)) = &mut self.attempt[side] else { return false };
        *applied = true;
        let (value, ..) = self.queue[side][0];
        self.holds[1 - side] = (value, Origin::Bus);
        self.carried(side, value);
        true
    }

    fn carried(&mut self, side: usize, value: u8) {
        if self.holds[side] == (value, Origin::Person) {
            self.holds[side].1 = Origin::Carried;
        }
    }

    fn flush(&mut self, side: usize) -> bool {
        let Some(before) = self.forget[side].take() else { return false };
        self.writes[side].retain(|(_, began, _)| *began >= before);
        true
    }

    /// The receiver says what it did, and that becomes durable.
    fn answer(&mut self, side: usize) -> bool {
        let Some((began, applied)) = self.attempt[side].take() else { return false };
        if !applied && self.left.refused == 0 {
            return false;
        }
        let (value, ..) = self.queue[side].remove(0);
        self.flush(side);
        if applied {
            self.writes[1 - side].push((value, began, false));
        } else {
            self.left.refused -= 1;
            self.letters[side].push(value);
        }
        true
    }

    fn no_answer(&mut self, side: usize) -> bool {
        let Some((began, _)) = self.attempt[side].take().filter(|_| self.left.unanswered > 0) else { return false };
        self.left.unanswered -= 1;
        self.flush(side);
        let (value, _, attempts) = &mut self.queue[side][0];
        *attempts += 1;
        self.writes[1 - side].push((*value, began, true));
        if *attempts == ATTEMPTS {
            let (value, ..) = self.queue[side].remove(0);
            self.letters[side].push(value);
        }
        true
    }

    fn crash(&mut self) -> bool {
        let may = self.left.crashes > 0;
        if may {
            self.left.crashes -= 1;
            (self.attempt, self.forget) = ([None; 2], [None; 2]);
        }
        may
    }

    /// What is wrong with a world in which nothing is under way any more.
    fn complaint(&self) -> Option<&'static str> {
        let [(a, of_a), (b, of_b)] = self.holds;
        let told = [self.letters[0].contains(&a), self.letters[1].contains(&b)];
        if a == b {
            return None;
        }
        if of_a == Origin::Person && !told[0] || of_b == Origin::Person && !told[1] {
            return Some("a person's change has not come to the other side, and nobody was told");
        }
        (!told.contains(&true)).then_some("the values have changed places, or an old one stands")
    }

    fn is_at_rest(&self) -> bool {
        self.attempt == [None; 2]
            && self.queue.iter().all(Vec::is_empty)
            && self.holds.map(|(value, _)| value) == self.read
    }

    /// Only the order of moments says anything: so worlds that differ in nothing else are one.
    fn ranked(mut self) -> Self {
        let mut moments = vec![self.now];
        self.each_moment(|moment| moments.push(*moment));
        moments.sort_unstable();
        moments.dedup();
        // With room between them, for what begins in between.
        let rank = |moment: i64| 2 * i64::try_from(moments.binary_search(&moment).unwrap()).unwrap();
        self.now = rank(self.now);
        self.each_moment(|moment| *moment = rank(*moment));
        self
    }

    fn each_moment(&mut self, mut look: impl FnMut(&mut i64)) {
        for side in [0, 1] {
            self.queue[side].iter_mut().for_each(|(_, sealed, _)| look(sealed));
            self.attempt[side].iter_mut().for_each(|(began, _)| look(began));
            self.writes[side].iter_mut().for_each(|(_, began, _)| look(began));
            self.forget[side].iter_mut().for_each(&mut look);
        }
    }
}

/// Gives how many worlds there are, and how they can come to an end that is wrong.
fn search(left: Budget) -> (usize, Vec<String>) {
    let start = World::new(left);
    let mut seen = HashSet::from([start.clone()]);
    // Each with the one before it.
    let mut worlds = vec![(start, 0)];
    let mut at = 0;
    while at < worlds.len() {
        let world = &worlds[at].0;
        if let Some(complaint) = world.complaint().filter(|_| world.is_at_rest()) {
            let before = |at: &usize| (*at > 0).then(|| worlds[*at].1);
            let mut story: Vec<String> =
                std::iter::successors(Some(at), before).map(|at| format!("{:?}", worlds[at].0)).collect();
            story.push(complaint.to_owned());
            story.reverse();
            return (seen.len(), story);
        }
        for next in world.next() {
            if seen.insert(next.clone()) {
                worlds.push((next, at));
            }
        }
        at += 1;
    }
    (seen.len(), Vec::new())
}

#[test]
fn whatever_crosses_agrees_in_the_end_or_somebody_is_told() {
    let left = |a: &[u8], b: &[u8], [unanswered, refused, crashes]: [u8; 3]| Budget {
        people: [a.to_vec(), b.to_vec()],
        unanswered,
        refused,
        crashes,
    };
    for left in [
        left(&[1], &[2], [2, 1, 0]),
        left(&[1], &[2], [1, 0, 1]),
        left(&[1], &[1], [1, 1, 1]),
        left(&[3, 1], &[2], [0, 0, 0]),
    ] {
        let (worlds, story) = search(left.clone());
        assert!(story.is_empty(), "{left:?}: {}", story.join("\n"));
        assert!(worlds > 1000, "{left:?}: only {worlds}");
    }
}
