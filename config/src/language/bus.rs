//! `[bus]`: the bus itself.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use bus_options::{
    Bytes, Filled, Located, Node, OptionValue, Report, Seconds, SecretOr, SecretRef, choices, nearest, options,
};
use serde_json::{Value, json};
use url::Url;

use super::address::{self, ListenAddress};

options! {
    /// The bus itself: where it keeps what it must not lose, and where it can be reached.
    pub struct Bus("[bus]") {
        /// Told to systems, and shown by `bus status` and in incidents.
        name: Filled = "bus";
        /// Schedules and capacity windows are read in it.
        timezone: Timezone = "UTC";
        /// `"embedded"` needs nothing else on a single machine; `"amqps://bus@rabbit-1:5671/prod"` is RabbitMQ.
        broker: Located<SecretOr<Broker>> = "embedded";
        /// Certificate authority of the broker (PEM), where it is not a public one.
        broker_ca: Located<PathBuf>, optional;
        /// The database with cursors, what was delivered and what waits. As precious as the broker.
        state: PathBuf = "data/bus.db";
        /// Where API, `/metrics` and pushed records are served.
        listen: Located<ListenAddress> = "127.0.0.1:8080";
        /// The key that the API asks for; required where others than this machine can reach `listen`.
        key: SecretRef, optional;
        /// How long a message may stay unsettled in memory; then it is moved to `waiting` in the state store, so that the
        /// broker does not close the channel (RabbitMQ's `consumer_timeout` is 30 minutes).
        hold: Seconds<1, 600> = "20s";
        /// What the log looks like.
        log: LogFormat = "text";
        /// How much `bus where` remembers.
        journal: Located<JournalKeep> = {};
    }
}

options! {
    /// How much of what happened to each message is kept, in the state store. What is older or more goes, the oldest
    /// first. Archived bodies count.
    pub struct JournalKeep("journal") {
        /// For how long.
        age as "for": Duration = "30d";
        /// How much.
        bytes: Bytes = "2GB";
    }
}

choices! {
    /// What the log looks like.
    pub enum LogFormat {
        /// Lines for people.
        Text = "text",
        /// One JSON object per line.
        Json = "json",
    }
}

/// A time zone of the IANA database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timezone(pub chrono_tz::Tz);

impl OptionValue for Timezone {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a time zone such as \"Europe/Moscow\"", report)?;
        match text.parse() {
            Ok(zone) => Some(Self(zone)),
            Err(_) => {
                let hint = match nearest(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())) {
                    Some(near) => format!("did you mean \"{near}\"?"),
                    None => "a name of the IANA database, such as \"Europe/Moscow\" or \"UTC\"".into(),
                };
                node.bad_value(format!("`{text}` is not a time zone"), hint, report);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "time zone such as `\"Europe/Moscow\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// Where messages are kept between capture and delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Broker {
    /// Inside the bus.
    Embedded,
    /// RabbitMQ.
    Amqp(Url),
}

impl OptionValue for Broker {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        match node.text("\"embedded\" or an address", report)? {
            "embedded" => Some(Self::Embedded),
            text if !text.contains(':') => {
                node.not_a_choice(text, &["embedded", "amqps://…"], &[], report);
                None
            }
            _ => address::read(node, &["amqp", "amqps"], &[], report).map(Self::Amqp),
        }
    }
    fn kind() -> Cow<'static, str> {
        "`\"embedded\"` or address `amqps://…`, `amqp://…` without a password".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(embedded$|amqps?://)"})
    }
}
