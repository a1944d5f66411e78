//! Between two rounds: waiting for the next one, for the end of a pause, for what a task wants to have read, and for an
//! order to go on from another position.

use super::{Capture, RoundError};
use crate::engine::rewind::Rewind;
use crate::ports::pauses::Subject;
use crate::ports::state::SealedBatch;
use crate::vocabulary::{Cursor, Moment};

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
            self.wait_while_paused().await;
            return woken;
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
