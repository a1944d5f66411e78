//! What is in a queue, for who decides whether one may be made, or removed: a queue that is not there is told from one that
//! the broker says nothing of.

use bus_core::ports::broker::{Broker, BrokerError, NoDepth};
use bus_core::vocabulary::QueueName;

/// Messages in it; `None`: there is no such queue. An error: nobody knows either.
pub async fn queued(broker: &dyn Broker, queue: &QueueName) -> Result<Option<u64>, BrokerError> {
    match broker.depth(queue).await {
        Ok(depth) => Ok(Some(depth.messages)),
        Err(NoDepth::Absent(_)) => Ok(None),
        Err(NoDepth::Unknown(error)) => Err(error),
    }
}

/// Those of the queues that do not exist; an error when that is not known of one of them, which may then hold what somebody
/// still wants.
pub async fn absent<'a>(
    broker: &dyn Broker,
    queues: impl Iterator<Item = &'a QueueName>,
) -> Result<Vec<QueueName>, BrokerError> {
    let mut absent = Vec::new();
    for queue in queues {
        if queued(broker, queue).await?.is_none() {
            absent.push(queue.clone());
        }
    }
    Ok(absent)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use async_trait::async_trait;
    use bus_core::ports::broker::{BrokerHealth, Deliveries, Depth, PublishError, QueuePlan};
    use bus_core::vocabulary::{Envelope, StreamName};
    use tokio::sync::watch;

    use super::*;

    /// Says nothing of a queue called `slow`, and knows one called `full`; connected all the while.
    struct Slow;

    #[async_trait]
    impl Broker for Slow {
        async fn declare(&self, _plan: &[QueuePlan]) -> Result<(), BrokerError> {
            Ok(())
        }

        async fn remove(&self, _queue: &QueueName) -> Result<(), BrokerError> {
            Ok(())
        }

        async fn publish(&self, _stream: &StreamName, _messages: &[Envelope]) -> Vec<Result<(), PublishError>> {
            Vec::new()
        }

        async fn consume(&self, queue: &QueueName, _prefetch: u16) -> Result<Box<dyn Deliveries>, BrokerError> {
            Err(BrokerError(format!("there is no queue {queue}")))
        }

        async fn depth(&self, queue: &QueueName) -> Result<Depth, NoDepth> {
            match queue.as_str() {
                "full" => Ok(Depth { messages: 7 }),
                "slow" => Err(NoDepth::Unknown(BrokerError("no answer within 10 s".into()))),
                _ => Err(NoDepth::Absent(queue.clone())),
            }
        }

        fn health(&self) -> watch::Receiver<BrokerHealth> {
            watch::channel(BrokerHealth::Connected).1
        }
    }

    #[tokio::test]
    async fn a_queue_that_a_slow_broker_says_nothing_of_is_not_taken_for_a_new_one() {
        let fresh = async |names: &[&str]| {
            let names: Vec<_> = names.iter().map(|name| QueueName::new(name).unwrap()).collect();
            absent(&Slow, names.iter()).await.map(|fresh| fresh.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(fresh(&["full", "new", "newer"]).await.unwrap(), ["new", "newer"]);
        let unknown = fresh(&["new", "slow"]).await.unwrap_err();
        assert_eq!(unknown.to_string(), "no answer within 10 s");
        assert_eq!(queued(&Slow, &QueueName::new("new").unwrap()).await, Ok(None));
        assert_eq!(queued(&Slow, &QueueName::new("full").unwrap()).await, Ok(Some(7)));
    }
}
