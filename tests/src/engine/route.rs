//! A worker at work, as a test holds it.

use bus_core::engine::worker::{Command, Handle, ReplayOutcome};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::world::PATIENCE;

/// A worker at work.
pub struct Route {
    /// Reaches it.
    pub handle: Handle,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
}

impl Route {
    /// A clean stop.
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(PATIENCE, self.task).await.expect("a worker that stops ends");
        ended.expect("a worker does not panic");
    }

    /// Asks it to stop and returns at once.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Drops it where it stands.
    pub async fn kill(self) {
        self.task.abort();
        // Aborted or ended: both are what was asked for; a panic is not.
        if let Err(error) = self.task.await {
            assert!(error.is_cancelled(), "the worker panicked");
        }
        // The attempts are tasks of their own, dropped with it and gone after the runtime's next turn.
        tokio::task::yield_now().await;
    }

    /// Asks for a replay.
    pub async fn replay(&self, id: i64, force: bool) -> ReplayOutcome {
        let (reply, answer) = oneshot::channel();
        let replay = Command::Replay { id, force, who: "anna@test".to_owned(), reply };
        assert!(self.handle.send(replay).await, "the worker runs");
        answer.await.expect("the worker answers")
    }

    /// Ends a pause.
    pub async fn resume(&self) {
        assert!(self.handle.send(Command::Resume).await, "the worker runs");
    }
}
