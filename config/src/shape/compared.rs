//! The fields by which a route recognises what the other one wrote.

use std::borrow::Cow;

use bus_core::ports::echo::Compare;
use bus_core::vocabulary::{ContentHash, Operation};
use bus_options::{Map, Node, OptionValue, Report};
use serde_json::Value;
use serde_json::value::RawValue;

use super::path::{FieldPath, RawObject};

/// Pairs of paths: in what the other route sends, and in the record that is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared(Vec<(FieldPath, FieldPath)>);

impl Compared {
    /// The fields of the record that is read back, as names from the root joined by dots.
    pub(crate) fn fields_read(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|(_, read)| read.names())
    }
}

impl Compare for Compared {
    fn sent(&self, operation: Operation, body: &[u8]) -> ContentHash {
        print(operation, body, self.0.iter().map(|(sent, _)| sent))
    }

    fn read(&self, operation: Operation, body: &[u8]) -> ContentHash {
        print(operation, body, self.0.iter().map(|(_, read)| read))
    }
}

fn print<'a>(operation: Operation, body: &[u8], paths: impl Iterator<Item = &'a FieldPath>) -> ContentHash {
    // That a record is gone is all there is to say about it, whatever is left of its body.
    if operation == Operation::Delete {
        return ContentHash::of(Operation::Delete, b"");
    }
    let whole: Option<&RawValue> = serde_json::from_slice(body).ok();
    let root = whole.and_then(|whole| serde_json::from_str::<RawObject<'_>>(whole.get()).ok());
    let (Some(whole), Some(root)) = (whole, root) else { return ContentHash::of(Operation::Upsert, body) };
    let mut text = Vec::new();
    for path in paths {
        let value = path.pick(&root, whole).and_then(|raw| serde_json::from_str(raw.get()).ok());
        canonical(&value.unwrap_or(Value::Null), &mut text);
        text.push(0);
    }
    ContentHash::of(Operation::Upsert, &text)
}

/// `5.00` as `5`; with an exponent as it is written.
fn plain(number: &str) -> &str {
    match number.contains('.') && !number.contains(['e', 'E']) {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

/// One text for what two systems may write in different ways: 5, 5.0 and "5"; fields in another order. A text stays as it
/// is: "007" is not "7".
fn canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"\x01null"),
        Value::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
        Value::Number(number) => out.extend_from_slice(plain(number.as_str()).as_bytes()),
        Value::String(text) => out.extend_from_slice(text.as_bytes()),
        Value::Array(items) => {
            out.push(b'[');
            for item in items {
                canonical(item, out);
                out.push(b',');
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push(b'{');
            for (name, value) in sorted {
                out.extend_from_slice(name.as_bytes());
                out.push(b':');
                canonical(value, out);
                out.push(b',');
            }
            out.push(b'}');
        }
    }
}

impl OptionValue for Compared {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let pairs: Vec<(FieldPath, FieldPath)> = if node.value().is_table() {
            let pair = |entry: bus_options::Entry<String, FieldPath>| match FieldPath::parse(&entry.key.value) {
                Ok(sent) => Some((sent, entry.value)),
                Err(_) => None,
            };
            let map = Map::<FieldPath>::read(node, report)?;
            let pairs: Option<Vec<_>> = map.0.into_iter().map(pair).collect();
            match pairs {
                Some(pairs) => pairs,
                None => {
                    let hint = "for example compare = { \".status\" = \".\\\"Статус\\\"\" }";
                    node.bad_value("a key is not a path in what the other route sends", hint, report);
                    return None;
                }
            }
        } else {
            Vec::<FieldPath>::read(node, report)?.into_iter().map(|path| (path.clone(), path)).collect()
        };
        if pairs.is_empty() {
            node.bad_value("no field is compared", "for example compare = [\".status\"]", report);
            return None;
        }
        Some(Self(pairs))
    }
    fn kind() -> Cow<'static, str> {
        "list of paths, or table: path in what is sent = path in the record".into()
    }
    fn schema() -> Value {
        serde_json::json!({"anyOf": [Vec::<FieldPath>::schema(), Map::<FieldPath>::schema()]})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_in_other_words_is_the_same() {
        let path = |text: &str| FieldPath::parse(text).expect("a path");
        let compared = Compared(vec![(path(".status"), path(".\"Статус\"")), (path(".sum"), path(".sum"))]);
        let sent = |body: &str| compared.sent(Operation::Upsert, body.as_bytes());
        let read = |body: &str| compared.read(Operation::Upsert, body.as_bytes());
        let ours = sent(r#"{"status":"Оплачен","sum":5}"#);
        for same in [r#"{"Статус":"Оплачен","sum":5.00,"at":1}"#, r#"{"sum":"5","Статус":"Оплачен"}"#]
        {
            assert_eq!(read(same), ours, "{same}");
        }
        for other in [
            r#"{"Статус":"Оплачен","sum":5.01}"#,
            r#"{"Статус":"Новый","sum":5}"#,
            r#"{"Статус":"Оплачен","sum":"05"}"#,
            "{}",
            "нет",
        ] {
            assert_ne!(read(other), ours, "{other}");
        }
        assert_eq!(compared.sent(Operation::Delete, b"{}"), compared.read(Operation::Delete, b"{\"id\":1}"));
        // Neighbours do not run into each other.
        assert_ne!(sent(r#"{"status":"a","sum":"b"}"#), sent(r#"{"status":"ab","sum":""}"#));
    }
}
