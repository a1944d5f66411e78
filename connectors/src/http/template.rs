//! Text with places in braces: `/orders/{key}`.
//!
//! | place | stands for |
//! |---|---|
//! | `{key}`, `{key.0}` | the key; one column of a key of several |
//! | `{receiver_id}` | the receiver's own id of the key |
//! | `{label}`, `{stream}`, `{id}`, `{seq}`, `{op}` | of the message |
//! | `{field:/a/b}` | a text, number or boolean of the transformed body, by JSON pointer |
//!
//! In a path each value is one segment (or part of one): everything but letters, digits and `-._~` is percent-encoded.
//! In a header what is not visible ASCII is percent-encoded, and `%` too.

use std::str::FromStr;

use bus_core::ports::target::Parcel;
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// RFC 3986: all but the unreserved characters.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const HEADER: &AsciiSet = &CONTROLS.add(b'%');

/// A checked template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Place(Place),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Key,
    KeyColumn(usize),
    ReceiverId,
    Label,
    Stream,
    Id,
    Seq,
    Operation,
    Field(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its other half.
    #[error("'{{' and '}}' must come in pairs")]
    Unclosed,
    /// Not in the table.
    #[error("there is no {{{0}}}; there are key, key.0, receiver_id, label, stream, id, seq, op and field:/pointer")]
    Unknown(String),
}

/// Where a value goes, which decides how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Path,
    Header,
}

impl Template {
    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Fills the places, or says which of them has no value for this parcel.
    pub(super) fn fill(&self, parcel: &Parcel, used: Use) -> Result<String, String> {
        let mut filled = String::with_capacity(self.text.len() + 32);
        for part in &self.parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Place(place) => {
                    let value = place.value(parcel)?;
                    let set = if used == Use::Path { SEGMENT } else { HEADER };
                    filled.extend(utf8_percent_encode(&value, set));
                }
            }
        }
        // An address drops such segments, so the request would go somewhere else.
        let path = filled.split('?').next().unwrap_or_default();
        if used == Use::Path && path.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(format!("a value makes a segment '.' or '..' of {}", self.text));
        }
        Ok(filled)
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some(begin) = rest.find(['{', '}']) {
            let end = rest[begin..].find('}').map(|end| begin + end).filter(|end| *end > begin);
            let end = end.ok_or(TemplateError::Unclosed)?;
            if begin > 0 {
                parts.push(Part::Text(rest[..begin].to_owned()));
            }
            parts.push(Part::Place(Place::parse(&rest[begin + 1..end])?));
            rest = &rest[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { text: text.to_owned(), parts })
    }
}

impl Place {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        let unknown = || TemplateError::Unknown(name.to_owned());
        Ok(match name {
            "key" => Self::Key,
            "receiver_id" => Self::ReceiverId,
            "label" => Self::Label,
            "stream" => Self::Stream,
            "id" => Self::Id,
            "seq" => Self::Seq,
            "op" => Self::Operation,
            _ => match (name.strip_prefix("key."), name.strip_prefix("field:")) {
                (Some(index), _) => Self::KeyColumn(index.parse().map_err(|_| unknown())?),
                (_, Some(pointer)) if pointer.starts_with('/') => Self::Field(pointer.to_owned()),
                _ => return Err(unknown()),
            },
        })
    }

    fn value(&self, parcel: &Parcel) -> Result<String, String> {
        let envelope = &parcel.envelope;
        let value = match self {
            Self::Key => Some(envelope.key.as_str().to_owned()),
            Self::KeyColumn(index) => {
                let columns: Option<Vec<String>> = serde_json::from_str(envelope.key.as_str()).ok();
                match columns {
                    Some(columns) => columns.get(*index).cloned(),
                    None => (*index == 0).then(|| envelope.key.as_str().to_owned()),
                }
            }
            Self::ReceiverId => parcel.receiver_id.clone(),
            Self::Label => envelope.label.clone(),
            Self::Stream => Some(envelope.stream.to_string()),
            Self::Id => Some(envelope.id.to_string()),
            Self::Seq => Some(envelope.seq.to_string()),
            Self::Operation => Some(parcel.operation.as_str().to_owned()),
            Self::Field(pointer) => scalar(&parcel.body, pointer),
        };
        value.filter(|value| !value.is_empty()).ok_or_else(|| match self {
            Self::ReceiverId => "the receiver's id of this record is not known: no earlier answer held one".to_owned(),
            Self::KeyColumn(index) => format!("the key has no column {index}"),
            Self::Field(pointer) => format!("the body has no text, number or boolean at {pointer}"),
            _ => "the record has no label".to_owned(),
        })
    }
}

/// A text, number or boolean in a JSON document, as text with its own digits.
pub(super) fn scalar(document: &[u8], pointer: &str) -> Option<String> {
    let document: serde_json::Value = serde_json::from_slice(document).ok()?;
    match document.pointer(pointer)? {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        serde_json::Value::Bool(truth) => Some(truth.to_string()),
        _ => None,
    }
}

/// Text for a header: what is not visible ASCII is percent-encoded.
pub(super) fn header_text(text: &str) -> String {
    utf8_percent_encode(text, HEADER).to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::http::target::tests::parcel;

    #[test]
    fn each_value_is_one_segment() {
        for (template, key, expected) in [
            ("/orders/{key}", "УТ-1/2", Ok("/orders/%D0%A3%D0%A2-1%2F2")),
            ("/orders?number={key}", "a&b=c d", Ok("/orders?number=a%26b%3Dc%20d")),
            ("/{stream}/{key.1}/{key.0}", r#"["я","б,в"]"#, Ok("/orders/%D0%B1%2C%D0%B2/%D1%8F")),
            ("/{field:/сумма}", "1", Ok("/10.50")),
            ("/{op}-{seq}", "1", Ok("/upsert-3.17")),
            ("/a/{key}", "..", Err("'..'")),
            ("/{receiver_id}", "1", Err("receiver's id")),
            ("/{key.2}", r#"["a","b"]"#, Err("no column 2")),
            ("/{field:/нет}", "1", Err("at /нет")),
        ] {
            let filled = template.parse::<Template>().unwrap().fill(&parcel(key), Use::Path);
            match expected {
                Ok(expected) => assert_eq!(filled.as_deref(), Ok(expected)),
                Err(part) => assert!(filled.unwrap_err().contains(part), "{template}"),
            }
        }
    }

    #[test]
    fn what_is_no_template_says_why() {
        for (text, expected) in [
            ("/{key", TemplateError::Unclosed),
            ("/key}", TemplateError::Unclosed),
            ("/{kay}", TemplateError::Unknown("kay".into())),
            ("/{key.x}", TemplateError::Unknown("key.x".into())),
            ("/{field:a}", TemplateError::Unknown("field:a".into())),
        ] {
            assert_eq!(text.parse::<Template>(), Err(expected), "{text}");
        }
    }
}
