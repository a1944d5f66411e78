//! Masks: fields whose values the journal and the archive never see. Pure.
//!
//! A value is replaced by a sign that tells only whether it changed: a hash of it under a secret that lives as long as
//! the process and is written nowhere. Signs of two processes cannot be compared.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use serde_json::Value;

/// What a sign begins with, and all that people get to see of it.
pub const MASKED: &str = "***";

/// The fields of one stream's records that are masked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Masks(Vec<Vec<String>>);

/// What two masked values say about each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compared {
    /// They stand for the same value.
    Same,
    /// They stand for different values.
    Changed,
    /// They were made by different processes.
    Unknown,
}

impl Masks {
    /// Paths as field names from the root. Lists on the way are passed through: a mask covers each of their items.
    pub fn new(paths: Vec<Vec<String>>) -> Self {
        Self(paths)
    }

    /// Nothing is masked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The body with signs in place of masked values, digits elsewhere as they were; `None` if it is no JSON, so that nobody
    /// can say what it holds. `scope` (the key) keeps equal values of two records from being recognised as equal.
    pub fn body(&self, body: &[u8], scope: &str, secret: &RandomState) -> Option<Vec<u8>> {
        let mut record: Value = serde_json::from_slice(body).ok()?;
        for path in &self.0 {
            visit(&mut record, path, &mut |value| {
                *value = Value::String(sign(secret, scope, path, value));
            });
        }
        serde_json::to_vec(&record).ok()
    }

    /// A text with every masked value of the record replaced, as it is and as JSON writes it; `None` if the record is no
    /// JSON. A receiver that answers with a value in another form (hyphens gone, in capitals) is not seen through.
    pub fn text(&self, text: &str, body: &[u8]) -> Option<String> {
        let mut record: Value = serde_json::from_slice(body).ok()?;
        let mut values = BTreeSet::new();
        for path in &self.0 {
            visit(&mut record, path, &mut |value| spellings(value, &mut values));
        }
        let mut values: Vec<String> = values.into_iter().collect();
        // A value may hold another one.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        Some(values.iter().fold(text.to_owned(), |text, value| text.replace(value, MASKED)))
    }
}

/// Compares two signs; `None` if they are not both signs.
pub fn compare(before: &str, after: &str) -> Option<Compared> {
    let ((process, value), (other_process, other_value)) = (parts(before)?, parts(after)?);
    Some(match (process == other_process, value == other_value) {
        (true, true) => Compared::Same,
        (true, false) => Compared::Changed,
        (false, _) => Compared::Unknown,
    })
}

/// Whether a text is a sign.
pub fn is_sign(text: &str) -> bool {
    parts(text).is_some()
}

fn parts(sign: &str) -> Option<(&str, &str)> {
    let (process, value) = sign.strip_prefix(MASKED)?.split_once(':')?;
    let hex = |part: &str| part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
    (hex(process) && hex(value)).then_some((process, value))
}

#[allow(clippy::cast_possible_truncation, reason = "32 bits of a hash tell a change as well as 64")]
fn sign(secret: &RandomState, scope: &str, path: &[String], value: &Value) -> String {
    let process = secret.hash_one("process") as u32;
    let value = secret.hash_one((scope, path, value.to_string())) as u32;
    format!("{MASKED}{process:08x}:{value:08x}")
}

fn visit(here: &mut Value, path: &[String], act: &mut impl FnMut(&mut Value)) {
    if let (Value::Array(items), false) = (&mut *here, path.is_empty()) {
        items.iter_mut().for_each(|item| visit(item, path, act));
        return;
    }
    match path.split_first() {
        None => act(here),
        Some((name, rest)) => {
            if let Some(next) = here.get_mut(name.as_str()) {
                visit(next, rest, act);
            }
        }
    }
}

/// A masked table or list hides every value in it.
fn spellings(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => {
            found.insert(number.to_string());
        }
        Value::String(text) if text.is_empty() => {}
        Value::String(text) => {
            let json = Value::String(text.clone()).to_string();
            let json = &json[1..json.len() - 1];
            let escaped = |upper: bool| -> String {
                let unit = |unit: u16| if upper { format!("\\u{unit:04X}") } else { format!("\\u{unit:04x}") };
                let one = |c: char| match c {
                    ' '..='~' => c.to_string(),
                    _ => c.encode_utf16(&mut [0; 2]).iter().map(|u| unit(*u)).collect(),
                };
                json.chars().map(one).collect()
            };
            found.extend([escaped(true), escaped(false), json.to_owned(), text.clone()]);
        }
        Value::Array(items) => items.iter().for_each(|item| spellings(item, found)),
        Value::Object(fields) => fields.values().for_each(|field| spellings(field, found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masks() -> Masks {
        let path = |path: &[&str]| path.iter().map(|name| (*name).to_owned()).collect();
        Masks::new(vec![path(&["Телефон"]), path(&["контакты", "почта"]), path(&["нет"])])
    }

    const BODY: &str = r#"{"Телефон":"+7 900 \"1\"","сумма":12.30,"контакты":[{"почта":"a@b.ru"},{"почта":17}]}"#;

    #[test]
    fn masked_values_are_gone_and_other_digits_stay() {
        let masked = masks().body(BODY.as_bytes(), "к", &RandomState::new()).unwrap();
        let masked = String::from_utf8(masked).unwrap();
        for part in ["7 900", "a@b.ru", ":17"] {
            assert!(!masked.contains(part), "{masked}");
        }
        assert!(masked.contains("12.30"), "{masked}");
        assert_eq!(masks().body(b"not json", "", &RandomState::new()), None);
    }

    #[test]
    fn a_sign_tells_only_whether_the_value_changed() {
        let (secret, other) = (RandomState::new(), RandomState::new());
        let sign = |scope: &str, phone: &str, secret: &RandomState| {
            let body = serde_json::json!({"Телефон": phone}).to_string();
            let masked = masks().body(body.as_bytes(), scope, secret).unwrap();
            serde_json::from_slice::<Value>(&masked).unwrap()["Телефон"].as_str().unwrap().to_owned()
        };
        let first = sign("а", "1", &secret);
        assert_eq!(compare(&first, &sign("а", "1", &secret)), Some(Compared::Same));
        assert_eq!(compare(&first, &sign("а", "2", &secret)), Some(Compared::Changed));
        assert_eq!(compare(&first, &sign("б", "1", &secret)), Some(Compared::Changed), "records are not linked");
        assert_eq!(compare(&first, &sign("а", "1", &other)), Some(Compared::Unknown));
        assert_eq!(compare(&first, "***"), None);
    }

    #[test]
    fn an_answer_that_repeats_a_value_is_masked_in_each_spelling() {
        let body = r#"{"Телефон":"Ян \"1\"","сумма":5}"#;
        let spelt = ["Ян \"1\"", "Ян \\\"1\\\"", "\\u042f\\u043d \\\"1\\\"", "\\u042F\\u043D \\\"1\\\""];
        for text in spelt {
            assert_eq!(masks().text(&format!("bad: {text}!"), body.as_bytes()).unwrap(), "bad: ***!");
        }
        assert_eq!(masks().text("сумма 5", body.as_bytes()).unwrap(), "сумма 5");
    }
}
