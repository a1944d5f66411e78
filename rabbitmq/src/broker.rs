//! The port: RabbitMQ behind [`Broker`].

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::broker::{Broker, BrokerError, BrokerHealth, Deliveries, Depth, NoDepth, PublishError, QueuePlan};
use bus_core::vocabulary::{Envelope, QueueName, StreamName};
use tokio::sync::watch;

use crate::address::Address;
use crate::check::{self, CheckReport};
use crate::consumer::{self, Tally};
use crate::dial::Dialer;
use crate::health::Board;
use crate::link::Link;
use crate::plan::Plan;
use crate::publisher;
use crate::session::{Purpose, Session};
use crate::{Options, OptionsError, tls, topology};

/// RabbitMQ 3.10 or newer.
///
/// Two connections that come back by themselves, with backoff, for as long as this value lives. While there is none,
/// every method waits up to 5 s for it and then says why. Dropping it closes both within 1 s.
pub struct RabbitMq {
    dialer: Arc<Dialer>,
    limit: Duration,
    publish: Link,
    consume: Link,
    plan: Plan,
    tally: Tally,
    board: Arc<Board>,
}

impl RabbitMq {
    /// Connects, or starts trying: returns after the first attempt, successful or not (at most 10 s), so that a bus
    /// starts while its broker is down. Fails only on options that no broker could make work.
    pub async fn connect(options: Options) -> Result<Self, OptionsError> {
        let address = Address::parse(options.url.expose())?;
        let ca_file = options.ca_file.as_deref();
        let tls = if address.tls { Some(tls::connector(ca_file)?) } else { plain(&address, ca_file)? };
        let dialer = Arc::new(Dialer {
            address,
            tls,
            own_authority: ca_file.is_some(),
            name: options.name,
            heartbeat_seconds: u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX).max(1),
        });
        let (board, limit) = (Arc::new(Board::new()), options.confirm_timeout);
        let publish = Link::start(dialer.clone(), Purpose::Publish, limit, board.clone());
        let consume = Link::start(dialer.clone(), Purpose::Consume, limit, board.clone());
        tokio::join!(publish.tried(), consume.tried());
        Ok(Self { dialer, limit, publish, consume, plan: Plan::default(), tally: Tally::default(), board })
    }

    /// Logs in anew and reports version, latency and rights, for `bus check --connect`. Leaves nothing behind. The
    /// error says what is wrong and what to do.
    pub async fn check(&self) -> Result<CheckReport, BrokerError> {
        check::run(&self.dialer, self.limit).await
    }

    /// The session for everything but publishing.
    async fn consuming(&self) -> Result<Arc<Session>, BrokerError> {
        self.consume.session().await.map_err(|reason| BrokerError(format!("no connection to the broker: {reason}")))
    }

    /// Makes queues that somebody deleted anew, so that publishing again succeeds.
    async fn restore(&self, queues: &[QueuePlan], gone: &[QueueName]) {
        // One that left the plan after this publish began is gone because it was removed.
        let planned = |queue: &QueueName| self.plan.queue(queue).is_some();
        let lost: Vec<_> =
            queues.iter().filter(|plan| gone.contains(&plan.queue) && planned(&plan.queue)).cloned().collect();
        for plan in &lost {
            tracing::error!(
                queue = plan.queue.as_str(),
                "the queue was deleted while in use; it is made anew, what it held is lost: find out who deleted it, \
                 and run a backfill"
            );
        }
        let restored = match self.consuming().await {
            Ok(session) => topology::declare(&session, &self.dialer, &lost).await,
            Err(error) => Err(error),
        };
        if let Err(error) = restored {
            tracing::warn!(%error, "a deleted queue could not be made anew yet");
        }
    }
}

/// A CA file beside `amqp://` is a mistake that would send the password in clear.
fn plain<T>(address: &Address, ca_file: Option<&Path>) -> Result<Option<T>, OptionsError> {
    match ca_file {
        None => Ok(None),
        Some(_) => Err(OptionsError::Url(format!("({address}) is without TLS, but a CA file is configured"))),
    }
}

#[async_trait]
impl Broker for RabbitMq {
    async fn declare(&self, plan: &[QueuePlan]) -> Result<(), BrokerError> {
        // Before the broker is asked: if it refuses, publishing fails on the missing queue rather than leaving it out.
        self.plan.take_over(plan);
        topology::declare(&*self.consuming().await?, &self.dialer, plan).await
    }

    async fn remove(&self, queue: &QueueName) -> Result<(), BrokerError> {
        // First, so that a publish that finds it gone does not make it anew.
        self.plan.leave_out(queue);
        topology::remove(&*self.consuming().await?, queue).await
    }

    async fn publish(&self, stream: &StreamName, messages: &[Envelope]) -> Vec<Result<(), PublishError>> {
        let all = |reason: String| vec![Err(PublishError(reason)); messages.len()];
        let Some(queues) = self.plan.queues(stream) else {
            return all("no queue has been declared yet, so nobody would get it".to_owned());
        };
        if queues.is_empty() {
            return vec![Ok(()); messages.len()];
        }
        let session = match self.publish.session().await {
            Ok(session) => session,
            Err(reason) => return all(format!("no connection to the broker: {reason}")),
        };
        let outcome = publisher::publish(&session, &self.dialer.name, &queues, messages).await;
        if !outcome.gone.is_empty() {
            self.restore(&queues, &outcome.gone).await;
        }
        outcome.results
    }

    async fn consume(&self, queue: &QueueName, prefetch: u16) -> Result<Box<dyn Deliveries>, BrokerError> {
        let session = self.consuming().await?;
        if let Some(plan) = self.plan.queue(queue) {
            // It may have been deleted, or the broker restored from nothing.
            topology::declare(&session, &self.dialer, &[plan]).await?;
        }
        consumer::start(session, queue, prefetch, &self.dialer.name, &self.tally).await
    }

    /// What another process has taken and not settled is not included.
    async fn depth(&self, queue: &QueueName) -> Result<Depth, NoDepth> {
        let ready = topology::ready(&*self.consuming().await?, queue).await?;
        Ok(Depth { messages: ready + self.tally.unsettled(queue) })
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        self.board.subscribe()
    }
}
