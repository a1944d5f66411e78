//! The circuit breaker of one system: closed = flows, open = waits, half-open = exactly one probe.

use std::collections::HashSet;
use std::time::Duration;

use super::clock::Tick;
use super::retry::{Jitter, RetryPolicy};
use crate::vocabulary::{Fault, Key};

/// When a breaker opens and how long it stays so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Consecutive unavailable (or ambiguous) outcomes that open it; 0 is read as 1.
    pub failures: u32,
    /// Busy outcomes of this many distinct keys, with no success in between, count as the system being down.
    pub busy_keys: usize,
    /// The first wait; it doubles with every failed probe.
    pub first: Duration,
    /// No wait is longer.
    pub max: Duration,
}

impl Default for Options {
    /// Three failures, so that one lost packet stops nothing; a minute at most, so that recovery is noticed soon.
    fn default() -> Self {
        Self { failures: 3, busy_keys: 20, first: Duration::from_secs(1), max: Duration::from_secs(60) }
    }
}

/// The right to send one request; give it back through [`Breaker::settle`] or [`Breaker::abandon`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Pass {
    /// A verdict that comes from before the last change of state says nothing about the state after it.
    epoch: u64,
}

/// Whether a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Admission {
    /// Send it.
    Flow(Pass),
    /// Send this one only: it finds out whether the system is back.
    Probe(Pass),
    /// Ask again at this tick, or when the probe in flight is settled.
    Wait {
        /// The end of the wait.
        until: Tick,
    },
}

/// A change of state worth an incident, a metric and a wake-up of those who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Nothing is sent until then.
    Opened {
        /// The end of the wait.
        until: Tick,
        /// How often in a row it has opened, from 1: the first opens the incident.
        openings: u32,
    },
    /// The system answers again.
    Closed,
}

/// What the breaker is doing; for status pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Requests flow; so many failures in a row.
    Closed {
        /// Consecutive failures.
        failures: u32,
    },
    /// Nothing is sent before `until`.
    Open {
        /// The end of the wait.
        until: Tick,
        /// How often in a row it has opened.
        openings: u32,
    },
    /// One probe is in flight; should its verdict get lost, another may follow at `lost_at`.
    HalfOpen {
        /// When the probe is given up for lost.
        lost_at: Tick,
        /// How often in a row it has opened.
        openings: u32,
    },
}

/// The breaker of one system. Not shared: its owner (the system's gate) calls it under its own lock.
#[derive(Debug)]
pub struct Breaker {
    options: Options,
    state: State,
    epoch: u64,
    busy: HashSet<Key>,
    /// It opened because of busy keys: then a busy probe is no sign of recovery, otherwise it is.
    opened_by_busy: bool,
}

impl Breaker {
    /// A closed breaker.
    pub fn new(options: Options) -> Self {
        let state = State::Closed { failures: 0 };
        Self { options, state, epoch: 0, busy: HashSet::new(), opened_by_busy: false }
    }

    /// What it is doing.
    pub fn state(&self) -> State {
        self.state
    }

    /// Asks to send one request now.
    pub fn admit(&mut self, now: Tick) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Flow(Pass { epoch: self.epoch }),
            State::Open { until, .. } if now < until => Admission::Wait { until },
            State::HalfOpen { lost_at, .. } if now < lost_at => Admission::Wait { until: lost_at },
            // Due, or the last probe is lost: a caller that was dropped must not keep the system shut for ever.
            State::Open { openings, .. } | State::HalfOpen { openings, .. } => {
                self.enter(State::HalfOpen { lost_at: now.after(self.options.max), openings });
                Admission::Probe(Pass { epoch: self.epoch })
            }
        }
    }

    /// The request ended: `fault` is `None` for success. `jitter` is in 0..1. A pass of an earlier state changes nothing.
    pub fn settle(&mut self, pass: Pass, key: &Key, fault: Option<Fault>, now: Tick, jitter: f64) -> Option<Change> {
        if pass.epoch != self.epoch {
            return None;
        }
        match fault {
            // A timeout after sending is what a system that hangs looks like.
            Some(Fault::Unavailable | Fault::Ambiguous) => self.failed(now, jitter),
            Some(Fault::Busy) => self.was_busy(key, now, jitter),
            // It answers, whatever it thinks of the message; but only a success says that it works.
            Some(Fault::Throttled { .. } | Fault::Rejected | Fault::Misconfigured) => self.answered(),
            None => {
                self.busy.clear();
                self.answered()
            }
        }
    }

    /// The request was never sent or nobody will hear its verdict: a probe's right goes to the next who asks.
    pub fn abandon(&mut self, pass: Pass, now: Tick) {
        if let State::HalfOpen { openings, .. } = self.state
            && pass.epoch == self.epoch
        {
            self.enter(State::Open { until: now, openings });
        }
    }

    fn failed(&mut self, now: Tick, jitter: f64) -> Option<Change> {
        match self.state {
            State::Closed { failures } if failures + 1 < self.options.failures => {
                self.state = State::Closed { failures: failures + 1 };
                None
            }
            State::Closed { .. } => Some(self.open(1, false, now, jitter)),
            State::HalfOpen { openings, .. } => {
                Some(self.open(openings.saturating_add(1), self.opened_by_busy, now, jitter))
            }
            State::Open { .. } => None,
        }
    }

    fn was_busy(&mut self, key: &Key, now: Tick, jitter: f64) -> Option<Change> {
        if matches!(self.state, State::HalfOpen { .. }) {
            return if self.opened_by_busy { self.failed(now, jitter) } else { self.answered() };
        }
        self.answered();
        self.busy.insert(key.clone());
        (self.busy.len() >= self.options.busy_keys.max(1)).then(|| self.open(1, true, now, jitter))
    }

    fn answered(&mut self) -> Option<Change> {
        let was_half_open = matches!(self.state, State::HalfOpen { .. });
        if was_half_open {
            self.epoch += 1;
            self.busy.clear();
        }
        self.state = State::Closed { failures: 0 };
        was_half_open.then_some(Change::Closed)
    }

    fn open(&mut self, openings: u32, by_busy: bool, now: Tick, jitter: f64) -> Change {
        let Options { first, max, .. } = self.options;
        let backoff = RetryPolicy { attempts: 1, first, max, jitter: Jitter::Equal }.backoff(openings, jitter);
        let until = now.after(backoff);
        self.opened_by_busy = by_busy;
        self.busy.clear();
        self.enter(State::Open { until, openings });
        Change::Opened { until, openings }
    }

    fn enter(&mut self, state: State) {
        self.epoch += 1;
        self.state = state;
    }
}

#[cfg(test)]
#[path = "breaker_tests.rs"]
mod tests;
