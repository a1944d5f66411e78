//! A record on its way into a program and out again.
//!
//! Numbers that a program cannot hold exactly travel beside it: the program sees a mark in their place, and what it
//! left alone is written out again digit by digit. A program that reads such a number is refused.

use bus_core::ports::shape::ShapeError;
use bytes::Bytes;
use vrl::path::{OwnedSegment, OwnedTargetPath, PathPrefix};
use vrl::value::Value;

use super::carried::{Carried, MARK};
use super::read;

/// A JSON object as a program sees it.
#[derive(Debug)]
pub struct Record {
    /// What the program works on.
    pub value: Value,
    carried: Vec<Carried>,
}

impl Record {
    /// Reads a body. Texts without escapes share its memory.
    pub fn from_json(body: &Bytes) -> Result<Self, ShapeError> {
        let (value, carried) = read::object(body)?;
        Ok(Self { value, carried })
    }

    /// Refuses a program that would read a number it cannot hold.
    pub fn check_reads(&self, queries: &[OwnedTargetPath]) -> Result<(), ShapeError> {
        for carried in &self.carried {
            if queries.iter().any(|query| reads(query, &carried.path)) {
                let path = display(&carried.path);
                return Err(ShapeError(format!(
                    "the number at {path} has more digits than a program can hold; use `fields`, which keeps every \
                     digit, or let the query give it as text: CAST(… AS text)"
                )));
            }
        }
        Ok(())
    }

    /// Writes what the program left, carried values included.
    pub fn to_json(&self) -> Result<Bytes, ShapeError> {
        let mut out = Vec::with_capacity(256);
        self.write(&self.value, &mut out)?;
        Ok(out.into())
    }

    fn write(&self, value: &Value, out: &mut Vec<u8>) -> Result<(), ShapeError> {
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Boolean(true) => out.extend_from_slice(b"true"),
            Value::Boolean(false) => out.extend_from_slice(b"false"),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(number) => write_json(&number.into_inner(), out)?,
            Value::Timestamp(time) => write_json(&time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true), out)?,
            Value::Regex(regex) => write_json(regex.as_str(), out)?,
            Value::String(text) => self.write_text(text, out)?,
            Value::Bytes(bytes) => {
                let text = std::str::from_utf8(bytes);
                self.write_text(
                    text.map_err(|_| ShapeError("the program made a text that is not UTF-8".into()))?,
                    out,
                )?;
            }
            Value::Array(items) => {
                out.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    self.write(item, out)?;
                }
                out.push(b']');
            }
            Value::Object(fields) => {
                out.push(b'{');
                for (at, (key, value)) in fields.iter().enumerate() {
                    if at > 0 {
                        out.push(b',');
                    }
                    write_json(key.as_str(), out)?;
                    out.push(b':');
                    self.write(value, out)?;
                }
                out.push(b'}');
            }
        }
        Ok(())
    }

    fn write_text(&self, text: &str, out: &mut Vec<u8>) -> Result<(), ShapeError> {
        let carried = text.strip_prefix(MARK).and_then(|index| index.parse::<usize>().ok());
        match carried.and_then(|index| self.carried.get(index)) {
            Some(carried) => out.extend_from_slice(carried.raw.as_bytes()),
            None => write_json(text, out)?,
        }
        Ok(())
    }
}

fn write_json<T: serde::Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), ShapeError> {
    serde_json::to_writer(out, value).map_err(|error| ShapeError(format!("the result cannot be written: {error}")))
}

/// Whether the query takes the value at `path`, or something it stands in.
fn reads(query: &OwnedTargetPath, path: &[OwnedSegment]) -> bool {
    let covers = |(asked, here): (&OwnedSegment, &OwnedSegment)| match (asked, here) {
        // From the end of the list: which one depends on its length, so it may be this one.
        (OwnedSegment::Index(index), OwnedSegment::Index(_)) if *index < 0 => true,
        (asked, here) => asked == here,
    };
    let segments = &query.path.segments;
    query.prefix == PathPrefix::Event && segments.len() <= path.len() && segments.iter().zip(path).all(covers)
}

/// As written in a program: `."Сумма"`, `.lines[0].price`.
fn display(path: &[OwnedSegment]) -> String {
    let mut out = String::new();
    for segment in path {
        match segment {
            OwnedSegment::Index(index) => out.push_str(&format!("[{index}]")),
            OwnedSegment::Field(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                out.push_str(&format!(".{name}"));
            }
            OwnedSegment::Field(name) => out.push_str(&format!(".\"{name}\"")),
        }
    }
    out
}
