//! Attempts under way: each in a task of its own, so that both cores send, and none is lost if its task panics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use tokio::task::{Id, JoinSet};
use tokio_util::task::AbortOnDropHandle;

use super::item::Prepared;
use super::{RoutePlan, Worker, WorkerPorts};
use crate::engine::crash;
use crate::engine::gate::{FURTHER_PATIENCE, Further, Ticket, Verdict};
use crate::policy::Idempotency;
use crate::ports::permits::{Closed, Permit, Permits};
use crate::ports::state::Change;
use crate::vocabulary::{DeliveryError, Fault, Receipt};

/// Beyond the target's own deadline, so that its answer about a timeout normally wins; it covers a wait for one further
/// permit and the request made with it.
const GRACE: Duration = FURTHER_PATIENCE.saturating_add(Duration::from_secs(2));

/// The attempts under way of one worker.
#[derive(Default)]
pub(super) struct Attempts {
    tasks: JoinSet<Option<Result<Receipt, DeliveryError>>>,
    prepared: HashMap<Id, (Prepared, Verdict, Instant)>,
}

/// An attempt that ended.
pub(super) struct Ended {
    pub prepared: Prepared,
    pub verdict: Verdict,
    /// `None`: it was not sent, because its mark could not be written.
    pub outcome: Option<Result<Receipt, DeliveryError>>,
    pub elapsed: Duration,
}

impl Attempts {
    pub fn is_empty(&self) -> bool {
        self.prepared.is_empty()
    }

    pub fn len(&self) -> usize {
        self.prepared.len()
    }

    pub fn any_from_queue(&self) -> bool {
        self.prepared.values().any(|(prepared, ..)| !prepared.item.is_waiting())
    }

    pub fn start(&mut self, plan: &RoutePlan, ports: &WorkerPorts, prepared: Prepared, ticket: Ticket) {
        let Ticket { place, verdict } = ticket;
        let route = plan.name.clone();
        let further = Further { gate: Arc::clone(&ports.gate), operation: plan.operation.clone() };
        let permits = Permits::new(Some(Permit::unbounded()), Arc::new(further));
        let (target, store) = (Arc::clone(&ports.target), Arc::clone(&ports.store));
        let parcel = prepared.parcel.clone();
        let task = self.tasks.spawn(async move {
            let _place = place;
            if target.idempotency() == Idempotency::NonIdempotent {
                // Durable before the send: a crash after it finds the mark and does not send blindly again.
                let mark = Change::Mark { id: parcel.envelope.id };
                if let Err(error) = store.commit(&route, vec![mark]).await {
                    tracing::warn!(route = route.as_str(), "not sent, its attempt could not be marked: {error}");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return None;
                }
                crash::point("worker.marked");
            }
            let limit = target.deadline() * 2 + GRACE;
            let sent = tokio::time::timeout(limit, target.deliver(std::slice::from_ref(&parcel), &permits)).await;
            crash::point("worker.answered");
            let verdict = match sent {
                Ok(mut verdicts) => verdicts.pop(),
                Err(_) => None,
            };
            Some(verdict.unwrap_or_else(|| {
                Err(DeliveryError::new(Fault::Ambiguous, "the attempt did not end within its time limit"))
            }))
        });
        self.prepared.insert(task.id(), (prepared, verdict, Instant::now()));
    }

    /// The next attempt that ends. Cancel-safe.
    pub async fn next(&mut self) -> Option<Ended> {
        let joined = self.tasks.join_next_with_id().await?;
        let (id, outcome) = match joined {
            Ok((id, outcome)) => (id, outcome),
            Err(error) => {
                let message = "the connector panicked; its log says where";
                (error.id(), Some(Err(DeliveryError::new(Fault::Ambiguous, message))))
            }
        };
        let (prepared, verdict, began) = self.prepared.remove(&id)?;
        Some(Ended { prepared, verdict, outcome, elapsed: began.elapsed() })
    }
}

impl Worker {
    /// Starts as many attempts as permits are there for now; one that has to be waited for is waited for in a task of its
    /// own, because it holds the system's turn and must not depend on what else this worker is doing.
    pub(super) fn dispatch(&mut self) {
        if self.sendable.is_empty() || self.is_paused() {
            self.permit = None;
            return;
        }
        let concurrency = if self.probing { 1 } else { self.plan.concurrency };
        while self.permit.is_none() && !self.sendable.is_empty() && self.attempts.len() < concurrency {
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
        if let Some(prepared) = self.next_to_send().and_then(|prepared| self.unless_echo(prepared)) {
            self.attempts.start(&self.plan, &self.ports, prepared, ticket);
        }
    }
}
