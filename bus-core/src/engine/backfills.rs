//! The one job that makes tasks of the queue of backfills: a step at a time, the next when all of the last was sent.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::crash;
use super::tasks::Tasks;
use crate::ports::backfills::{Backfill, BackfillStore, Order, State};
use crate::ports::state::StateError;
use crate::ports::tasks::{Stage, Task};

/// After the store has failed.
const LATER: Duration = Duration::from_secs(5);

/// The queue of this process. Cloning shares it.
#[derive(Clone)]
pub struct Backfills {
    store: Arc<dyn BackfillStore>,
    tasks: Tasks,
}

impl Backfills {
    /// What an earlier process had begun goes on with [`Backfills::run`].
    pub fn new(store: Arc<dyn BackfillStore>, tasks: Tasks) -> Self {
        Self { store, tasks }
    }

    /// Where they are kept.
    pub fn store(&self) -> &Arc<dyn BackfillStore> {
        &self.store
    }

    /// Takes an order; it is done from now on, also by the next process.
    pub async fn order(&self, order: &Order) -> Result<i64, StateError> {
        let id = self.store.order_backfill(order).await?;
        let (stream, period, who) = (order.stream.as_str(), order.period.to_string(), &order.who);
        tracing::info!(backfill = id, stream, period, who, "ordered by a person");
        self.tasks.refresh().await?;
        Ok(id)
    }

    /// Pauses, resumes or cancels one. A step under way is forgotten, but what stands in a route's line is sent; resumed, it
    /// begins with that step. `false`: it is over, or there is none.
    pub async fn set_state(&self, id: i64, state: State, who: &str) -> Result<bool, StateError> {
        let changed = self.store.set_state(id, state, None).await?;
        if changed {
            tracing::info!(backfill = id, state = state.as_str(), who, "changed by a person");
        }
        self.tasks.refresh().await?;
        Ok(changed)
    }

    /// Makes tasks until stopped. Dropped at any await it loses nothing: every turn begins with what the store says.
    pub async fn run(self, stop: CancellationToken) {
        let work = async {
            // Every change of a task or a backfill is told here.
            let mut changed = self.tasks.changes();
            loop {
                changed.mark_unchanged();
                match self.turn().await {
                    Ok(true) => {}
                    // The sender lives as long as we do.
                    Ok(false) => drop(changed.changed().await),
                    Err(error) => {
                        tracing::warn!("the queue of backfills waits for the state store: {error}");
                        tokio::time::sleep(LATER).await;
                    }
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(work).await;
    }

    /// `false`: there is nothing to do until something changes.
    async fn turn(&self) -> Result<bool, StateError> {
        let all = self.store.backfills().await?;
        let tasks = self.tasks.store().tasks().await?;
        let step: Vec<&Task> = tasks.iter().filter(|task| task.order.backfill.is_some()).collect();
        if let Some(first) = step.first() {
            return self.end(&step, first.order.backfill.unwrap_or_default()).await;
        }
        let Some(next) = all.iter().filter(|one| one.state == State::Open).min_by_key(|one| one.turn()) else {
            return Ok(false);
        };
        self.begin(next).await.map(|()| true)
    }

    async fn begin(&self, next: &Backfill) -> Result<(), StateError> {
        let step = next.next_step();
        self.store.begin_step(next, &step).await?;
        tracing::debug!(backfill = next.id, step = step.to_string(), "a step begins");
        crash::point("backfill.begun");
        self.tasks.refresh().await
    }

    /// The step under way, if all of its tasks have ended, or one of them cannot be done.
    async fn end(&self, step: &[&Task], id: i64) -> Result<bool, StateError> {
        match step.iter().find(|task| task.stage == Stage::Failed) {
            None if step.iter().any(|task| task.stage.is_open()) => return Ok(false),
            Some(failed) => {
                let why = format!("route {}: {}", failed.order.route, failed.error.as_deref().unwrap_or("unknown"));
                tracing::warn!(backfill = id, "a backfill has failed: {why}");
                self.store.set_state(id, State::Failed, Some(&why)).await?;
            }
            None => {
                let reached = step.iter().find_map(|task| task.order.part).map(|part| part.to);
                let Some(reached) = reached else {
                    return Err(StateError::Corrupt("a step of a backfill has no dates".into()));
                };
                self.store.end_step(id, reached).await?;
                crash::point("backfill.ended");
            }
        }
        self.tasks.refresh().await.map(|()| true)
    }
}
