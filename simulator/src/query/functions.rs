//! Functions of the filter language.

use crate::refusal::Refusal;
use crate::value::{Guid, Value, from_millionths, millionths};

/// Names and how many arguments they take.
const KNOWN: &[(&str, usize)] = &[
    ("cast", 2),
    ("concat", 2),
    ("day", 1),
    ("endswith", 2),
    ("hour", 1),
    ("isof", 2),
    ("like", 2),
    ("minute", 1),
    ("month", 1),
    ("quarter", 1),
    ("round", 1),
    ("second", 1),
    ("startswith", 2),
    ("substring", 3),
    ("substringof", 2),
    ("year", 1),
];

/// Refuses what does not exist, such as `contains` and `tolower`.
pub(super) fn known(name: &str, arguments: usize) -> Result<(), Refusal> {
    if KNOWN.contains(&(name, arguments)) { Ok(()) } else { Err(Refusal::no_function(name)) }
}

/// Calls one.
pub(super) fn call(name: &str, arguments: &[Value]) -> Value {
    let text = |at: usize| arguments.get(at).map_or("", Value::as_text);
    let part = |from: usize, to: usize| {
        text(0).get(from..to).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or_default()
    };
    let number = |value: u32| Value::Number(value.to_string());
    match name {
        // The needle comes first.
        "substringof" => Value::Bool(text(1).contains(text(0))),
        "startswith" => Value::Bool(text(0).starts_with(text(1))),
        "endswith" => Value::Bool(text(0).trim_end().ends_with(text(1))),
        "like" => Value::Bool(like(text(0), text(1))),
        "concat" => Value::Text(format!("{}{}", text(0), text(1))),
        "substring" => {
            let count = |at: usize| text(at).parse::<usize>().unwrap_or_default();
            Value::Text(text(0).chars().skip(count(1).saturating_sub(1)).take(count(2)).collect())
        }
        "year" => number(part(0, 4)),
        "quarter" => number(part(5, 7).div_ceil(3)),
        "month" => number(part(5, 7)),
        "day" => number(part(8, 10)),
        "hour" => number(part(11, 13)),
        "minute" => number(part(14, 16)),
        "second" => number(part(17, 19)),
        "round" => millionths(text(0)).map_or(Value::Null, |value| {
            Value::Number(from_millionths((value + 500_000).div_euclid(1_000_000) * 1_000_000))
        }),
        "cast" => cast(&arguments[0], text(1)),
        "isof" => Value::Bool(is_of(&arguments[0], text(1))),
        _ => Value::Null,
    }
}

fn cast(value: &Value, target: &str) -> Value {
    let bare = target.strip_prefix("StandardODATA.").unwrap_or(target);
    match value {
        Value::Guid(guid) if *guid != Guid::EMPTY => Value::reference(bare, *guid),
        Value::Any { text, kind } => match bare {
            "Number" | "Edm.Double" if kind == "Edm.Double" => Value::Number(text.clone()),
            "String" | "Edm.String" if kind == "Edm.String" => Value::Text(text.clone()),
            _ if is_of(value, bare) => value.clone(),
            _ => Value::Null,
        },
        other => other.clone(),
    }
}

fn is_of(value: &Value, target: &str) -> bool {
    let bare = target.strip_prefix("StandardODATA.").unwrap_or(target);
    matches!(value, Value::Any { kind, .. } if kind == target || kind.strip_prefix("StandardODATA.") == Some(bare))
}

/// 1C's `ПОДОБНО`: `%` any run, `_` one character, `[а-я]` one of them, `[^а]` one of no other.
fn like(text: &str, template: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let template: Vec<char> = template.chars().collect();
    matches(&text, &template)
}

fn matches(text: &[char], template: &[char]) -> bool {
    match template.split_first() {
        None => text.is_empty(),
        Some(('%', rest)) => (0..=text.len()).any(|at| matches(&text[at..], rest)),
        Some(('_', rest)) => !text.is_empty() && matches(&text[1..], rest),
        Some(('[', rest)) if rest.contains(&']') => {
            let end = rest.iter().position(|c| *c == ']').unwrap_or_default();
            let (set, negated) = match rest[..end].split_first() {
                Some(('^', set)) => (set, true),
                _ => (&rest[..end], false),
            };
            text.split_first()
                .is_some_and(|(c, others)| (one_of(*c, set) != negated) && matches(others, &rest[end + 1..]))
        }
        Some((c, rest)) => text.first() == Some(c) && matches(&text[1..], rest),
    }
}

fn one_of(c: char, set: &[char]) -> bool {
    let range = set.windows(3).any(|w| w[1] == '-' && (w[0]..=w[2]).contains(&c));
    range || set.contains(&c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn like_is_1cs() {
        for (text, template, expected) in [
            ("кофе", "[^к]%", false),
            ("чай", "[^к]%", true),
            ("чай", "ч_й", true),
            ("чай", "%а%", true),
            ("б1", "[а-в][0-9]", true),
            ("д1", "[а-в][0-9]", false),
        ] {
            assert_eq!(like(text, template), expected, "{text} {template}");
        }
    }
}
