//! Between two rounds: waiting for the next one, for the end of a pause, for what a task wants to have read, and for an
//! order to go on from another position.

use std::time::Duration;

use chrono_tz::Tz;

use super::{Capture, RoundError};
use crate::engine::rewind::Rewind;
use crate::policy::Schedule;
use crate::ports::pauses::Subject;
use crate::ports::state::SealedBatch;
use crate::vocabulary::{Cursor, Moment};

/// A timer and the clock may differ by so much without anybody having touched the clock: a round at a time of day that came
/// a moment early does not come again.
const EARLY: Duration = Duration::from_secs(1);

/// Intervals count from when the round was due, but rounds that were missed are not caught up; and none is put off by a clock
/// that was set back since.
pub(super) fn next_round(schedule: &Schedule, zone: Tz, due: Moment, now: Moment) -> Moment {
    let from = if now.until(due) > EARLY { now } else { due };
    schedule.next_after(from, zone).max(now)
}

/// Why the wait between two rounds has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Woken {
    /// The next round is due.
    Due,
    /// A task wants the source read.
    ForATask,
}

impl Capture {
    /// Until the next round is due, or sooner when a task wants the source read, if that is asked. Not while the feed or
    /// its system is paused: then it begins no round; one under way has ended.
    pub(super) async fn sleep_until(&mut self, due: Moment, ask_tasks: bool) -> Woken {
        let (tasks, rewinds, feed) = (self.ports.tasks.clone(), self.ports.rewinds.clone(), self.plan.name.clone());
        loop {
            let woken = tokio::select! {
                biased;
                () = rewinds.until_any(&feed) => None,
                () = tasks.until_to_read(&feed), if ask_tasks => Some(Woken::ForATask),
                () = tokio::time::sleep(Moment::now().until(due)) => Some(Woken::Due),
            };
            let Some(woken) = woken else {
                self.obey_rewind().await;
                continue;
            };
            loop {
                self.wait_while_paused().await;
                if self.is_not_held().await {
                    return woken;
                }
            }
        }
    }

    async fn wait_while_paused(&mut self) {
        let (pauses, gate, rewinds) = (self.ports.pauses.clone(), self.ports.gate.clone(), self.ports.rewinds.clone());
        let (name, feed) = (self.plan.name.clone(), Subject::Feed(self.plan.name.clone()));
        let ordered = || pauses.of(&feed).or_else(|| gate.as_ref()?.pause());
        while let Some(pause) = ordered() {
            self.status.send_modify(|status| status.paused = Some(pause.to_string()));
            let resumed = tokio::select! {
                () = pauses.until_none(ordered) => true,
                () = rewinds.until_any(&name) => false,
            };
            if !resumed {
                self.obey_rewind().await;
            }
        }
        self.status.send_modify(|status| status.paused = None);
    }

    /// Whether the source's system takes requests; if it wants none, waits for that first and gives `false`: a person may have
    /// paused it meanwhile. Not each request of a source takes a permit, so no round begins before.
    async fn is_not_held(&mut self) -> bool {
        let Some(gate) = self.ports.gate.clone().filter(|gate| !gate.held().is_zero()) else { return true };
        let (rewinds, name) = (self.ports.rewinds.clone(), self.plan.name.clone());
        let ordered = tokio::select! {
            () = gate.until_not_held() => false,
            () = rewinds.until_any(&name) => true,
        };
        if ordered {
            self.obey_rewind().await;
        }
        false
    }

    async fn obey_rewind(&mut self) {
        let Some(Rewind { to, reply }) = self.ports.rewinds.take(&self.plan.name) else { return };
        let outcome = self.rewind(to).await.map_err(|error| error.to_string());
        // The person may have gone; the cursor has moved all the same.
        let _ = reply.send(outcome);
    }

    /// Opens the feed anew, which raises its epoch and publishes what is sealed, and then moves the cursor by
    /// compare-and-swap. The next round opens it again, from there. Gives the position before.
    pub async fn rewind(&mut self, to: Cursor) -> Result<Option<Cursor>, RoundError> {
        self.position = None;
        let position = self.open().await?;
        let before = position.cursor.clone();
        let batch = SealedBatch { expected: before.clone(), next: Some(to), envelopes: Vec::new() };
        self.ports.store.advance(&self.plan.name, position.epoch, &batch).await?;
        self.status.send_modify(|status| status.moved = Some(Moment::now()));
        Ok(before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_puts_no_round_off() {
        let due = Moment::parse("2026-11-22T03:00:00Z").unwrap();
        let (hour, zone) = (3_600_000, Tz::UTC);
        for (schedule, late, expected) in [
            ("15s", 200, 15_000),
            ("15s", -1, 15_000),
            ("15s", hour, hour),
            ("15s", -hour, 15_000 - hour),
            ("15s", -365 * 24 * hour, 15_000 - 365 * 24 * hour),
            ("03:00", 200, 24 * hour),
            ("03:00", -1, 24 * hour),
            ("03:00", -2 * hour, 0),
            ("03:00", -25 * hour, -24 * hour),
        ] {
            let next = next_round(&schedule.parse().unwrap(), zone, due, Moment(due.0 + late));
            assert_eq!(next.0 - due.0, expected, "{schedule}, {late} ms behind its time");
        }
    }
}
