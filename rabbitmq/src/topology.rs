//! What the bus makes at the broker: durable quorum queues on the default exchange, and nothing else.

use std::time::Duration;

use bus_core::ports::broker::{BrokerError, Keep, NoDepth, QueuePlan};
use bus_core::vocabulary::QueueName;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};

use crate::dial::Dialer;
use crate::explain::Failure;
use crate::greeting;
use crate::session::Session;

/// RabbitMQ's longest time to live: 2³² − 1 ms, 49 days. `bus check` refuses more.
const LONGEST_AGE: Duration = Duration::from_millis(u32::MAX as u64);

/// From this version on a quorum queue drops a message that came back 20 times, unless told otherwise; before
/// it, the argument that says so is refused.
const LIMITS_REDELIVERY: (u32, u32) = (4, 0);

/// PRECONDITION_FAILED: the queue exists with other arguments, among other things.
const PRECONDITION_FAILED: u16 = 406;
/// NOT_FOUND: `no queue 'name'`. One that exists and whose node is down has the same code, and other words.
const NOT_FOUND: u16 = 404;

/// Makes the queues exist. Stops at the first that cannot be as planned.
pub(crate) async fn declare(session: &Session, dialer: &Dialer, plan: &[QueuePlan]) -> Result<(), BrokerError> {
    let greeting = session.greeting.get_or_try_init(|| greeting::ask(dialer)).await.map_err(BrokerError)?;
    let limits_redelivery = greeting.release().is_some_and(|release| release >= LIMITS_REDELIVERY);
    for queue in plan {
        let arguments = arguments(queue.keep, limits_redelivery);
        declare_one(session, queue, arguments).await?;
    }
    Ok(())
}

async fn declare_one(session: &Session, plan: &QueuePlan, arguments: FieldTable) -> Result<(), BrokerError> {
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    let Err(failure) = ask(session, &plan.queue, durable, arguments).await else {
        return Ok(());
    };
    if failure.code() != Some(PRECONDITION_FAILED) {
        return Err(BrokerError(format!("queue {} cannot be declared: {failure}", plan.queue)));
    }
    match Difference::of(&failure.to_string()) {
        Difference::Keep => {
            tracing::warn!(
                queue = plan.queue.as_str(),
                "the queue keeps the bounds it was created with, not those configured now; a policy tightens them, to \
                 loosen them delete the queue when its subscriber has emptied it"
            );
        }
        Difference::DeliveryLimit => {
            tracing::warn!(
                queue = plan.queue.as_str(),
                "the queue was created without x-delivery-limit=-1, so this broker may drop a message that came back \
                 20 times; set the policy delivery-limit=-1 for it"
            );
        }
        Difference::Kind => {
            return Err(BrokerError(format!(
                "queue {} exists with other properties than the bus needs (durable, x-queue-type=quorum, \
                 x-single-active-consumer=true): empty or move it, delete it, and the bus creates it anew ({failure})",
                plan.queue
            )));
        }
    }
    ready(session, &plan.queue).await.map(drop).map_err(|error| BrokerError(error.to_string()))
}

/// Messages ready in the queue.
pub(crate) async fn ready(session: &Session, queue: &QueueName) -> Result<u64, NoDepth> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let answer = ask(session, queue, passive, FieldTable::default()).await;
    answer.map_err(|failure| match failure.code() {
        Some(NOT_FOUND) if failure.to_string().contains("no queue '") => NoDepth::Absent(queue.clone()),
        _ => NoDepth::Unknown(BrokerError(format!("queue {queue} cannot be examined: {failure}"))),
    })
}

/// Deletes the queue with what it holds. RabbitMQ answers the same for one that does not exist.
pub(crate) async fn remove(session: &Session, queue: &QueueName) -> Result<(), BrokerError> {
    let explain = |failure: Failure| BrokerError(format!("queue {queue} cannot be deleted: {failure}"));
    let channel = session.channel().await.map_err(explain)?;
    let deleted = channel.queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
    session.bounded("deleting a queue", deleted).await.map_err(explain)?;
    session.give_back(channel);
    Ok(())
}

async fn ask(
    session: &Session,
    queue: &QueueName,
    options: QueueDeclareOptions,
    arguments: FieldTable,
) -> Result<u64, Failure> {
    let channel = session.channel().await?;
    let declared = channel.queue_declare(queue.as_str().into(), options, arguments);
    // On an error the broker has closed the channel, and it is dropped here.
    let declared = session.bounded("declaring a queue", declared).await?;
    session.give_back(channel);
    Ok(u64::from(declared.message_count()))
}

