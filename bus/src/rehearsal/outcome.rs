//! What became of a message, and what that looks like in lines.

use std::collections::BTreeMap;

use bus_connectors::http::Preview;
use bus_core::policy::{MASKED, is_sign};
use serde::Serialize;
use serde_json::Value;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// This would be sent.
    Request(Request),
    /// Nothing, for this reason.
    Skip(String),
    /// It waits for this.
    Hold(String),
    /// A dead letter, for this reason.
    Reject(String),
    /// It is no message of this route, for this reason.
    Unusable(String),
}

/// A request that was not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    pub method: String,
    /// Letters are not encoded, so that people can read it.
    pub path: String,
    /// Names in small letters.
    pub headers: BTreeMap<String, String>,
    /// `None`: it has no body, or one that is no JSON. A list, where records stand one a line.
    pub body: Option<Value>,
}

impl From<Preview> for Request {
    fn from(preview: Preview) -> Self {
        let Preview { method, path, headers, body } = preview;
        let lines = || -> Option<Value> {
            let lines = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
            lines.map(serde_json::from_slice).collect::<Result<_, _>>().ok().map(Value::Array)
        };
        let body = serde_json::from_slice(&body).ok().or_else(|| lines().filter(|_| !body.is_empty()));
        Self { method, path: readable(&path), headers: headers.into_iter().collect(), body }
    }
}

impl Request {
    /// The value of a header; names are the same in capital and small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(&name.to_ascii_lowercase()).map(String::as_str)
    }
}

/// Sent with every request, and no route decides about them.
const OWN: [&str; 4] = ["bus-message-id", "bus-seq", "bus-stream", "content-type"];

impl Request {
    /// The signs of masked fields, which mean nothing to people, become stars.
    pub fn hide_signs(&mut self) {
        fn clear(value: &mut Value) {
            match value {
                Value::String(text) if is_sign(text) => *text = MASKED.to_owned(),
                Value::Array(items) => items.iter_mut().for_each(clear),
                Value::Object(fields) => fields.values_mut().for_each(clear),
                _ => {}
            }
        }
        self.body.iter_mut().for_each(clear);
    }
}

impl Outcome {
    /// With the headers that a route decides about, below the first line.
    pub fn with_headers(&self) -> Vec<String> {
        let mut lines = self.lines();
        if let Self::Request(request) = self {
            let own = request.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str()));
            let headers: Vec<String> = own.map(|(name, value)| format!("{name}: {value}")).collect();
            lines.splice(1..1, headers);
        }
        lines
    }

    /// Without headers: a line for what, and the body.
    pub fn lines(&self) -> Vec<String> {
        match self {
            Self::Request(request) => {
                let mut lines = vec![format!("{} {}", request.method, request.path)];
                lines.extend(request.body.iter().flat_map(pretty));
                lines
            }
            Self::Skip(reason) => vec![format!("nothing is sent: {reason}")],
            Self::Hold(what) => vec![format!("it waits for {what}")],
            Self::Reject(reason) => vec![format!("a dead letter: {reason}")],
            Self::Unusable(reason) => vec![reason.clone()],
        }
    }
}

/// A document over several lines.
pub fn pretty(value: &Value) -> Vec<String> {
    // A value can always be written.
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The same document with its fields in the order of another; what that one lacks stands behind.
pub fn in_order_of(model: &Value, value: &Value) -> Value {
    match (model, value) {
        (Value::Object(model), Value::Object(fields)) => {
            let known = model.iter().filter_map(|(name, model)| Some((name, in_order_of(model, fields.get(name)?))));
            let others = fields.iter().filter(|(name, _)| !model.contains_key(*name));
            let others = others.map(|(name, value)| (name, value.clone()));
            Value::Object(known.chain(others).map(|(name, value)| (name.clone(), value)).collect())
        }
        (Value::Array(model), Value::Array(items)) => {
            let like = |(at, item)| model.get(at).map_or_else(|| Value::clone(item), |model| in_order_of(model, item));
            Value::Array(items.iter().enumerate().map(like).collect())
        }
        _ => value.clone(),
    }
}

/// Percent-encoded letters as letters; what is encoded because it means something (`%2F`) stays.
pub fn readable(path: &str) -> String {
    let bytes = path.as_bytes();
    let encoded = |at: usize| {
        let hex = path.get(at + 1..at + 3).filter(|_| bytes[at] == b'%')?;
        u8::from_str_radix(hex, 16).ok().filter(|byte| *byte >= 0x80)
    };
    let (mut out, mut at) = (String::with_capacity(path.len()), 0);
    while at < bytes.len() {
        let mut letters = Vec::new();
        while let Some(byte) = (at + letters.len() * 3 < bytes.len()).then(|| encoded(at + letters.len() * 3)).flatten()
        {
            letters.push(byte);
        }
        let length = letters.len() * 3;
        match String::from_utf8(letters) {
            Ok(text) if !text.is_empty() => out.push_str(&text),
            // Not letters: as it stands.
            Err(_) => out.push_str(&path[at..at + length]),
            Ok(_) => {
                let next = path[at..].chars().next().map_or(1, char::len_utf8);
                out.push_str(&path[at..at + next]);
                at += next;
                continue;
            }
        }
        at += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_are_read_and_what_means_something_stays() {
        for (path, expected) in [
            ("/orders/%D0%A3%D0%A2-1%2F2?q=a%26b", "/orders/УТ-1%2F2?q=a%26b"),
            ("/%FF%D0", "/%FF%D0"),
            ("/я/%", "/я/%"),
            ("/%E6%BC%A2", "/漢"),
        ] {
            assert_eq!(readable(path), expected);
        }
    }

    #[test]
    fn the_order_of_fields_is_the_models() {
        let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let ordered = in_order_of(
            &read(r#"{"b":{"y":1,"x":1},"a":[{"q":1,"p":1}]}"#),
            &read(r#"{"c":1.50,"a":[{"p":2,"q":3},4],"b":{"x":5,"y":6}}"#),
        );
        assert_eq!(ordered.to_string(), r#"{"b":{"y":6,"x":5},"a":[{"q":3,"p":2},4],"c":1.50}"#);
    }
}
