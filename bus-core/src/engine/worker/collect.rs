//! `schedule` on a route: messages stay in the queue and are delivered as a run when it fires (D12).
//!
//! Between runs there is no consumer, so nothing is unsettled and the broker's patience is not tried. A run takes what was
//! read before it began; the first message that was read later ends it and goes back. The begin and the end of a run are
//! durable, so a crash goes on with it, and one that was missed is made up once.

use chrono_tz::Tz;

use super::Worker;
use super::empty::{Emptiness, For};
use crate::policy::Schedule;
use crate::ports::runs::Run;
use crate::vocabulary::{Envelope, Moment};

/// When a route delivers what it has collected.
#[derive(Debug, Clone)]
pub struct Collect {
    /// When a run begins.
    pub schedule: Schedule,
    /// The schedule is read in it.
    pub timezone: Tz,
}

/// Where a route with a schedule stands.
#[derive(Debug, Default)]
pub(super) struct Collecting {
    phase: Phase,
    pub(super) emptiness: Emptiness,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Phase {
    /// The last run is not loaded yet.
    #[default]
    Unknown,
    Between {
        next: Moment,
    },
    Running {
        since: Moment,
        /// Everything that belongs to it was taken.
        taken: bool,
    },
}

impl Collecting {
    fn takes(&self) -> bool {
        matches!(self.phase, Phase::Running { taken: false, .. })
    }

    /// When the next run begins, and since when one is under way.
    pub fn times(&self) -> (Option<Moment>, Option<Moment>) {
        match self.phase {
            Phase::Unknown => (None, None),
            Phase::Between { next } => (Some(next), None),
            Phase::Running { since, .. } => (None, Some(since)),
        }
    }

    /// What was in hand went back to the queue, so what belongs to the run comes again: before anything later.
    pub fn given_back(&mut self) {
        if let Phase::Running { taken, .. } = &mut self.phase {
            *taken = false;
        }
        self.emptiness.begin_anew();
    }

    pub(super) fn everything_taken(&mut self) {
        if let Phase::Running { taken, .. } = &mut self.phase {
            *taken = true;
        }
    }
}

impl Worker {
    /// Nothing is taken from the queue now: it collects.
    pub(super) fn only_collects(&self) -> bool {
        self.plan.collect.is_some() && !self.collecting.takes()
    }

    /// A message that was read after the run began: it goes back with the consumer, and the run has taken everything.
    pub(super) fn is_for_the_next_run(&mut self, envelope: &Envelope) -> bool {
        if self.plan.collect.is_none() {
            return false;
        }
        let belongs = matches!(self.collecting.phase, Phase::Running { since, taken: false } if envelope.time <= since);
        if !belongs {
            self.collecting.everything_taken();
        }
        !belongs
    }

    /// Begins and ends runs. Each step is durable before anything follows from it.
    pub(super) async fn tend_run(&mut self) {
        let Some(collect) = self.plan.collect.clone() else { return };
        match self.collecting.phase {
            Phase::Unknown => self.load_run(&collect).await,
            Phase::Between { next } if next <= Moment::now() => {
                let since = Moment::now();
                if self.keep_run(Run { since, over: false }).await {
                    self.collecting.phase = Phase::Running { since, taken: false };
                    self.collecting.emptiness.begin_anew();
                }
            }
            Phase::Between { .. } => {}
            Phase::Running { since, taken } => {
                let in_hand = self.in_hand().saturating_sub(self.line.in_hand());
                if in_hand > 0 || !self.pending.is_empty() || !self.flushing.is_empty() {
                    self.collecting.emptiness.begin_anew();
                } else if !taken {
                    self.look_into_the_queue(For::Run);
                } else if !self.intake.is_open() && self.keep_run(Run { since, over: true }).await {
                    self.collecting.phase =
                        Phase::Between { next: collect.schedule.next_after(since, collect.timezone) };
                }
            }
        }
    }

    async fn load_run(&mut self, collect: &Collect) {
        let last = match self.ports.runs.last_run(&self.plan.name).await {
            Ok(last) => last,
            Err(error) => return self.store_failed(&error),
        };
        self.collecting.phase = match last {
            Some(Run { since, over: false }) => Phase::Running { since, taken: false },
            // In the past if it was missed: then it begins at once, and however many were missed, one run makes up for them.
            Some(Run { since, over: true }) => {
                Phase::Between { next: collect.schedule.next_after(since, collect.timezone) }
            }
            None => {
                // From here on a missed run is noticed.
                let since = Moment::now();
                if !self.keep_run(Run { since, over: true }).await {
                    return;
                }
                Phase::Between { next: collect.schedule.next_after(since, collect.timezone) }
            }
        };
    }

    async fn keep_run(&mut self, run: Run) -> bool {
        let kept = self.ports.runs.keep_run(&self.plan.name, run).await;
        if let Err(error) = &kept {
            self.store_failed(error);
        }
        kept.is_ok()
    }
}
