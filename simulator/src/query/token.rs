//! The words of the filter language.

use crate::refusal::Refusal;
use crate::value::{Guid, Value};

/// One word.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A name, perhaps with dots; operators are names too.
    Name(String),
    /// A constant.
    Literal(Value),
    Open,
    Close,
    Comma,
    Slash,
    Colon,
}

fn wrong() -> Refusal {
    Refusal::bad_option("$filter")
}

/// Divides the text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            c if c.is_whitespace() => {
                rest = &rest[c.len_utf8()..];
                continue;
            }
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            ',' => (Token::Comma, 1),
            '/' => (Token::Slash, 1),
            ':' => (Token::Colon, 1),
            '\'' => {
                let (text, length) = quoted(rest)?;
                (Token::Literal(Value::Text(text)), length)
            }
            c if c.is_ascii_digit() || c == '-' => number(rest)?,
            c if c.is_alphabetic() || c == '_' => name(rest)?,
            _ => return Err(wrong()),
        };
        found.push(token);
        rest = &rest[length..];
    }
    Ok(found)
}

/// A string in quotes, where two quotes are one; and how long it is in the text.
pub(super) fn quoted(text: &str) -> Result<(String, usize), Refusal> {
    let mut value = String::new();
    let mut at = 1;
    loop {
        let end = text[at..].find('\'').ok_or_else(wrong)? + at;
        value.push_str(&text[at..end]);
        at = end + 1;
        if !text[at..].starts_with('\'') {
            return Ok((value, at));
        }
        value.push('\'');
        at += 1;
    }
}

fn number(text: &str) -> Result<(Token, usize), Refusal> {
    let end = text[1..].find(|c: char| !c.is_ascii_digit() && c != '.').map_or(text.len(), |end| end + 1);
    let digits = &text[..end];
    crate::value::millionths(digits).ok_or_else(wrong)?;
    // Suffixes of OData's numbers.
    let suffix = text[end..].chars().next().filter(|c| "LldDmMfF".contains(*c)).map_or(0, char::len_utf8);
    Ok((Token::Literal(Value::Number(digits.to_owned())), end + suffix))
}

fn name(text: &str) -> Result<(Token, usize), Refusal> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    if rest.starts_with('\'') && matches!(name, "guid" | "datetime") {
        let (value, length) = quoted(rest)?;
        let value = match name {
            "guid" => Value::Guid(Guid::parse(&value).ok_or_else(wrong)?),
            _ => Value::Date(date(&value).ok_or_else(wrong)?),
        };
        return Ok((Token::Literal(value), end + length));
    }
    let token = match name {
        "true" => Token::Literal(Value::Bool(true)),
        "false" => Token::Literal(Value::Bool(false)),
        "null" => Token::Literal(Value::Null),
        name => Token::Name(name.to_owned()),
    };
    Ok((token, end))
}

/// A date with or without its time.
pub(super) fn date(text: &str) -> Option<String> {
    let form = "0000-00-00T00:00:00";
    let full = if text.len() == 10 { format!("{text}T00:00:00") } else { text.to_owned() };
    let fits = full.len() == form.len()
        && full.bytes().zip(form.bytes()).all(|(b, f)| if f == b'0' { b.is_ascii_digit() } else { b == f });
    fits.then_some(full)
}
