//! The one job that makes tasks of the queue of backfills: a step at a time, the next when all of the last was sent, or when
//! no receiver of it takes messages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::crash;
use super::tasks::Tasks;
use super::whole::to_its_end;
use crate::policy::backfill::{Standing, begins};
use crate::ports::backfills::{Backfill, BackfillStore, MayGo, Order, State};
use crate::ports::state::StateError;
use crate::ports::tasks::{Stage, Task};

/// After the store has failed.
const LATER: Duration = Duration::from_secs(5);
/// Between looks at the receivers, while something is open: nobody tells of them.
const LOOK: Duration = Duration::from_secs(2);

/// What comes after a turn.
enum Then {
    /// Another one at once.
    Again,
    /// Another one soon: receivers come and go.
    Look,
    /// Nothing is open.
    Rest,
}

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
        let (queue, order) = (self.clone(), order.clone());
        to_its_end(async move {
            let id = queue.store.order_backfill(&order).await?;
            let (stream, period, who) = (order.stream.as_str(), order.period.to_string(), &order.who);
            tracing::info!(backfill = id, stream, period, who, "ordered by a person");
            queue.tasks.catch_up().await;
            Ok(id)
        })
        .await
    }

    /// Pauses, resumes or cancels one. A step under way is forgotten, but what stands in a route's line is sent; resumed, it
    /// begins with that step. `false`: it is over, or there is none.
    pub async fn set_state(&self, id: i64, state: State, who: &str) -> Result<bool, StateError> {
        let (queue, who) = (self.clone(), who.to_owned());
        to_its_end(async move {
            let changed = queue.store.set_state(id, state, None).await?;
            if changed {
                tracing::info!(backfill = id, state = state.as_str(), who, "changed by a person");
            }
            queue.tasks.catch_up().await;
            Ok(changed)
        })
        .await
    }

    /// Makes tasks until stopped. Dropped at any await it loses nothing: every turn begins with what the store says.
    pub async fn run(self, may_go: Arc<dyn MayGo>, stop: CancellationToken) {
        let work = async {
            // Every change of a task or a backfill is told here; the sender lives as long as we do.
            let mut changed = self.tasks.changes();
            loop {
                changed.mark_unchanged();
                match self.turn(&*may_go).await {
                    Ok(Then::Again) => {}
                    Ok(Then::Look) => drop(tokio::time::timeout(LOOK, changed.changed()).await),
                    Ok(Then::Rest) => drop(changed.changed().await),
                    Err(error) => {
                        tracing::warn!("the queue of backfills waits for the state store: {error}");
                        tokio::time::sleep(LATER).await;
                    }
                }
            }
        };
        let _: Option<()> = stop.run_until_cancelled(work).await;
    }

    async fn turn(&self, may_go: &dyn MayGo) -> Result<Then, StateError> {
        let mut open = self.store.backfills().await?;
        open.retain(|one| one.state == State::Open);
        let tasks = self.tasks.store().tasks().await?;
        let mut steps: BTreeMap<i64, Vec<&Task>> = BTreeMap::new();
        for task in &tasks {
            if let Some(backfill) = task.order.backfill {
                steps.entry(backfill).or_default().push(task);
            }
        }
        for (id, step) in &steps {
            if self.end(step, *id).await? {
                return Ok(Then::Again);
            }
        }
        let standing = |one: &Backfill| {
            let step = steps.get(&one.id);
            let could = || may_go.reads(&one.order.feed) && one.order.routes.iter().any(|route| may_go.delivers(route));
            let may_go = step.map_or_else(could, |step| step.iter().any(|task| gets_on(task, may_go)));
            Standing { turn: one.turn(), under_way: step.is_some(), may_go }
        };
        let begins = begins(&open.iter().map(standing).collect::<Vec<_>>());
        match begins.and_then(|turn| open.iter().find(|one| one.id == turn.backfill())) {
            Some(next) => {
                for id in steps.keys() {
                    tracing::info!(
                        backfill = id,
                        instead = next.id,
                        "none of its receivers takes messages: it steps aside"
                    );
                }
                self.begin(next).await.map(|()| Then::Again)
            }
            None if open.is_empty() => Ok(Then::Rest),
            None => Ok(Then::Look),
        }
    }

    async fn begin(&self, next: &Backfill) -> Result<(), StateError> {
        let step = next.next_step();
        self.store.begin_step(next, &step).await?;
        tracing::debug!(backfill = next.id, step = step.to_string(), "a step begins");
        crash::point("backfill.begun");
        self.tasks.refresh().await
    }

    /// Ends a step, if all of its tasks have ended, or one of them cannot be done. `false`: not yet.
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

/// Whether something can be done for a task now. One that has ended needs nothing.
pub fn gets_on(task: &Task, may_go: &dyn MayGo) -> bool {
    let reads = || task.stage != Stage::Reading || may_go.reads(&task.order.feed);
    task.stage.is_open() && may_go.delivers(&task.order.route) && reads()
}