/// Only what never changes for a queue, and a subscription's first bounds: see ADR 0004.
fn arguments(keep: Option<Keep>, limits_redelivery: bool) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    table.insert("x-single-active-consumer".into(), AMQPValue::Boolean(true));
    if limits_redelivery {
        table.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(-1));
    }
    if let Some(keep) = keep {
        let bytes = i64::try_from(keep.bytes).unwrap_or(i64::MAX);
        let age = i64::from(u32::try_from(keep.age.min(LONGEST_AGE).as_millis()).unwrap_or(u32::MAX));
        table.insert("x-overflow".into(), AMQPValue::LongString("drop-head".into()));
        table.insert("x-max-length-bytes".into(), AMQPValue::LongLongInt(bytes));
        table.insert("x-message-ttl".into(), AMQPValue::LongLongInt(age));
    }
    table
}

/// In what an existing queue differs from the plan, as the broker's 406 says.
#[derive(Debug, PartialEq, Eq)]
enum Difference {
    /// In a subscription's bounds: it works as before.
    Keep,
    /// It was created under a version before 4.0.
    DeliveryLimit,
    /// In something without which the bus cannot keep its promises.
    Kind,
}

impl Difference {
    fn of(refusal: &str) -> Self {
        let differs = |argument: &str| refusal.contains(&format!("inequivalent arg '{argument}'"));
        if ["x-overflow", "x-max-length-bytes", "x-message-ttl"].into_iter().any(differs) {
            Difference::Keep
        } else if differs("x-delivery-limit") {
            Difference::DeliveryLimit
        } else {
            Difference::Kind
        }
    }
}

/// The `rabbitmqctl` command that bounds a subscription's queue as configured, for a queue that was created with
/// other bounds or by somebody else. A policy and the queue's own arguments together: the smaller value holds.
pub fn keep_policy(plan: &QueuePlan, vhost: &str) -> Option<String> {
    let keep = plan.keep?;
    let age = keep.age.min(LONGEST_AGE).as_millis();
    // The only character of a name that means something else in a pattern.
    let pattern = plan.queue.as_str().replace('.', "\\.");
    Some(format!(
        "rabbitmqctl set_policy --vhost '{vhost}' --apply-to queues 'bus-keep-{}' '^{pattern}$' \
         '{{\"overflow\":\"drop-head\",\"max-length-bytes\":{},\"message-ttl\":{age}}}'",
        plan.queue, keep.bytes
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use bus_core::vocabulary::StreamName;

    use super::*;

    #[test]
    fn arguments_by_version_and_keep() {
        let keep = Keep { age: Duration::from_secs(60), bytes: 2_000 };
        for (keep, limits_redelivery, names) in [
            (None, false, "x-queue-type x-single-active-consumer"),
            (None, true, "x-delivery-limit x-queue-type x-single-active-consumer"),
            (Some(keep), false, "x-max-length-bytes x-message-ttl x-overflow x-queue-type x-single-active-consumer"),
        ] {
            let table = arguments(keep, limits_redelivery);
            let found: Vec<_> = table.inner().keys().map(|name| name.as_str()).collect();
            assert_eq!(found.join(" "), names);
        }
        let endless = Keep { age: Duration::from_secs(u64::MAX), bytes: u64::MAX };
        let table = arguments(Some(endless), false);
        assert_eq!(table.inner().get("x-message-ttl"), Some(&AMQPValue::LongLongInt(4_294_967_295)));
    }

    #[test]
    fn refusals_that_the_bus_can_live_with() {
        let text = |argument| format!("PRECONDITION_FAILED - inequivalent arg '{argument}' for queue 'q' in vhost '/'");
        assert_eq!(Difference::of(&text("x-max-length-bytes")), Difference::Keep);
        assert_eq!(Difference::of(&text("x-delivery-limit")), Difference::DeliveryLimit);
        assert_eq!(Difference::of(&text("x-queue-type")), Difference::Kind);
        assert_eq!(Difference::of(&text("durable")), Difference::Kind);
    }

    #[test]
    fn a_policy_matches_its_queue_only() {
        let keep = Some(Keep { age: Duration::from_secs(7 * 86_400), bytes: 2_000_000_000 });
        let queue = QueueName::new("bi.заказы").unwrap();
        let plan = QueuePlan { queue, stream: StreamName::new("заказы").unwrap(), keep };
        let command = keep_policy(&plan, "/").unwrap();
        assert!(command.contains("'^bi\\.заказы$'"), "{command}");
        assert!(command.contains("\"max-length-bytes\":2000000000,\"message-ttl\":604800000"), "{command}");
        assert_eq!(keep_policy(&QueuePlan { keep: None, ..plan }, "/"), None);
    }
}
