//! What changed between two archived versions, field by field. Masked fields say only that they changed.

use bus_core::policy::{Compared, compare, is_sign};
use serde_json::Value;

use super::{Change, Comparison};

/// Changes shown; a document that was rewritten as a whole is shown by its beginning.
const SHOWN: usize = 30;
/// Characters of a value.
const VALUE: usize = 60;

/// Compares two bodies; `None` if one of them is no JSON.
pub fn changes(before: &[u8], after: &[u8]) -> Option<(Vec<Change>, Comparison)> {
    let (before, after): (Value, Value) = (serde_json::from_slice(before).ok()?, serde_json::from_slice(after).ok()?);
    let mut found = Vec::new();
    walk("", Some(&before), Some(&after), &mut found);
    let comparison = if found.len() > SHOWN { Comparison::Cut } else { Comparison::Done };
    found.truncate(SHOWN);
    Some((found, comparison))
}

fn walk(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Change>) {
    if before == after || found.len() > SHOWN {
        return;
    }
    match (before, after) {
        (Some(Value::Object(before)), Some(Value::Object(after))) => {
            for (name, value) in before {
                walk(&field(path, name), Some(value), after.get(name), found);
            }
            for (name, value) in after.iter().filter(|(name, _)| !before.contains_key(*name)) {
                walk(&field(path, name), None, Some(value), found);
            }
        }
        (Some(Value::Array(before)), Some(Value::Array(after))) => {
            for index in 0..before.len().max(after.len()) {
                walk(&format!("{path}[{index}]"), before.get(index), after.get(index), found);
            }
        }
        _ => found.extend(change(path, before, after)),
    }
}

fn change(path: &str, before: Option<&Value>, after: Option<&Value>) -> Option<Change> {
    let masked = [before, after].iter().flatten().any(|value| value.as_str().is_some_and(is_sign));
    let both = before.and_then(Value::as_str).zip(after.and_then(Value::as_str));
    let what = match both.and_then(|(before, after)| compare(before, after)) {
        Some(Compared::Same) => return None,
        Some(Compared::Unknown) => "perhaps-changed",
        Some(Compared::Changed) => "changed",
        None if before.is_none() => "added",
        None if after.is_none() => "removed",
        None => "changed",
    };
    let text = |value: Option<&Value>| value.filter(|_| !masked).map(|value| cut(&without_signs(value)));
    Some(Change { field: path.to_owned(), what: what.to_owned(), before: text(before), after: text(after), masked })
}

/// A table that came or went as a whole may hold masked fields.
fn without_signs(value: &Value) -> String {
    fn clear(value: &mut Value) {
        match value {
            Value::String(text) if is_sign(text) => *text = "***".to_owned(),
            Value::Array(items) => items.iter_mut().for_each(clear),
            Value::Object(fields) => fields.values_mut().for_each(clear),
            _ => {}
        }
    }
    let mut value = value.clone();
    clear(&mut value);
    value.to_string()
}

fn field(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(VALUE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> Vec<String> {
        let (changes, _) = changes(before.as_bytes(), after.as_bytes()).unwrap();
        let side = |side: &Option<String>| side.clone().unwrap_or("-".into());
        let line = |change: Change| {
            format!("{} {} {} {}", change.field, change.what, side(&change.before), side(&change.after))
        };
        changes.into_iter().map(line).collect()
    }

    #[test]
    fn fields_lists_and_digits_are_compared() {
        let before = r#"{"a":1.0,"б":{"в":"x"},"строки":[{"к":1},{"к":2}],"было":true}"#;
        let after = r#"{"a":1.00,"б":{"в":"y"},"строки":[{"к":1},{"к":3},{"к":4}],"стало":null}"#;
        let expected = [
            "a changed 1.0 1.00",
            "б.в changed \"x\" \"y\"",
            "строки[1].к changed 2 3",
            "строки[2] added - {\"к\":4}",
            "было removed true -",
            "стало added - null",
        ];
        assert_eq!(told(before, after), expected);
        assert!(told(before, before).is_empty());
    }

    #[test]
    fn masked_fields_never_show_what_they_stand_for() {
        let body = |process: &str, value: &str| format!("{{\"тел\":\"***{process}:{value}\"}}");
        let (one, two) = ("0000000a", "0000000b");
        assert_eq!(told(&body(one, one), &body(one, two)), ["тел changed - -"]);
        assert!(told(&body(one, one), &body(one, one)).is_empty());
        assert_eq!(told(&body(one, one), &body(two, one)), ["тел perhaps-changed - -"]);
        assert_eq!(told("{}", &body(one, one)), ["тел added - -"]);
        let nested = format!("{{\"к\":{}}}", body(one, one));
        assert_eq!(told("{}", &nested), ["к added - {\"тел\":\"***\"}"]);
    }

    #[test]
    fn a_rewritten_document_is_cut() {
        let wide = |value: u32| {
            let fields: serde_json::Map<_, _> = (0..100).map(|n| (n.to_string(), value.into())).collect();
            Value::Object(fields).to_string()
        };
        let (changes, comparison) = changes(wide(1).as_bytes(), wide(2).as_bytes()).unwrap();
        assert_eq!((changes.len(), comparison), (SHOWN, Comparison::Cut));
    }
}
