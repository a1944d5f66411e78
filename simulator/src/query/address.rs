//! The path behind the service's root: a set, a key, and what follows it.

use super::options::decoded;
use super::token::{date, quoted};
use crate::data::key_of;
use crate::refusal::Refusal;
use crate::schema::{Entity, Type};
use crate::value::{Guid, Row, Value};

/// One segment: a name, and what stands between its parentheses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The name.
    pub name: String,
    /// Between the parentheses; `None` without them.
    pub inside: Option<String>,
}

/// Divides a path at slashes outside of parentheses and quotes.
pub fn segments(path: &str) -> Result<Vec<Segment>, Refusal> {
    let path = decoded(path).ok_or_else(|| Refusal::bad_option("URL"))?;
    let mut found = Vec::new();
    let (mut depth, mut quotes, mut start) = (0, false, 0);
    for (at, c) in path.char_indices().chain([(path.len(), '/')]) {
        match c {
            '\'' => quotes = !quotes,
            '(' if !quotes => depth += 1,
            ')' if !quotes => depth -= 1,
            '/' if depth == 0 && (!quotes || at == path.len()) => {
                if start < at {
                    found.push(segment(&path[start..at])?);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    Ok(found)
}

fn segment(text: &str) -> Result<Segment, Refusal> {
    let Some((name, rest)) = text.split_once('(') else {
        return Ok(Segment { name: text.to_owned(), inside: None });
    };
    let inside = rest.strip_suffix(')').ok_or_else(|| Refusal::bad_option("URL"))?;
    Ok(Segment { name: name.to_owned(), inside: Some(inside.to_owned()) })
}

/// `Имя=значение` pairs, separated by commas outside of quotes. Conditions of virtual tables have bare quotes inside
/// quotes, so a comma separates only where a name and an equals sign follow it.
pub fn pairs(inside: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for piece in inside.split(',') {
        let named = piece.split_once('=').filter(|(name, _)| {
            let name = name.trim();
            !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        });
        match (named, found.last_mut()) {
            (Some((name, value)), _) => found.push((name.trim().to_owned(), value.trim().to_owned())),
            (None, Some((_, value))) => {
                value.push(',');
                value.push_str(piece);
            }
            (None, None) => found.push((String::new(), piece.trim().to_owned())),
        }
    }
    found
}

/// The key between parentheses, as the base writes it.
pub fn key(entity: &Entity, inside: &str) -> Result<String, Refusal> {
    let wrong = || Refusal::bad_key(&entity.name);
    let given = pairs(inside);
    let mut row: Row = crate::data::Base::empty(entity);
    let mut expected = 0;
    for (at, property) in entity.properties.iter().enumerate().filter(|(_, property)| property.key) {
        expected += 1;
        let by_name = given.iter().find(|(name, _)| *name == property.name);
        let alone = given.first().filter(|(name, _)| name.is_empty() && given.len() == 1);
        let (_, text) = by_name.or(alone).ok_or_else(wrong)?;
        row[at] = if property.kind == Type::Any {
            let kind = format!("{}_Type", property.name);
            let (_, kind) = given.iter().find(|(name, _)| *name == kind).ok_or_else(wrong)?;
            Value::Any { text: unquoted(text).ok_or_else(wrong)?, kind: unquoted(kind).ok_or_else(wrong)? }
        } else {
            constant(&property.kind, text).ok_or_else(wrong)?
        };
    }
    // A constant is addressed by the empty reference too: that is how the manual shows it.
    if entity.is("Constant") || expected > 0 { Ok(key_of(entity, &row)) } else { Err(wrong()) }
}

fn unquoted(text: &str) -> Option<String> {
    let quoted_text = text.starts_with('\'').then(|| quoted(text).ok()).flatten();
    quoted_text.map(|(value, _)| value)
}

fn constant(kind: &Type, text: &str) -> Option<Value> {
    let quoted_after = |prefix: &str| text.strip_prefix(prefix).and_then(unquoted);
    match kind {
        Type::Guid | Type::Reference(_) => Guid::parse(&quoted_after("guid")?).map(Value::Guid),
        Type::Date => date(&quoted_after("datetime")?).map(Value::Date),
        Type::Int16 if text.starts_with("guid") => Some(Value::Number("0".into())),
        Type::Int16 | Type::Int64 | Type::Double => {
            crate::value::millionths(text.trim_end_matches(['L', 'l'])).map(|_| Value::Number(text.to_owned()))
        }
        Type::Bool => text.parse().ok().map(Value::Bool),
        _ => unquoted(text).map(Value::Text),
    }
}
