//! Commands of a person to a running worker.

use tokio::sync::{mpsc, oneshot, watch};

use super::{Load, RouteStatus, Worker};
use crate::policy::RejectStreak;
use crate::ports::journal::Deed;
use crate::ports::state::{Replay, ReplayMode, StateError};
use crate::vocabulary::{QueueName, RouteName};

/// What a person may ask.
#[derive(Debug)]
pub enum Command {
    /// Put a dead letter back into the line.
    Replay {
        /// Its number.
        id: i64,
        /// Even over a newer version.
        force: bool,
        /// Who asks, as `user@host`; for the journal.
        who: String,
        /// What came of it.
        reply: oneshot::Sender<ReplayOutcome>,
    },
    /// Remove a dead letter for good.
    DropDead {
        /// Its number.
        id: i64,
        /// Whether it existed.
        reply: oneshot::Sender<Result<bool, StateError>>,
    },
    /// Rows of a task.
    Load(Load),
    /// End a pause now.
    Resume,
}

/// What came of a replay.
pub type ReplayOutcome = Result<Replay, StateError>;

/// Reaches a running worker. Cloning is cheap.
#[derive(Debug, Clone)]
pub struct Handle {
    route: RouteName,
    queue: QueueName,
    operation: Option<String>,
    commands: mpsc::Sender<Command>,
    status: watch::Receiver<RouteStatus>,
}

impl Handle {
    pub(super) fn new(
        route: RouteName,
        queue: QueueName,
        operation: Option<String>,
        commands: mpsc::Sender<Command>,
        status: watch::Receiver<RouteStatus>,
    ) -> Self {
        Self { route, queue, operation, commands, status }
    }

    /// The route.
    pub fn route(&self) -> &RouteName {
        &self.route
    }

    /// Its queue.
    pub fn queue(&self) -> &QueueName {
        &self.queue
    }

    /// Which of the system's operations its requests are, where that has a pace of its own.
    pub fn operation(&self) -> Option<&str> {
        self.operation.as_deref()
    }

    /// What it is doing.
    pub fn status(&self) -> RouteStatus {
        self.status.borrow().clone()
    }

    /// Sends a command; `false` when the worker has ended.
    pub async fn send(&self, command: Command) -> bool {
        self.commands.send(command).await.is_ok()
    }
}

impl Worker {
    /// Between two turns of the worker no message of a dead letter's key is under way on the fast path (R10), so a
    /// replay meets only what the store knows.
    pub(super) async fn obey(&mut self, command: Command) {
        match command {
            Command::Replay { id, force, who, reply } => {
                let mode = if force { ReplayMode::Forced } else { ReplayMode::Careful };
                let outcome = self.ports.store.replay(id, mode).await;
                if let Ok(Replay::Waiting { route, stream, key, seq, .. }) = &outcome
                    && *route == self.plan.name
                {
                    let deed = if force { Deed::Forced } else { Deed::Replayed };
                    self.ports.chronicle.person(route, (stream, *seq), deed, &who);
                    self.index.held(key);
                    self.fences.forget(key);
                    self.line.look_now();
                }
                if outcome.is_err() {
                    self.line.count_again();
                }
                self.reload_dead().await;
                // The person may have gone; the replay has happened all the same.
                let _ = reply.send(outcome);
            }
            Command::DropDead { id, reply } => {
                let outcome = self.ports.store.drop_dead(id).await;
                self.reload_dead().await;
                let _ = reply.send(outcome);
            }
            Command::Load(load) => self.take_in(load).await,
            Command::Resume => {
                self.paused = None;
                // A person has looked: until the next success, rejects are the messages' own fault.
                self.streak = RejectStreak::new(0);
                self.forgiving = true;
                self.line.look_now();
            }
        }
    }
}
