//! Texts in which braces stand for values of the message: paths and headers.

use std::borrow::Cow;

use bus_options::{Node, OptionValue, Report};
use serde_json::{Value, json};

/// A path with `{…}` for values of the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(pub String);

impl Template {
    /// What may stand in braces; also `{key.0}`, one column of a key of several, and `{field:/pointer}`, a field.
    pub const VALUES: [&'static str; 7] = ["key", "receiver_id", "label", "id", "stream", "op", "seq"];

    /// Whether `{value}` stands in it.
    pub fn uses(&self, value: &str) -> bool {
        Self::names(&self.0, value)
    }

    /// Whether `{value}` stands in a text.
    pub fn names(text: &str, value: &str) -> bool {
        text.contains(&format!("{{{value}}}"))
    }

    /// The columns N that a text names as `{key.N}`.
    pub fn key_columns(text: &str) -> impl Iterator<Item = usize> {
        let named = text.split('{').skip(1).filter_map(|inside| inside.split_once('}'));
        named.filter_map(|(value, _)| value.strip_prefix("key.")?.parse().ok())
    }

    /// Says what is wrong with a text in which braces stand for values.
    pub fn check(text: &str) -> Result<(), String> {
        let mut rest = text;
        while let Some(open) = rest.find(['{', '}']) {
            let inside = rest[open..].strip_prefix('{').ok_or("`}` without `{`")?;
            let close = inside.find('}').ok_or("`{` is not closed")?;
            let value = &inside[..close];
            let column = value.strip_prefix("key.").is_some_and(|column| column.parse::<usize>().is_ok());
            let field = value.starts_with("field:/");
            if !column && !field && !Self::VALUES.contains(&value) {
                return Err(format!("`{{{value}}}` stands for nothing"));
            }
            rest = &inside[close + 1..];
        }
        Ok(())
    }
}

impl OptionValue for Template {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a path", report)?;
        if !text.is_empty() && !text.starts_with(['/', '?']) {
            node.bad_value(
                format!("the path `{text}` does not begin with a slash"),
                "such as \"/orders/{key}\"",
                report,
            );
            return None;
        }
        if let Err(message) = Self::check(text) {
            let known: Vec<String> = Self::VALUES.iter().map(|value| format!("{{{value}}}")).collect();
            node.bad_value(message, format!("known: {}, {{key.0}}, {{field:/pointer}}", known.join(", ")), report);
            return None;
        }
        Some(Self(text.to_owned()))
    }
    fn kind() -> Cow<'static, str> {
        "path such as `\"/orders/{key}\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^([/?]|$)"})
    }
}
