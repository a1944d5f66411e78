//! From JSON text to the value that a program works on.
//!
//! Each value is first taken as its own text (`RawValue`): that keeps a number's digits without serde_json's private
//! form of them, and lets texts share the body's memory.

use std::borrow::Cow;
use std::fmt;

use bus_core::ports::shape::ShapeError;
use bytes::Bytes;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use vrl::path::OwnedSegment;
use vrl::value::{ObjectMap, Value};

use super::carried::{Carried, MARK};
use super::number;

/// A record nested deeper than this is refused: reading it would need stack without bound. serde_json's own limit.
const DEPTH: usize = 128;

/// Reads a body that is a JSON object: the value, and what travels beside it.
pub(super) fn object(body: &Bytes) -> Result<(Value, Vec<Carried>), ShapeError> {
    let mut reading = Reading { body, path: Vec::with_capacity(8), carried: Vec::new(), too_deep: false };
    let mut parser = serde_json::Deserializer::from_slice(body);
    let read = Deserializer::deserialize_map(&mut parser, Fields(&mut reading));
    match read.and_then(|value| parser.end().map(|()| value)) {
        Ok(value) => Ok((value, reading.carried)),
        Err(_) if reading.too_deep => Err(ShapeError(format!("the record is nested deeper than {DEPTH} levels"))),
        // The text as such is right: it is another value, or holds half a surrogate pair.
        Err(error) if error.is_data() => Err(ShapeError("the record is not a JSON object of Unicode texts".into())),
        Err(error) => {
            let (line, column) = (error.line(), error.column());
            Err(ShapeError(format!("the record is not JSON (line {line}, column {column})")))
        }
    }
}

struct Reading<'a> {
    body: &'a Bytes,
    path: Vec<Step<'a>>,
    carried: Vec<Carried>,
    too_deep: bool,
}

enum Step<'a> {
    Field(Cow<'a, str>),
    Index(usize),
}

impl<'a> Reading<'a> {
    /// `text` is one whole JSON value of the body.
    fn value(&mut self, text: &'a str) -> serde_json::Result<Value> {
        Ok(match text.as_bytes().first() {
            Some(b'{') => {
                return self.nested(|reading| Deserializer::deserialize_map(&mut parser(text), Fields(reading)));
            }
            Some(b'[') => {
                return self.nested(|reading| Deserializer::deserialize_seq(&mut parser(text), Items(reading)));
            }
            Some(b'"') => self.text(text)?,
            Some(b't') => Value::Boolean(true),
            Some(b'f') => Value::Boolean(false),
            Some(b'n') => Value::Null,
            _ => number::exact(text).unwrap_or_else(|| self.carry(text)),
        })
    }

    fn nested(&mut self, read: impl FnOnce(&mut Self) -> serde_json::Result<Value>) -> serde_json::Result<Value> {
        if self.path.len() >= DEPTH {
            self.too_deep = true;
            return Err(serde_json::Error::custom("too deep"));
        }
        read(self)
    }

    fn text(&mut self, quoted: &'a str) -> serde_json::Result<Value> {
        let inside = &quoted[1..quoted.len() - 1];
        if !inside.contains('\\') {
            return Ok(Value::from_utf8_or_bytes(self.body.slice_ref(inside.as_bytes())));
        }
        let unescaped: String = serde_json::from_str(quoted)?;
        Ok(if unescaped.starts_with(MARK) { self.carry(quoted) } else { Value::from(unescaped) })
    }

    /// What the program cannot hold; in its place stands a mark.
    fn carry(&mut self, raw: &str) -> Value {
        let path = self.path.iter().map(|step| match step {
            Step::Field(name) => OwnedSegment::field(name),
            Step::Index(at) => OwnedSegment::index(isize::try_from(*at).unwrap_or(isize::MAX)),
        });
        self.carried.push(Carried { path: path.collect(), raw: raw.to_owned() });
        Value::from(format!("{MARK}{}", self.carried.len() - 1))
    }

    fn at(&mut self, step: Step<'a>, text: &'a str) -> serde_json::Result<(Value, Step<'a>)> {
        self.path.push(step);
        let value = self.value(text);
        // Just pushed; what was pushed after it was taken off again.
        let step = self.path.pop().unwrap_or(Step::Index(0));
        Ok((value?, step))
    }
}

fn parser(text: &str) -> serde_json::Deserializer<serde_json::de::StrRead<'_>> {
    serde_json::Deserializer::from_str(text)
}

struct Fields<'r, 'a>(&'r mut Reading<'a>);

impl<'a> Visitor<'a> for Fields<'_, 'a> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut object = ObjectMap::new();
        while let Some(Name(name)) = map.next_key()? {
            let raw: &'a RawValue = map.next_value()?;
            let (value, step) = self.0.at(Step::Field(name), raw.get()).map_err(Error::custom)?;
            if let Step::Field(name) = step {
                object.insert(name.into_owned().into(), value);
            }
        }
        Ok(Value::Object(object))
    }
}

struct Items<'r, 'a>(&'r mut Reading<'a>);

impl<'a> Visitor<'a> for Items<'_, 'a> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(raw) = items.next_element::<&'a RawValue>()? {
            list.push(self.0.at(Step::Index(list.len()), raw.get()).map_err(Error::custom)?.0);
        }
        Ok(Value::Array(list))
    }
}

/// A field's name; borrowed unless it holds escapes.
struct Name<'a>(Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Name<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Name<'de>, E> {
                Ok(Name(Cow::Owned(name.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}
