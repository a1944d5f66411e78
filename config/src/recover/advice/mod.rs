//! What people write who do not know TOML, and what to write instead.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | advice on a statement |
//! | `scan.rs` | from value to value |
//! | `value.rs` | advice on a value |
//! | `words.rs` | what advice is |

mod scan;
mod value;
mod words;

use scan::Scan;
use value::judge;
use words::{QUOTES, smart};

pub use words::Advice;

/// What a text, list or table needs that does not end.
pub fn unclosed(text: &str, open: usize) -> Advice {
    let quotes = ["'''", "\"\"\""].into_iter().find(|quotes| text[open..].starts_with(quotes));
    let (what, end, length) = match (quotes, &text[open..open + 1]) {
        (Some(quotes), _) => ("text", quotes, 3),
        (None, "[") => ("list", "]", 1),
        _ => ("table", "}", 1),
    };
    let hint = format!("end it with {end} before the next table; what follows up to there was not read");
    Advice { range: open..open + length, message: format!("the {what} that begins here does not end"), hint }
}

/// What is wrong with the values of one statement under this header, as far as it can be told.
pub fn of(statement: &str, header: &str) -> Vec<Advice> {
    let mut found = Vec::new();
    let Some(equals) = statement.find('=') else {
        found.extend(no_equals(statement));
        return found;
    };
    let key = statement[..equals].trim();
    if let Some((at, quote)) = statement[..equals].char_indices().find(|(_, c)| QUOTES.contains(c)) {
        found.push(smart(at, quote));
        return found;
    }
    if statement[equals + 1..].split('#').next().is_some_and(|value| value.trim().is_empty()) {
        let (message, hint) = ("the value is missing".to_owned(), format!("write {key} = \"…\""));
        found.push(Advice { range: equals..equals + 1, message, hint });
        return found;
    }
    let mut scan = Scan::of_value(statement, equals + 1, key);
    while let Some(token) = scan.next() {
        match token {
            Ok(range) => found.extend(judge(statement, header, range, &scan)),
            Err(advice) => found.push(advice),
        }
    }
    found
}

/// `to: shop`
fn no_equals(statement: &str) -> Option<Advice> {
    let line = statement.lines().next()?;
    let (key, _) = line.split_once(':')?;
    let (at, key) = (key.len(), key.trim());
    let hint = format!("write {key} = …");
    Some(Advice { range: at..at + 1, message: "between a key and its value stands `=`".to_owned(), hint })
}

/// Where a key in other letters than English ones stands without quotes: TOML wants them, and its parser does not say so.
pub fn unquoted_name(statement: &str) -> Option<String> {
    let line = statement.lines().next()?;
    let header = line.trim_start().starts_with('[');
    let keys = if header { line } else { line.split('=').next()? };
    // Inside quotes anything may stand: the even parts are outside.
    let mut outside =
        keys.split(['"', '\'']).step_by(2).flat_map(|part| part.split(['[', ']', '.', ',', '{', ' ', '\t']));
    let name = outside.find(|part| part.chars().any(char::is_alphabetic) && !part.is_ascii())?;
    let example =
        if header { line.trim().replacen(name, &format!("\"{name}\""), 1) } else { format!("\"{name}\" = …") };
    Some(format!("a name in other letters than English ones needs quotes: {example}"))
}

#[cfg(test)]
mod tests;
