//! How old the oldest message of a subscriber's own AMQP queue is. AMQP cannot be asked without taking it, so it is
//! worked out: the oldest of N messages in a first-in-first-out queue is the Nth from its end, and how many had been
//! published at which time is sampled at every look.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::vocabulary::{Moment, QueueName};

/// At a look every five seconds almost three hours at full resolution; then the older half keeps every second sample.
const SAMPLES: usize = 2048;

/// When the oldest message was published, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oldest {
    /// About then, and not before.
    About(Moment),
    /// Before the bus started, which was then: who published it was another process.
    Before(Moment),
}

/// What is known of a queue that somebody else takes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Messages that are ready for the subscriber.
    pub messages: u64,
    /// `None`: the queue is empty.
    pub oldest: Option<Oldest>,
}

/// The subscribers' own queues of this process. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Ages(Arc<Mutex<BTreeMap<QueueName, Line>>>);

/// Samples of one queue's stream.
#[derive(Debug, Default)]
struct Line {
    /// Time, and how many had been published by then. Both only rise.
    samples: VecDeque<(Moment, u64)>,
    messages: u64,
}

impl Ages {
    /// Notes one look: `published` is read before the depth, so that what is published in between makes the answer too
    /// old rather than too young.
    pub fn note(&self, queue: &QueueName, now: Moment, published: u64, messages: u64) {
        self.lines().entry(queue.clone()).or_default().note(now, published, messages);
    }

    /// The queue is no more.
    pub fn forget(&self, queue: &QueueName) {
        self.lines().remove(queue);
    }

    /// All queues, by name.
    pub fn list(&self) -> Vec<(QueueName, Backlog)> {
        self.lines().iter().map(|(queue, line)| (queue.clone(), line.backlog())).collect()
    }

    /// One of them.
    pub fn backlog(&self, queue: &QueueName) -> Option<Backlog> {
        self.lines().get(queue).map(Line::backlog)
    }

    fn lines(&self) -> MutexGuard<'_, BTreeMap<QueueName, Line>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn note(&mut self, now: Moment, published: u64, messages: u64) {
        self.messages = messages;
        let many = self.samples.len() > 1;
        match self.samples.back_mut() {
            // Nothing was published since: what comes next comes after now.
            Some((at, last)) if many && *last == published => *at = now.max(*at),
            _ => self.samples.push_back((now, published)),
        }
        if self.samples.len() > SAMPLES {
            let mut place = 0_usize;
            self.samples.retain(|_| {
                place += 1;
                // The first says when we started, and is kept.
                place == 1 || place > SAMPLES / 2 || place.is_multiple_of(2)
            });
        }
    }

    fn backlog(&self) -> Backlog {
        Backlog { messages: self.messages, oldest: self.oldest() }
    }

    /// The last sample at which the oldest message had not been published yet.
    fn oldest(&self) -> Option<Oldest> {
        let (first, last) = (self.samples.front()?, self.samples.back()?);
        if self.messages == 0 {
            return None;
        }
        // So many had been published before the oldest one.
        let before = last.1.checked_sub(self.messages);
        let after = self.samples.partition_point(|(_, published)| before.is_some_and(|before| *published <= before));
        Some(match after.checked_sub(1) {
            Some(at) => Oldest::About(self.samples[at].0),
            None => Oldest::Before(first.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(line: &mut Line, second: i64, published: u64, messages: u64) -> Option<Oldest> {
        line.note(Moment(second * 1000), published, messages);
        line.oldest()
    }

    #[test]
    fn the_oldest_was_published_after_the_last_look_that_had_not_seen_it() {
        let about = |second: i64| Some(Oldest::About(Moment(second * 1000)));
        let mut line = Line::default();
        assert_eq!(look(&mut line, 0, 0, 0), None);
        assert_eq!(look(&mut line, 5, 10, 10), about(0));
        assert_eq!(look(&mut line, 10, 10, 10), about(0), "nothing new, nobody came");
        assert_eq!(look(&mut line, 15, 12, 12), about(0));
        assert_eq!(look(&mut line, 20, 12, 2), about(10), "the first ten were taken, or dropped as too old");
        assert_eq!(look(&mut line, 25, 12, 1), about(10));
        assert_eq!(look(&mut line, 30, 12, 0), None);
        assert_eq!(look(&mut line, 3600, 12, 0), None);
        assert_eq!(look(&mut line, 3605, 13, 1), about(3600), "an idle hour is not its age");
    }

    #[test]
    fn what_a_predecessor_published_is_older_than_this_process() {
        let mut line = Line::default();
        assert_eq!(look(&mut line, 100, 0, 7), Some(Oldest::Before(Moment(100_000))));
        assert_eq!(look(&mut line, 105, 3, 10), Some(Oldest::Before(Moment(100_000))));
        assert_eq!(look(&mut line, 110, 3, 3), Some(Oldest::About(Moment(100_000))));
    }

    #[test]
    fn the_samples_are_bounded_and_the_start_is_kept() {
        let mut line = Line::default();
        for second in 0..20_000 {
            look(&mut line, second, second as u64, 1);
        }
        assert!(line.samples.len() <= SAMPLES, "{}", line.samples.len());
        assert_eq!(line.samples.front(), Some(&(Moment(0), 0)));
        let Some(Oldest::About(at)) = look(&mut line, 20_000, 20_000, 19_000) else { panic!("known") };
        assert!(at.0 <= 1_000_000 && at.0 >= 0, "never too young: {at:?}");
    }
}
