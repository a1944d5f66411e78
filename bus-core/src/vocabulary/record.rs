//! A record as a source reports it, before the engine seals it.

use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{Key, Operation, StreamName};

/// One entity at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Which of the feed's streams it belongs to.
    pub stream: StreamName,
    /// What order is kept by.
    pub key: Key,
    /// Whether the record exists (again) or is gone.
    pub operation: Operation,
    /// What people search for ("УТ-000123").
    pub label: Option<String>,
    /// A JSON object as UTF-8 text; numbers with the source's own digits. For a delete: the key columns, if known.
    pub body: Bytes,
}

/// A longer body, in bytes, is not sealed: RabbitMQ takes no longer message as it comes, and closes the channel of who sends one.
pub const LARGEST_BODY: usize = 16 * 1024 * 1024;

/// What the source delivered but nobody can seal (no key, broken encoding). Stored as a dead letter of its stream,
/// so that one bad row stops nothing and is not lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableRecord {
    /// The stream it would have belonged to; where none of the feed's streams takes its entity, the feed's name.
    pub stream: StreamName,
    /// The raw bytes, as much as there is.
    pub raw: Bytes,
    /// What is wrong and what to do, for an operator.
    pub reason: String,
    /// Its key, where that can be read.
    pub key: Option<Key>,
    /// Its label, where that can be read.
    pub label: Option<String>,
}

impl Record {
    /// A deletion of which only the key is known: its body holds the key columns, as texts.
    pub fn deletion(stream: StreamName, columns: &[String], key: Key) -> Self {
        let values: Vec<String> = match columns.len() {
            1 => vec![key.as_str().to_owned()],
            _ => serde_json::from_str(key.as_str()).unwrap_or_else(|_| vec![key.as_str().to_owned()]),
        };
        let body: serde_json::Map<String, serde_json::Value> =
            columns.iter().cloned().zip(values.into_iter().map(Into::into)).collect();
        let body = serde_json::Value::Object(body).to_string().into();
        Self { stream, key, operation: Operation::Delete, label: None, body }
    }
}

/// The top-level fields of a record that is JSON text, each with its own text.
#[derive(Default)]
pub struct Fields<'a> {
    texts: HashMap<Name<'a>, &'a RawValue>,
    twice: Option<Name<'a>>,
}

/// Borrowed where the text has no escapes.
#[derive(Clone, PartialEq, Eq, Hash, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl std::borrow::Borrow<str> for Name<'_> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<'a> Fields<'a> {
    /// `None` if the text is no JSON object.
    pub fn of(body: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }

    /// A name that stands there more than once: who reads on takes one of the values, and which one is anybody's guess.
    pub fn twice(&self) -> Option<&str> {
        self.twice.as_ref().map(|name| &*name.0)
    }

    /// A string's content, or the text of a number or a boolean. `None` if the field is null or not there; an error if it
    /// holds an object or a list.
    #[allow(clippy::result_unit_err, reason = "the caller names the field, and what it is to it")]
    pub fn text(&self, name: &str) -> Result<Option<String>, ()> {
        let Some(value) = self.texts.get(name) else { return Ok(None) };
        let text = value.get();
        match text.as_bytes().first() {
            Some(b'"') => serde_json::from_str(text).map(Some).map_err(drop),
            Some(b'{' | b'[') => Err(()),
            Some(b'n') | None => Ok(None),
            Some(_) => Ok(Some(text.to_owned())),
        }
    }

    /// Whether there is a field of this name, null or not.
    pub fn has(&self, name: &str) -> bool {
        self.texts.contains_key(name)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields::default())
    }
}

impl<'de: 'a, 'a> Visitor<'de> for Fields<'a> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self, A::Error> {
        while let Some((name, text)) = map.next_entry::<Name<'a>, &'a RawValue>()? {
            match self.texts.entry(name) {
                Entry::Vacant(free) => _ = free.insert(text),
                Entry::Occupied(taken) => self.twice = Some(taken.key().clone()),
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_own_text() {
        let body = r#"{"id":1.10,"имя":"\u0401ж","нет":null,"tags":[],"да":true}"#;
        let fields = Fields::of(body.as_bytes()).unwrap();
        let text = |name| fields.text(name);
        assert_eq!(text("id"), Ok(Some("1.10".into())));
        assert_eq!(text("имя"), Ok(Some("Ёж".into())));
        assert_eq!((text("нет"), text("other")), (Ok(None), Ok(None)));
        assert_eq!((text("tags"), text("да")), (Err(()), Ok(Some("true".into()))));
        assert_eq!((fields.has("нет"), fields.has("other")), (true, false));
        assert_eq!(fields.twice(), None);
        assert!(Fields::of(b"[1]").is_none());
        let twice = r#"{"id":1,"\u0438мя":1,"имя":2,"вид":{"id":1}}"#;
        assert_eq!(Fields::of(twice.as_bytes()).unwrap().twice(), Some("имя"));
    }
}
