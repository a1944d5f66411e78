//! `[maps.NAME]`: from a source's values to a receiver's.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use bus_core::policy::Schedule;
use bus_core::vocabulary::{RouteName, StreamName, SystemName};
use bus_options::{Declaration, Located, Map as Table, Node, OptionValue, Ref, Report, choices, options};
use serde_json::{Value, json};

use super::select::SelectText;
use crate::maps::{Encoding, Unknown};
use crate::shape::FieldPath;

options! {
    /// A dictionary from a source's values to a receiver's, for `lookup("NAME", value)` in programs and for `fields`.
    /// One of: written here (`values`), a CSV file (`csv`), read from a database (`from`, `query`, `schedule`), kept from
    /// a stream (`stream`, `value`), or the receiver's ids that a route has learnt (`route`, `gives`).
    pub struct Map("[maps.NAME]") {
        /// The dictionary itself.
        values: Located<Table<Scalar>>, optional;
        /// A CSV file with the columns `key` and `value`, relative to the main file; read again when it changes.
        csv: Located<PathBuf>, optional;
        /// How the letters of that file are written.
        encoding: Located<Encoding>, optional;
        /// The database it is read from.
        from: Ref<SystemName>, optional;
        /// What to read: the columns `key` and `value`.
        query: SelectText, optional;
        /// When to read it.
        schedule: Schedule, optional;
        /// The stream it is kept from, by the key of its records.
        stream: Ref<StreamName>, optional;
        /// Where in a record of that stream the value stands.
        value: Located<FieldPath>, optional;
        /// The route whose receiver gives its own ids (`send = { …, receiver_id = … }`): the map goes from them to the keys
        /// of the route's stream, for the way back.
        route: Ref<RouteName>, optional;
        /// What such a map gives: our key for the receiver's id, or the receiver's id for our key.
        gives: Located<GivesText>, optional;
        /// What happens to a message whose value it lacks; a lookup may say otherwise. Without it, a map kept from a
        /// stream or a route holds the message for an hour, and others make it a dead letter.
        unknown: Unknown, optional;
    }
}

choices! {
    /// What the map of a route's ids gives.
    pub enum GivesText {
        /// Our key, for the receiver's id.
        Key = "key",
        /// The receiver's id, for our key.
        ReceiverId = "receiver_id",
    }
}

/// A text, a number, true or false.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar(pub Value);

impl OptionValue for Scalar {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        use toml::de::DeValue;
        // Numbers as they are written, so that no digit changes.
        let number = |node: Node<'_>| serde_json::from_str(&node.raw().replace('_', "")).ok();
        let value = match node.value() {
            DeValue::String(text) => Some(Value::from(text.as_ref())),
            DeValue::Boolean(value) => Some(Value::from(*value)),
            DeValue::Integer(_) | DeValue::Float(_) => number(node),
            _ => None,
        };
        if value.is_none() {
            node.wrong_type(&Self::kind(), report);
        }
        value.map(Self)
    }
    fn kind() -> Cow<'static, str> {
        "text, number, `true` or `false`".into()
    }
    fn schema() -> Value {
        json!({"type": ["string", "number", "boolean"]})
    }
}

options! {
    /// The message waits until the map knows the value. `"hold"` for short: a day.
    pub struct HoldUnknown("unknown = { hold = … }") {
        /// For how long; then it is a dead letter.
        hold: Duration, required;
    }
}

options! {
    /// Something else stands in for the value.
    pub struct DefaultUnknown("unknown = { default = … }") {
        /// What.
        default: Scalar, required;
    }
}

impl OptionValue for Unknown {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if node.has("hold") {
            return HoldUnknown::read(node, report).map(|options| Self::Hold(options.hold));
        }
        if node.value().is_table() {
            return DefaultUnknown::read(node, report).map(|options| Self::Default(options.default.0));
        }
        let word = node.text(&Self::kind(), report)?;
        let unknown = Unknown::of_word(word);
        if unknown.is_none() {
            node.not_a_choice(word, &Unknown::WORDS, &[], report);
        }
        unknown
    }
    fn kind() -> Cow<'static, str> {
        "`\"dead-letter\"`, `\"pass\"`, `\"hold\"`, `{ hold = \"1h\" }` or `{ default = \"…\" }`".into()
    }
    fn schema() -> Value {
        json!({"anyOf": [{"enum": Unknown::WORDS}, HoldUnknown::schema(), DefaultUnknown::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        HoldUnknown::tables(out);
        DefaultUnknown::tables(out);
    }
}
