//! `[subscriptions.NAME]`: an outside system that takes a stream by itself.

use bus_core::vocabulary::StreamName;
use bus_options::{Bytes, Located, Millis, Ref, SecretRef, choices, options};

use crate::shape::{ConditionText, FieldsText, TransformText};

/// In milliseconds: keeping for longer than a year is an archive, not a queue.
const YEAR: u64 = 366 * super::system::DAY;

options! {
    /// An outside system that takes a stream by itself, from its queue or by asking over HTTP.
    pub struct Subscription("[subscriptions.NAME]") {
        /// What it takes.
        stream: Ref<StreamName>, required;
        /// How it takes it. Without it: from a queue where RabbitMQ is the broker, else over HTTP.
        via: Located<Via>, optional;
        /// What it must present, where it asks over HTTP.
        key: Located<SecretRef>, optional;
        /// How much is kept for it.
        keep: Keep, shared = {};
        /// Only records for which this is true; without it, all.
        when: Located<ConditionText>, optional;
        /// Makes its object of the record.
        transform: Located<TransformText>, optional;
        /// The simple case: its names, each with a path in the record.
        fields: Located<FieldsText>, optional;
    }
}

choices! {
    /// How a subscriber takes a stream.
    pub enum Via {
        /// From its own queue at RabbitMQ.
        Amqp = "amqp",
        /// By `GET /out/NAME?after=…`.
        Http = "http",
    }
}

options! {
    /// How much is kept for a subscriber that does not come. What is older or more is dropped, the oldest first.
    pub struct Keep("keep") {
        /// For how long; of a queue at RabbitMQ at most 49 days.
        age as "for": Millis<1, YEAR> = "7d";
        /// How much.
        bytes: Bytes = "2GB";
    }
}
