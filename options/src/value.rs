//! What an option can hold: the trait, and the plain types.

use std::borrow::Cow;
use std::path::PathBuf;

use serde_json::{Value, json};
use toml::de::DeValue;
use url::Url;

use crate::{Declaration, Located, Node, Report};

/// A type that an option can have.
pub trait OptionValue: Sized {
    /// Reads the value; every mistake goes into the report, and `None` says there was one that leaves no value.
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self>;
    /// What is expected, in words for messages and the reference: "a duration such as `15s`".
    fn kind() -> Cow<'static, str>;
    /// JSON schema (draft-07) of the value.
    fn schema() -> Value;
    /// Adds the tables that the value consists of to the reference.
    fn tables(_out: &mut Vec<Declaration>) {}
}

/// For what surrounds a value: the reference says of it what it says of the value.
macro_rules! described_as {
    ($inner:ty) => {
        fn kind() -> std::borrow::Cow<'static, str> {
            <$inner>::kind()
        }
        fn schema() -> serde_json::Value {
            <$inner>::schema()
        }
        fn tables(out: &mut Vec<$crate::Declaration>) {
            <$inner>::tables(out);
        }
    };
}
pub(crate) use described_as;

impl OptionValue for String {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        node.text("a text", report).map(str::to_owned)
    }
    fn kind() -> Cow<'static, str> {
        "text".into()
    }
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

impl OptionValue for bool {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let value = node.value().as_bool();
        if value.is_none() {
            node.wrong_type("`true` or `false`", report);
        }
        value
    }
    fn kind() -> Cow<'static, str> {
        "`true` or `false`".into()
    }
    fn schema() -> Value {
        json!({"type": "boolean"})
    }
}

impl OptionValue for PathBuf {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a path", report)?;
        if text.is_empty() {
            node.bad_value("the path is empty", "write the path of a file", report);
            return None;
        }
        if text.contains(char::is_control) {
            let hint = "in double quotes a backslash begins something special, as \\t is a tab: write the path in single \
                        quotes, or with /";
            node.bad_value("no path holds such characters", hint, report);
            return None;
        }
        Some(text.into())
    }
    fn kind() -> Cow<'static, str> {
        "path of a file".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}

impl OptionValue for Url {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("an address", report)?;
        match Url::parse(text) {
            Ok(url) => Some(url),
            Err(error) => {
                node.bad_value(format!("not an address: {error}"), "for example \"https://shop.example/api\"", report);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "address (URL)".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "format": "uri"})
    }
}

impl<T: OptionValue> OptionValue for Located<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        T::read(node, report).map(|value| Located { value, span: node.span() })
    }
    described_as!(T);
}

/// A list; a bad item is reported and spoils the list, after all the others were looked at.
impl<T: OptionValue> OptionValue for Vec<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let DeValue::Array(items) = node.value() else {
            node.wrong_type(&Self::kind(), report);
            return None;
        };
        let read: Vec<Option<T>> = items.iter().map(|item| T::read(node.child(item), report)).collect();
        read.into_iter().collect()
    }
    fn kind() -> Cow<'static, str> {
        format!("list of: {}", T::kind()).into()
    }
    fn schema() -> Value {
        json!({"type": "array", "items": T::schema()})
    }
    fn tables(out: &mut Vec<Declaration>) {
        T::tables(out);
    }
}

/// A part whose mistakes do not spoil the whole: they are reported, and the rest is still looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart<T>(pub Option<T>);

impl<T: OptionValue> OptionValue for Apart<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        Some(Self(T::read(node, report)))
    }
    described_as!(T);
}

impl<T: OptionValue> OptionValue for Box<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        T::read(node, report).map(Box::new)
    }
    described_as!(T);
}

/// One value where a list is usual to be written short: `key = "id"` or `key = ["sku", "warehouse"]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: OptionValue> OptionValue for OneOrMany<T> {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        if !node.value().is_array() {
            return T::read(node, report).map(|one| Self(vec![one]));
        }
        let items = Vec::<T>::read(node, report)?;
        if items.is_empty() {
            node.bad_value("the list is empty", format!("give at least one: {}", T::kind()), report);
            return None;
        }
        Some(Self(items))
    }
    fn kind() -> Cow<'static, str> {
        format!("{}, or a list of them", T::kind()).into()
    }
    fn schema() -> Value {
        json!({"anyOf": [T::schema(), {"type": "array", "items": T::schema(), "minItems": 1}]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        T::tables(out);
    }
}
