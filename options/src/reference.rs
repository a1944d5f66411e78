//! What the declarations say about themselves: JSON schema of a table, and its section in the reference.

use std::borrow::Cow;
use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::{Node, OptionValue, Report};

/// Whether an option must be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It may be absent.
    Optional,
    /// When absent, this TOML value stands for it.
    Default(&'static str),
}

/// One option.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its key.
    pub key: &'static str,
    /// What is expected, in words.
    pub kind: String,
    /// Whether it must be written.
    pub presence: Presence,
    /// Its doc comment.
    pub doc: String,
    /// JSON schema of its value.
    pub schema: Value,
    /// Whether `[defaults]` may say it for all tables of this kind.
    pub shared: bool,
    /// Whether a value fits; mistakes go into the report.
    pub fits: fn(Node<'_>, &mut Report) -> bool,
}

/// One table of options.
#[derive(Debug, Clone)]
pub struct Declaration {
    /// How it is written: `[streams.NAME]`.
    pub title: Cow<'static, str>,
    /// Its doc comment.
    pub doc: String,
    /// Its options.
    pub rows: Vec<Row>,
}

/// A table declared by [`options!`](crate::options).
pub trait Declared: OptionValue {
    /// Reads the table; `also` are keys that belong to somebody else.
    fn read_beside(node: Node<'_>, also: &[&str], report: &mut Report) -> Option<Self>;
    /// What it consists of.
    fn declaration() -> Declaration;
}

/// JSON schema of a declared table.
pub fn object_schema(declaration: &Declaration) -> Value {
    let mut properties = Map::new();
    for row in &declaration.rows {
        let mut schema = row.schema.clone();
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".into(), row.doc.as_str().into());
            if let Some(default) = default_value(row) {
                object.insert("default".into(), default);
            }
        }
        properties.insert(row.key.into(), schema);
    }
    let required: Vec<_> =
        declaration.rows.iter().filter(|row| row.presence == Presence::Required).map(|row| row.key).collect();
    json!({"type": "object", "description": declaration.doc, "properties": properties, "required": required,
           "additionalProperties": false})
}

/// JSON schema of one kind of a tagged table: the declared options and the tag itself.
pub fn tagged_schema(tag: &str, word: &str, mut schema: Value) -> Value {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.insert(tag.into(), json!({ "const": word }));
    }
    if let Some(required) = schema["required"].as_array_mut() {
        required.push(tag.into());
    }
    schema
}

/// A default as JSON. Defaults are texts, numbers and booleans, which TOML and JSON write alike.
fn default_value(row: &Row) -> Option<Value> {
    match row.presence {
        Presence::Default(text) => serde_json::from_str(text).ok(),
        _ => None,
    }
}

/// The reference: one section per table, in the order given, each title once.
pub fn markdown(declarations: &[Declaration]) -> String {
    let mut out = String::new();
    let mut seen: Vec<&str> = Vec::new();
    for declaration in declarations {
        if seen.contains(&&*declaration.title) {
            continue;
        }
        seen.push(&declaration.title);
        // Writing to a String cannot fail.
        let _ = writeln!(out, "## `{}`\n\n{}\n", declaration.title, declaration.doc);
        if declaration.rows.is_empty() {
            continue;
        }
        out.push_str("| Key | Value | If absent | Meaning |\n|---|---|---|---|\n");
        for row in &declaration.rows {
            let presence = match row.presence {
                Presence::Required => "**required**".to_owned(),
                Presence::Optional => "–".to_owned(),
                Presence::Default(default) => format!("`{default}`"),
            };
            let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(out, "| `{}` | {} | {} | {} |", row.key, cell(&row.kind), cell(&presence), cell(&row.doc));
        }
        out.push('\n');
    }
    out
}
