//! Attempts under way: each in a task of its own, so that both cores send, and none is lost if its task panics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::task::{Id, JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::batch;
use super::item::Prepared;
use super::{RoutePlan, Worker, WorkerPorts};
use crate::engine::crash;
use crate::engine::gate::{FURTHER_PATIENCE, Further, Ticket, Verdict};
use crate::policy::Idempotency;
use crate::ports::permits::{Closed, Permit, Permits};
use crate::ports::state::Change;
use crate::ports::target::Parcel;
use crate::vocabulary::{DeliveryError, Fault, Receipt};

/// Beyond the target's own deadline, so that its answer about a timeout normally wins; it covers a wait for one further
/// permit and the request made with it.
const GRACE: Duration = FURTHER_PATIENCE.saturating_add(Duration::from_secs(2));

/// The attempts under way of one worker.
#[derive(Default)]
pub(super) struct Attempts {
    tasks: JoinSet<Option<Vec<Result<Receipt, DeliveryError>>>>,
    under_way: HashMap<Id, (Vec<Prepared>, Verdict, Instant)>,
}

/// An attempt that ended.
pub(super) struct Ended {
    /// What was in it, at least one.
    pub load: Vec<Prepared>,
    pub verdict: Verdict,
    /// One for each; `None`: nothing was sent, because the marks could not be written.
    pub outcomes: Option<Vec<Result<Receipt, DeliveryError>>>,
    pub elapsed: Duration,
}

impl Attempts {
    pub fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub fn len(&self) -> usize {
        self.under_way.len()
    }

    /// Messages in them.
    pub fn messages(&self) -> usize {
        self.under_way.values().map(|(load, ..)| load.len()).sum()
    }

    pub fn any_from_queue(&self) -> bool {
        self.under_way.values().any(|(load, ..)| load.iter().any(|prepared| !prepared.item.is_waiting()))
    }

    pub fn start(&mut self, plan: &RoutePlan, ports: &WorkerPorts, load: Vec<Prepared>, ticket: Ticket) {
        let Ticket { place, verdict } = ticket;
        let route = plan.name.clone();
        let further = Further { gate: Arc::clone(&ports.gate), operation: plan.operation.clone() };
        let permits = Permits::new(Some(Permit::unbounded()), Arc::new(further));
        let (target, store) = (Arc::clone(&ports.target), Arc::clone(&ports.store));
        let parcels: Vec<Parcel> = load.iter().map(|prepared| prepared.parcel.clone()).collect();
        let task = self.tasks.spawn(async move {
            let _place = place;
            if target.idempotency() == Idempotency::NonIdempotent {
                // Durable before the send: a crash after it finds the marks and does not send blindly again.
                let marks = parcels.iter().map(|parcel| Change::Mark { id: parcel.envelope.id }).collect();
                if let Err(error) = store.commit(&route, marks).await {
                    tracing::warn!(route = route.as_str(), "not sent, its attempt could not be marked: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return None;
                }
                crash::point("worker.marked");
            }
            let limit = target.deadline() * 2 + GRACE;
            let sent = tokio::time::timeout(limit, target.deliver(&parcels, &permits)).await;
            crash::point("worker.answered");
            Some(batch::complete(sent.ok(), parcels.len()))
        });
        self.under_way.insert(task.id(), (load, verdict, Instant::now()));
    }

    /// The next attempt that ends. Cancel-safe.
    pub async fn next(&mut self) -> Option<Ended> {
        let joined = self.tasks.join_next_with_id().await?;
        let (id, outcomes) = match joined {
            Ok((id, outcomes)) => (id, Ok(outcomes)),
            Err(error) => (error.id(), Err("the connector panicked; its log says where")),
        };
        let (load, verdict, began) = self.under_way.remove(&id)?;
        let outcomes = outcomes.unwrap_or_else(|message| {
            Some(load.iter().map(|_| Err(DeliveryError::new(Fault::Ambiguous, message).shared())).collect())
        });
        Some(Ended { load, verdict, outcomes, elapsed: began.elapsed() })
    }
}

impl Worker {
    /// Starts as many attempts as permits are there for now; one that has to be waited for is waited for in a task of its
    /// own, because it holds the system's turn and must not depend on what else this worker is doing.
    pub(super) fn dispatch(&mut self) {
        if self.is_paused() || !self.has_load() {
            self.permit = None;
            return;
        }
        let concurrency = if self.probing { 1 } else { self.plan.concurrency };
        while self.permit.is_none() && self.attempts.len() < concurrency && self.has_load() {
            let gate = Arc::clone(&self.ports.gate);
            let operation = self.plan.operation.clone();
            let enter = async move { gate.enter(operation.as_deref(), super::PERMIT_PATIENCE).await };
            let mut permit = enter.boxed();
            match (&mut permit).now_or_never() {
                Some(ticket) => {
                    if ticket.is_err() {
                        return; // closed for longer than a permit is waited for: the next tick asks again
                    }
                    self.permitted(ticket);
                }
                None => self.permit = Some(AbortOnDropHandle::new(tokio::spawn(permit))),
            }
        }
    }

    pub(super) fn permitted(&mut self, ticket: Result<Ticket, Closed>) {
        let Ok(ticket) = ticket else { return };
        if self.is_paused() {
            return;
        }
        let load = self.take_load();
        if !load.is_empty() {
            self.attempts.start(&self.plan, &self.ports, load, ticket);
        }
    }
}
