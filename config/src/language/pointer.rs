//! JSON pointers: where something stands in an answer.

use std::borrow::Cow;

use bus_options::{Node, OptionValue, Report};
use serde_json::{Value, json};

/// A JSON pointer (RFC 6901), such as `/id` or `/result/0/id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonPointer(pub String);

impl OptionValue for JsonPointer {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a JSON pointer", report)?;
        if !text.starts_with('/') {
            node.bad_value(format!("`{text}` is not a JSON pointer"), "such as \"/id\" or \"/result/0/id\"", report);
            return None;
        }
        Some(Self(text.to_owned()))
    }
    fn kind() -> Cow<'static, str> {
        "JSON pointer such as `\"/id\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^/"})
    }
}
