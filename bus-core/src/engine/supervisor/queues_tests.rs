#![allow(clippy::unwrap_used)]
use std::sync::Mutex as Lock;

use async_trait::async_trait;

use super::*;
use crate::ports::broker::{BrokerHealth, Deliveries, Depth, NoDepth, PublishError};
use crate::vocabulary::{Envelope, StreamName};

/// Knows the names of the last declaration, whether it was answered or not; never answers for a queue called `slow`, and
/// crashes for one called `crash`.
#[derive(Default)]
struct Plans(Lock<Vec<String>>);

#[async_trait]
impl Broker for Plans {
    async fn declare(&self, plan: &[QueuePlan]) -> Result<(), BrokerError> {
        *self.0.lock().unwrap() = plan.iter().map(|plan| plan.queue.to_string()).collect();
        assert!(plan.iter().all(|plan| plan.queue.as_str() != "crash"), "a planned crash");
        if plan.iter().any(|plan| plan.queue.as_str() == "slow") {
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn remove(&self, _queue: &QueueName) -> Result<(), BrokerError> {
        Err(BrokerError("a planned failure".into()))
    }

    async fn publish(&self, _stream: &StreamName, _messages: &[Envelope]) -> Vec<Result<(), PublishError>> {
        Vec::new()
    }

    async fn consume(&self, queue: &QueueName, _prefetch: u16) -> Result<Box<dyn Deliveries>, BrokerError> {
        Err(BrokerError(format!("there is no queue {queue}")))
    }

    async fn depth(&self, _queue: &QueueName) -> Result<Depth, NoDepth> {
        Ok(Depth::default())
    }

    fn health(&self) -> watch::Receiver<BrokerHealth> {
        watch::channel(BrokerHealth::Connected).1
    }
}

fn plan(name: &str) -> QueuePlan {
    QueuePlan { queue: QueueName::new(name).unwrap(), stream: StreamName::new("s").unwrap(), keep: None }
}

fn setting() -> (Arc<Plans>, Arc<Queues>) {
    let broker = Arc::new(Plans::default());
    let (queues, _) = Queues::new(vec![plan("old")], Arc::clone(&broker) as _, Metrics::new());
    (broker, queues)
}

#[tokio::test(start_paused = true)]
async fn publishers_go_back_to_the_plan_that_holds_when_the_broker_is_silent() {
    let (broker, queues) = setting();
    let refused = queues.declare(vec![plan("slow")], Duration::from_secs(10)).await;
    assert!(refused.is_err_and(|error| error.0.contains("no answer within 10 s")));
    assert_eq!(*broker.0.lock().unwrap(), ["old"]);
    queues.declare(vec![plan("new")], Duration::from_secs(10)).await.unwrap();
    assert_eq!(*broker.0.lock().unwrap(), ["old", "new"]);
}

#[tokio::test]
async fn a_queue_that_could_not_be_removed_is_not_kept_up() {
    let (broker, queues) = setting();
    assert!(queues.remove(&plan("old").queue).await.is_err());
    queues.declare(vec![plan("new")], Duration::from_secs(10)).await.unwrap();
    assert_eq!(*broker.0.lock().unwrap(), ["new"]);
}

#[tokio::test(start_paused = true)]
async fn a_keeper_that_crashes_is_told() {
    use crate::engine::incident::{Incidents, Kind};
    let incidents = Incidents::default();
    let broker = Arc::new(Plans::default());
    let running = crate::engine::supervisor::start(vec![plan("crash")], broker, Metrics::new(), incidents.clone());
    tokio::time::sleep(DEPTH).await;
    let told: Vec<_> = incidents.list().into_iter().map(|one| (one.kind, one.subject)).collect();
    assert_eq!(told, [(Kind::JobCrashed, "queues".to_owned())]);
    drop(running);
}
