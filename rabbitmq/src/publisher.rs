//! Publishing a window of messages to every queue of a stream, and believing nothing but the confirms.

use std::collections::HashSet;

use bus_core::ports::broker::{PublishError, QueuePlan};
use bus_core::vocabulary::{Envelope, QueueName};
use lapin::options::BasicPublishOptions;
use lapin::{Channel, Confirmation, PublisherConfirm};

use crate::explain::Failure;
use crate::message;
use crate::session::Session;

/// Unconfirmed publishes on a channel. 256 reaches 95 % of what 1024 does, at a third of the latency; one by one costs
/// a disk flush each.
const WINDOW: usize = 256;

/// What became of a batch.
pub(crate) struct Outcome {
    /// One per message, in order.
    pub(crate) results: Vec<Result<(), PublishError>>,
    /// Queues that the broker did not find.
    pub(crate) gone: Vec<QueueName>,
}

/// Publishes window by window, in order, and stops after the first window with an error: what comes later must not
/// overtake what the caller will publish again.
pub(crate) async fn publish(session: &Session, bus: &str, queues: &[QueuePlan], messages: &[Envelope]) -> Outcome {
    let mut results = Vec::with_capacity(messages.len());
    let mut gone = Vec::new();
    for window in messages.chunks((WINDOW / queues.len()).max(1)) {
        match publish_window(session, bus, queues, window).await {
            Ok(lost) if lost.is_empty() => results.extend(window.iter().map(|_| Ok(()))),
            Ok(lost) => {
                results.extend(window.iter().map(|envelope| lost.verdict(envelope)));
                gone = queues.iter().map(|plan| &plan.queue).filter(|queue| lost.names(queue)).cloned().collect();
                break;
            }
            Err((confirmed, failure)) => {
                results.extend(window[..confirmed].iter().map(|_| Ok(())));
                results.push(Err(PublishError(failure)));
                break;
            }
        }
    }
    let skipped = PublishError("not sent, because a message before it was not confirmed".to_owned());
    results.resize_with(messages.len(), || Err(skipped.clone()));
    Outcome { results, gone }
}

/// All confirmed but those returned; or how many messages were confirmed in every queue before the first failure.
async fn publish_window(
    session: &Session,
    bus: &str,
    queues: &[QueuePlan],
    window: &[Envelope],
) -> Result<Returned, (usize, String)> {
    let channel = session.channel().await.map_err(|failure| (0, failure.to_string()))?;
    let mut confirms = Vec::with_capacity(window.len() * queues.len());
    let sent = send(session, &channel, bus, queues, window, &mut confirms).await;
    let mut returned = Returned::default();
    for (index, confirm) in confirms.into_iter().enumerate() {
        let failure = match session.bounded("a publish (no confirm)", confirm).await {
            Ok(Confirmation::Ack(None)) => continue,
            Ok(Confirmation::Ack(Some(message))) => {
                returned.note(&message);
                continue;
            }
            Ok(Confirmation::Nack(_)) => "the broker refused it (nack)".to_owned(),
            Ok(Confirmation::NotRequested) => "the channel has no confirms".to_owned(),
            Err(failure) => failure.to_string(),
        };
        // What was returned cannot be told from what was confirmed until every confirm has come.
        let confirmed = if returned.is_empty() { index / queues.len() } else { 0 };
        return Err((confirmed, failure));
    }
    sent.map_err(|failure| (0, failure.to_string()))?;
    // Nothing is under way on the channel: on every other path it is dropped, which closes it.
    session.give_back(channel);
    Ok(returned)
}

/// Hands every message to the connection, once per queue through the default exchange: a queue is bound to it under
/// its own name, and nobody can remove that binding.
async fn send(
    session: &Session,
    channel: &Channel,
    bus: &str,
    queues: &[QueuePlan],
    window: &[Envelope],
    confirms: &mut Vec<PublisherConfirm>,
) -> Result<(), Failure> {
    // A queue that does not exist sends the message back instead of confirming what went nowhere.
    let mandatory = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
    for envelope in window {
        let properties = message::properties(envelope, bus);
        for plan in queues {
            let queue = plan.queue.as_str().into();
            let publish = channel.basic_publish("".into(), queue, mandatory, &envelope.body, properties.clone());
            confirms.push(session.bounded("a publish", publish).await?);
        }
    }
    Ok(())
}

/// Messages that came back from a window.
///
/// lapin attaches a returned message to whichever confirm is resolved next, not to its own, so a confirm does not say
/// which message came back: the message itself does. All returns of a window are in once all its confirms are, because
/// the broker returns before it confirms and a channel carries one window at a time.
#[derive(Default)]
struct Returned {
    /// (routing key = queue, message id)
    messages: HashSet<(String, String)>,
    /// Something without an id came back: no message of the window is beyond doubt.
    unknown: bool,
}

impl Returned {
    fn note(&mut self, message: &lapin::message::BasicReturnMessage) {
        match message.delivery.properties.message_id() {
            Some(id) => {
                self.messages.insert((message.delivery.routing_key.to_string(), id.to_string()));
            }
            None => self.unknown = true,
        }
    }

    fn is_empty(&self) -> bool {
        self.messages.is_empty() && !self.unknown
    }

    fn names(&self, queue: &QueueName) -> bool {
        self.messages.iter().any(|(name, _)| name == queue.as_str())
    }

    fn verdict(&self, envelope: &Envelope) -> Result<(), PublishError> {
        let id = envelope.id.to_string();
        match self.messages.iter().find(|(_, returned)| *returned == id) {
            Some((queue, _)) => Err(PublishError(format!("queue {queue} does not exist (it was deleted)"))),
            None if self.unknown => Err(PublishError("the broker returned a message without an id".to_owned())),
            None => Ok(()),
        }
    }
}
