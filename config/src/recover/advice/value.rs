//! What is wrong with one value.

use std::ops::Range;

use toml::de::DeValue;

use super::scan::{Scan, is_long};
use super::words::{Advice, QUOTES, smart};
use crate::recover::secret;
use crate::recover::statement::short_text_end;

/// Words for yes and no in other languages than TOML.
const WORDS: [(&str, &[&str]); 2] =
    [("true", &["yes", "on", "true", "да", "истина"]), ("false", &["no", "off", "false", "нет", "ложь"])];

/// What is wrong with the value at `range`, if it is wrong.
pub fn judge(statement: &str, header: &str, range: Range<usize>, scan: &Scan<'_>) -> Option<Advice> {
    let (token, key) = (&statement[range.clone()], &scan.key);
    let line_start = statement[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let line = statement[line_start..].lines().next().unwrap_or("");
    let first = statement.lines().next().unwrap_or("");
    let shown = |text: &str| secret::shown(text, line, &[header, first]);
    let advice =
        |range: Range<usize>, message: &str, hint: String| Some(Advice { range, message: message.to_owned(), hint });
    if token.starts_with(['"', '\'']) {
        return quoted(token, range, key, &shown);
    }
    if DeValue::parse(token).is_ok() {
        return None;
    }
    if let Some(quote) = token.chars().next().filter(|first| QUOTES.contains(first)) {
        return Some(smart(range.start, quote));
    }
    if let Some((word, _)) = WORDS.iter().find(|(_, words)| words.contains(&token.to_lowercase().as_str())) {
        return advice(range, "true and false are the only words for yes and no", format!("write {key} = {word}"));
    }
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if let Some((whole, part)) = token.split_once(',').filter(|(whole, part)| digits(whole) && digits(part)) {
        let comma = range.start + whole.len();
        return advice(comma..comma + 1, "a number has a point, no comma", format!("write {key} = {whole}.{part}"));
    }
    let example = match token.contains(['"', '\\']) {
        true => format!("{key} = '{}'", shown(token)),
        false => format!("{key} = \"{}\"", shown(token)),
    };
    advice(range, "a text without quotes", format!("texts stand in quotes: {example}"))
}

/// A text that does not end, or in which a backslash means nothing.
fn quoted(token: &str, range: Range<usize>, key: &str, shown: &dyn Fn(&str) -> String) -> Option<Advice> {
    let several = is_long(token);
    if !several && short_text_end(token, 0) != Some(token.len()) {
        let hint = format!("end it with {} in the same line; texts of several lines stand between '''", &token[..1]);
        let message = "the text that begins here does not end".to_owned();
        return Some(Advice { range: range.start..range.start + 1, message, hint });
    }
    let at = token.starts_with('"').then(|| wrong_escape(token)).flatten()?;
    let hint = match several {
        true => "put it between ''' instead, where backslashes are what they are".to_owned(),
        false => {
            let text = shown(&token[1..token.len() - 1]);
            format!("in single quotes it is what it is: {key} = '{text}'; paths may have / instead")
        }
    };
    let message = "in double quotes a backslash begins something special".to_owned();
    Some(Advice { range: range.start + at..range.start + at + 1, message, hint })
}

/// Where a backslash is followed by nothing that it could stand for.
fn wrong_escape(token: &str) -> Option<usize> {
    let mut rest = token.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if c != '\\' {
            continue;
        }
        let letter = rest.next().map_or(' ', |(_, letter)| letter);
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let known = "btnfre\"\\xuU\n\r".contains(letter) || (letter == ' ' && token.starts_with("\"\"\""));
        let from = at + 1 + letter.len_utf8();
        let hexadecimal =
            token.get(from..from + digits).is_some_and(|code| code.chars().all(|c| c.is_ascii_hexdigit()));
        if !known || !hexadecimal {
            return Some(at);
        }
    }
    None
}
