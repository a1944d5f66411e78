//! What two failures have in common: the words of an error without what differs from message to message. Pure.

use sha2::{Digest, Sha256};

/// Longer patterns are cut: the cause is said at the beginning.
const LONGEST: usize = 200;
/// A key or label of one letter stands in too many words.
const SHORTEST_NAME: usize = 2;

/// The words without numbers, ids, quoted values, and without the message's own key and label. Status codes (three digits
/// from 400 to 599 that stand alone) stay: they are the cause.
pub fn pattern(words: &str, key: Option<&str>, label: Option<&str>) -> String {
    let mut text = words.to_owned();
    for name in [label, key].into_iter().flatten().filter(|name| name.chars().count() >= SHORTEST_NAME) {
        text = without(&text, name);
    }
    let text = unquoted(&text);
    let mut pattern = String::new();
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || matches!(c, '-' | '_') {
            word.push(c);
            continue;
        }
        pattern.push_str(&general(&word));
        word.clear();
        pattern.push(c);
    }
    let words: Vec<&str> = pattern.split_whitespace().collect();
    words.join(" ").chars().take(LONGEST).collect()
}

/// Eight hexadecimal digits that name a group of letters: same route, same fault, same pattern.
pub fn fingerprint(route: &str, fault: &str, pattern: &str) -> String {
    let mut hasher = Sha256::new();
    for part in [route, fault, pattern] {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(&hasher.finalize()[..4])
}

/// `name` where it stands alone.
fn without(text: &str, name: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(name) {
        let (before, after) = (&rest[..at], &rest[at + name.len()..]);
        let joined = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let alone = !joined(before.chars().next_back()) && !joined(after.chars().next());
        out.push_str(before);
        out.push_str(if alone { "…" } else { name });
        rest = after;
    }
    out + rest
}

/// Quoted values become `…`; a quotation that does not end is left.
fn unquoted(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(at) = rest.find(['"', '\'', '«', '“']) {
        let open = rest[at..].chars().next().unwrap_or('"');
        let close = match open {
            '«' => '»',
            '“' => '”',
            other => other,
        };
        let inner = &rest[at + open.len_utf8()..];
        // An apostrophe inside a word opens nothing.
        let apostrophe = open == '\'' && rest[..at].chars().next_back().is_some_and(char::is_alphanumeric);
        match inner.find(close).filter(|_| !apostrophe) {
            Some(end) => {
                out.push_str(&rest[..at]);
                out.push('…');
                rest = &inner[end + close.len_utf8()..];
            }
            None => {
                out.push_str(&rest[..at + open.len_utf8()]);
                rest = inner;
            }
        }
    }
    out + rest
}

fn general(word: &str) -> String {
    let status = word.len() == 3 && word.parse::<u16>().is_ok_and(|code| (400..600).contains(&code));
    let numbered = word.chars().any(|c| c.is_numeric());
    if numbered && !status { "…".to_owned() } else { word.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_letter_to_letter_is_left_out() {
        for (words, key, label, expected) in [
            ("the receiver answered 422", "13", "Анна", "the receiver answered 422"),
            ("order 17 is unknown", "17", "-", "order … is unknown"),
            ("order 7 is unknown", "7", "-", "order … is unknown"),
            ("Заказ УТ-000123 не проведён", "9", "УТ-000123", "Заказ … не проведён"),
            ("нет значения «Иванов» в 'users'", "1", "", "нет значения … в …"),
            ("id 3f2504e0-4f89-11d3-9a0c-0305e82c3301 locked", "1", "", "id … locked"),
            ("can't parse \"a", "1", "", "can't parse \"a"),
            ("колонка а пуста", "а", "", "колонка а пуста"),
            ("стол занят", "ст", "", "стол занят"),
            ("timeout\n after  30s", "1", "", "timeout after …"),
        ] {
            assert_eq!(pattern(words, Some(key), Some(label)), expected);
        }
        assert_eq!(pattern(&"я".repeat(500), None, None).chars().count(), LONGEST);
    }

    #[test]
    fn a_group_is_of_one_route_and_one_fault() {
        let group = fingerprint("a", "rejected", "x");
        assert_eq!(group.len(), 8);
        assert_eq!(group, fingerprint("a", "rejected", "x"));
        for other in [("b", "rejected", "x"), ("a", "busy", "x"), ("a", "rejected", "y"), ("arejected", "", "x")] {
            assert_ne!(group, fingerprint(other.0, other.1, other.2));
        }
    }
}
