//! `recheck`: when a feed that has a position compares everything (D14). Nothing else sees a row that is gone, or one that
//! changed below the position.
//!
//! When the last one began is durable, so a restart counts from there: one that was missed is made up, once.

use super::scan::Compared;
use super::{BACKOFF, Capture, Changes, DeletionGuard, Position, RoundError};
use crate::policy::Schedule;
use crate::ports::permits::Permits;
use crate::ports::state::StateError;
use crate::vocabulary::Moment;

/// The recheck that comes next, and how often it has failed.
#[derive(Default)]
pub(super) struct Next {
    at: Option<Moment>,
    failures: u32,
    /// It has just failed, or was missed: an ordinary round goes first.
    steps_back: bool,
}

impl Next {
    pub fn is_due(&self) -> bool {
        !self.steps_back && self.at.is_some_and(|at| at <= Moment::now())
    }

    /// When something is to be done: at the next round, or before it.
    pub fn or(&self, round: Moment) -> Moment {
        self.at.map_or(round, |at| round.min(at))
    }

    /// It is tried again, and has not come to its end so far.
    pub fn is_failing(&self) -> bool {
        self.failures > 0
    }

    /// It failed; gives how often. Ordinary rounds are not kept from going on by it.
    pub fn failed(&mut self) -> u32 {
        self.failures += 1;
        self.steps_back = true;
        self.at = Some(Moment::now().after(BACKOFF.backoff(self.failures, fastrand::f64())));
        self.failures
    }

    /// An ordinary round had its turn.
    pub fn may_go(&mut self) {
        self.steps_back = false;
    }
}

impl Capture {
    /// The first one of this process; a store that fails is asked again. `None`: the feed has to stop.
    pub(super) async fn first_recheck(&mut self) -> Option<Next> {
        let mut failures = 0;
        while let Err(error) = self.load_recheck().await {
            failures += 1;
            if self.failed(&error.into(), failures) {
                return None;
            }
            tokio::time::sleep(BACKOFF.backoff(failures, fastrand::f64())).await;
        }
        let mut next = self.next_recheck();
        if let Some(missed) = next.at.filter(|at| *at <= Moment::now()) {
            let feed = self.plan.name.as_str();
            tracing::info!(feed, "the recheck of {missed} was missed: everything is compared after the first round");
            // One that ends the process would else begin each of the next ones.
            next.steps_back = true;
        }
        Some(next)
    }

    pub(super) fn next_recheck(&self) -> Next {
        // A clock that was ahead must not put the next one off.
        let last = self.rechecked.unwrap_or(Moment(i64::MAX)).min(Moment::now());
        Next { at: self.rechecks().map(|schedule| schedule.next_after(last, self.plan.timezone)), ..Next::default() }
    }

    fn rechecks(&self) -> Option<&Schedule> {
        match &self.plan.changes {
            Changes::Cursor { recheck: Some((schedule, _)) } => Some(schedule),
            _ => None,
        }
    }

    async fn load_recheck(&mut self) -> Result<(), StateError> {
        if self.rechecks().is_none() {
            return Ok(());
        }
        self.rechecked = self.ports.runs.last_recheck(&self.plan.name).await?;
        if self.rechecked.is_none() {
            // From here on a missed one is noticed.
            let now = Moment::now();
            self.ports.runs.keep_recheck(&self.plan.name, now).await?;
            self.rechecked = Some(now);
        }
        Ok(())
    }

    pub(super) async fn recheck(
        &mut self,
        position: &mut Position,
        guard: DeletionGuard,
        permits: &Permits,
    ) -> Result<(), RoundError> {
        let began = Moment::now();
        if self.compare(position, guard, permits).await? == Compared::Whole {
            // Behind everything that it has published: a crash before this compares again, and publishes nothing twice.
            self.ports.runs.keep_recheck(&self.plan.name, began).await?;
        }
        // One whose deletions were refused is not done: who starts the feed anew, maybe with another guard, finds it missed.
        // Until then it has its next time to wait for, because somebody has chosen when all of the source may be read.
        self.rechecked = Some(began);
        Ok(())
    }
}
