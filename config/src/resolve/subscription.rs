//! Subscriptions: what outside systems take by themselves.

use std::time::Duration;

use bus_core::vocabulary::SubscriptionName;
use bus_options::{Definitions, Located, Report, SecretRef, codes};
use chrono_tz::Tz;

use super::shaper::shaper;
use crate::landscape::{Broker, Subscription, Via};
use crate::language::subscription as subscribed;
use crate::maps::Catalogue;
use crate::shape::Shaper;

/// A message's time to live at RabbitMQ is a 32-bit number of milliseconds.
const LONGEST_TTL: Duration = Duration::from_millis(u32::MAX as u64);

pub fn subscriptions(
    written: Definitions<SubscriptionName, subscribed::Subscription>,
    broker: &Broker,
    catalogue: &Catalogue,
    zone: Tz,
    report: &mut Report,
) -> Vec<Subscription> {
    let mut resolved = Vec::new();
    for entry in written.0 {
        let subscription = entry.value;
        // The embedded broker has no queues for others, so there is one way only.
        let usual = match broker {
            Broker::Amqp { .. } => subscribed::Via::Amqp,
            Broker::Embedded => subscribed::Via::Http,
        };
        let taken = subscription.via.clone().unwrap_or(Located { value: usual, span: entry.key.span.clone() });
        as_it_is(&subscription, taken.value, report);
        let (when, transform) = (subscription.when.map(|when| when.value), subscription.transform.map(|t| t.value));
        let shape = shaper(when, transform, subscription.fields, catalogue, zone, report);
        may_not_wait(&entry.key, &shape, report);
        if taken.value == subscribed::Via::Amqp && subscription.keep.age.0 > LONGEST_TTL {
            let message = "`keep.for` is longer than RabbitMQ keeps: 49 days at most";
            let hint = "write keep = { for = \"49d\" }, or take it over HTTP (via = \"http\" with a key), up to a year";
            report.add_with_hint(codes::CONTRADICTION, &entry.key.span, message, hint);
        }
        let Some(via) = via(&taken, subscription.key, broker, report) else { continue };
        resolved.push(Subscription {
            name: entry.key.value,
            stream: subscription.stream.name().clone(),
            via,
            keep_for: subscription.keep.age.0,
            keep_bytes: subscription.keep.bytes.0,
            shape,
        });
    }
    resolved
}

/// An outbox has one order for all keys: a message that waits would stop everything behind it.
fn may_not_wait(name: &Located<SubscriptionName>, shape: &Shaper, report: &mut Report) {
    let Some(map) = shape.holds_for() else { return };
    let message = format!("a subscription does not wait for map `{map}` to know a value");
    let hint = "say at the lookup what happens instead: default: \"…\", unknown: \"pass\" or unknown: \"dead-letter\"";
    report.add_with_hint(codes::CONTRADICTION, &name.span, message, hint);
}

/// A queue at RabbitMQ receives what is published, before anything of ours could filter or change it.
fn as_it_is(subscription: &subscribed::Subscription, via: subscribed::Via, report: &mut Report) {
    if via != subscribed::Via::Amqp {
        return;
    }
    let when = subscription.when.iter().map(|when| ("when", &when.span));
    let transform = subscription.transform.iter().map(|transform| ("transform", &transform.span));
    let fields = subscription.fields.iter().map(|fields| ("fields", &fields.span));
    for (key, span) in when.chain(transform).chain(fields) {
        let hint = format!("remove `{key}`, or write via = \"http\" with a key");
        let message = format!("`{key}` is not supported yet where a queue is the subscriber's own");
        report.add_with_hint(codes::NOT_YET, span, message, hint);
    }
}

fn via(
    via: &Located<subscribed::Via>,
    key: Option<Located<SecretRef>>,
    broker: &Broker,
    report: &mut Report,
) -> Option<Via> {
    let (message, hint, span) = match (via.value, key, broker) {
        (subscribed::Via::Http, Some(key), _) => return Some(Via::Http { key: key.value }),
        (subscribed::Via::Amqp, None, Broker::Amqp { .. }) => return Some(Via::Amqp),
        (subscribed::Via::Http, None, _) => {
            ("who asks over HTTP must present a key", "add key = { env = \"NAME\" }", &via.span)
        }
        (subscribed::Via::Amqp, Some(key), _) => {
            let hint = "remove `key`, or write via = \"http\"";
            report.add_with_hint(codes::CONTRADICTION, &key.span, "a queue is opened by the broker's own users", hint);
            return None;
        }
        (subscribed::Via::Amqp, None, Broker::Embedded) => (
            "the embedded broker has no queues for others",
            "write via = \"http\" with a key, or name RabbitMQ as the broker",
            &via.span,
        ),
    };
    report.add_with_hint(codes::CONTRADICTION, span, message, hint);
    None
}
