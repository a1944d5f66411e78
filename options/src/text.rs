//! A text that says something.

use std::borrow::Cow;

use serde_json::{Value, json};

use crate::{Node, OptionValue, Report};

/// A text that is not empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled(pub String);

impl OptionValue for Filled {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a text", report)?;
        if text.trim().is_empty() {
            node.bad_value("the text is empty", "write something, or remove the key", report);
            return None;
        }
        Some(Self(text.to_owned()))
    }
    fn kind() -> Cow<'static, str> {
        "text".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "minLength": 1})
    }
}
