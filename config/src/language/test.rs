//! `[[tests]]`: a record, and what a route is to make of it.

use std::borrow::Cow;
use std::path::PathBuf;

use bus_core::vocabulary::RouteName;
use bus_options::{Declaration, Filled, Located, Map, Node, OptionValue, Ref, Report, options};
use serde_json::{Value, json};
use toml::de::DeValue;

use super::map::Scalar;
use super::route::Method;

options! {
    /// A record, and what a route is to make of it: a request (`expect`), nothing (`skip`), a message that waits (`hold`) or a
    /// dead letter (`reject`). `bus test` runs all of them, and sends nothing.
    pub struct Test("[[tests]]") {
        /// What it shows, in words.
        name: Filled, required;
        /// The route that it is about.
        route: Ref<RouteName>, required;
        /// The record as the source gives it: a table, or JSON as a text.
        given: Located<Document>, optional;
        /// The same in a file of JSON, relative to the main file.
        given_file: Located<PathBuf>, optional;
        /// The record is gone at its source.
        deleted: bool = false;
        /// The receiver has an earlier version of it.
        had: bool = false;
        /// What the receiver called that one.
        receiver_id: Filled, optional;
        /// What maps hold that are read from a database, a stream or a route's ids, such as `{ sku = { "guid-1" = "A-1" } }`; what is not
        /// said here they lack.
        maps: Map<Located<Map<Scalar>>> = {};
        /// The request.
        expect: Located<Expect>, optional;
        /// Nothing is sent.
        skip: Located<bool> = false;
        /// It waits; what it waits for holds this text.
        hold: Located<Filled>, optional;
        /// It becomes a dead letter, whose words hold this text.
        reject: Located<Filled>, optional;
    }
}

options! {
    /// The request that is expected. What it does not name may be anything.
    pub struct Expect("expect") {
        /// The method.
        method: Method, optional;
        /// Path and query behind the system's address, every place filled.
        path: Filled, optional;
        /// Headers that must be there; `***` stands for the value of a secret one.
        headers: Map<String> = {};
        /// The whole body: a table, or JSON as a text. The order of fields does not count, every digit does.
        body: Document, optional;
    }
}

/// JSON: a table or list of the file, or JSON as a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document(pub String);

impl OptionValue for Document {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if let Some(text) = node.value().as_str() {
            return match serde_json::from_str::<serde::de::IgnoredAny>(text) {
                Ok(_) => Some(Self(text.to_owned())),
                Err(error) => {
                    let hint = "write a table, or JSON as a text, such as '{\"id\": 1}'";
                    node.bad_value(format!("not JSON: {error}"), hint, report);
                    None
                }
            };
        }
        if !matches!(node.value(), DeValue::Table(_) | DeValue::Array(_)) {
            node.wrong_type(&Self::kind(), report);
            return None;
        }
        json(node, report).map(|value| Self(value.to_string()))
    }
    fn kind() -> Cow<'static, str> {
        "table, or JSON as a text".into()
    }
    fn schema() -> Value {
        json!({"type": ["object", "array", "string"]})
    }
    fn tables(_out: &mut Vec<Declaration>) {}
}

/// The same as JSON; numbers and dates as they are written, so that no digit changes.
fn json(node: Node<'_>, report: &mut Report) -> Option<Value> {
    match node.value() {
        DeValue::Table(_) => {
            let read = |(key, _, node): (&str, _, Node<'_>)| Some((key.to_owned(), json(node, report)?));
            node.entries().into_iter().map(read).collect::<Option<serde_json::Map<_, _>>>().map(Value::Object)
        }
        DeValue::Array(items) => {
            items.iter().map(|item| json(node.child(item), report)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        DeValue::Datetime(_) => Some(node.raw().into()),
        _ => Scalar::read(node, report).map(|scalar| scalar.0),
    }
}
