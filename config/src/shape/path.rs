//! A path into a record: `.lines[0]."Имя"`. Runs on the JSON text itself, so digits stay as they are.

use std::borrow::Cow;
use std::collections::HashMap;

use bus_options::{Node, OptionValue, Report, Script, codes};
use serde_json::value::RawValue;

/// A path, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Vec<Step>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Field(String),
    /// Below zero: from the end.
    Index(i64),
}

/// Where in the text a path stops making sense, and why.
#[derive(Debug, PartialEq, Eq)]
pub struct BadPath {
    pub(super) at: usize,
    pub(super) why: &'static str,
}

/// Fields of an object, each as its own JSON text.
pub type RawObject<'a> = HashMap<Cow<'a, str>, &'a RawValue>;

impl FieldPath {
    /// Reads a path. Letters of any alphabet, digits, `_`, `@` and `-` need no quotes.
    pub fn parse(text: &str) -> Result<Self, BadPath> {
        let mut steps = Vec::new();
        let mut rest = text;
        let bad = |rest: &str, why| BadPath { at: text.len() - rest.len(), why };
        if !rest.starts_with('.') {
            return Err(bad(rest, "a path begins with a dot"));
        }
        while !rest.is_empty() {
            if let Some(inside) = rest.strip_prefix('[') {
                let end = inside.find(']').ok_or_else(|| bad(rest, "`[` is not closed"))?;
                let index = inside[..end].trim().parse().map_err(|_| bad(inside, "an index is a whole number"))?;
                steps.push(Step::Index(index));
                rest = &inside[end + 1..];
                continue;
            }
            let field = rest.strip_prefix('.').ok_or_else(|| bad(rest, "a dot or `[` is expected here"))?;
            // `.` alone is the whole record, and `.[0]` its first item.
            if field.is_empty() && steps.is_empty() {
                break;
            }
            let (name, after) = name(field).map_err(|why| bad(field, why))?;
            steps.push(Step::Field(name));
            rest = after;
        }
        Ok(Self(steps))
    }

    /// Its names, joined by dots.
    pub(crate) fn names(&self) -> String {
        let names =
            self.0.iter().filter_map(|step| if let Step::Field(name) = step { Some(name.as_str()) } else { None });
        names.collect::<Vec<_>>().join(".")
    }

    /// The first field of the path; `None` for the whole record.
    pub(super) fn pick<'a>(&self, root: &RawObject<'a>, body: &'a RawValue) -> Option<Cow<'a, RawValue>> {
        let (first, rest) = match self.0.split_first() {
            None => return Some(Cow::Borrowed(body)),
            Some((Step::Index(_), _)) => return None,
            Some((Step::Field(name), rest)) => (*root.get(name.as_str())?, rest),
        };
        let mut here = first;
        for step in rest {
            here = match step {
                Step::Field(name) => *serde_json::from_str::<RawObject<'a>>(here.get()).ok()?.get(name.as_str())?,
                Step::Index(index) => {
                    let items: Vec<&'a RawValue> = serde_json::from_str(here.get()).ok()?;
                    let from_end = usize::try_from(-index).ok().and_then(|back| items.len().checked_sub(back));
                    let at = if *index < 0 { from_end? } else { usize::try_from(*index).ok()? };
                    *items.get(at)?
                }
            };
        }
        Some(Cow::Borrowed(here))
    }
}

impl std::fmt::Display for FieldPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str(".");
        }
        for step in &self.0 {
            match step {
                Step::Index(index) => write!(f, "[{index}]")?,
                Step::Field(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
                    write!(f, ".{name}")?
                }
                Step::Field(name) => write!(f, ".\"{name}\"")?,
            }
        }
        Ok(())
    }
}

fn name(text: &str) -> Result<(String, &str), &'static str> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '@' | '-')).unwrap_or(text.len());
        return if end == 0 {
            Err("a field name is expected here")
        } else {
            Ok((text[..end].to_owned(), &text[end..]))
        };
    };
    let (mut name, mut escaped) = (String::new(), false);
    for (at, c) in quoted.char_indices() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' if !escaped => return Ok((name, &quoted[at + 1..])),
            other => {
                name.push(other);
                escaped = false;
            }
        }
    }
    Err("the quote is not closed")
}

impl OptionValue for FieldPath {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let script = Script::read(node, report)?;
        match Self::parse(&script.text) {
            Ok(path) => Some(path),
            Err(BadPath { at, why }) => {
                let length = script.text[at..].chars().next().map_or(0, char::len_utf8);
                let hint = "for example \".sku\", \".\\\"Имя поля\\\"\", \".lines[0].price\"";
                report.add_with_hint(
                    codes::BAD_PATH,
                    &script.span_of(at..at + length),
                    format!("not a path: {why}"),
                    hint,
                );
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "path in the record, such as `\".lines[0].sku\"`".into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "pattern": "^\\."})
    }
}

/// A path of fields only, for a mask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Masked(pub Vec<String>);

impl OptionValue for Masked {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let path = FieldPath::read(node, report)?;
        let field = |step: &Step| if let Step::Field(name) = step { Some(name.clone()) } else { None };
        match path.0.iter().map(field).collect::<Option<Vec<_>>>() {
            Some(fields) if !fields.is_empty() => Some(Self(fields)),
            _ => {
                let hint = "name fields only, as in \".phone\" or \".contacts.phone\": a list on the way is masked in each item";
                report.add_with_hint(codes::BAD_MASK, &node.span(), "not a field that can be masked", hint);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "path of fields in the record, such as `\".phone\"`".into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "pattern": "^\\.[^\\[]+$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_printed() {
        for (text, printed) in [
            (".", "."),
            (".sku", ".sku"),
            (".Сумма", ".\"Сумма\""),
            (".path.\"Имя поля\"[0].x", ".path.\"Имя поля\"[0].x"),
            (".a[-1][2]", ".a[-1][2]"),
        ] {
            assert_eq!(FieldPath::parse(text).map(|path| path.to_string()), Ok(printed.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_bad_path_says_where() {
        for (text, at) in
            [("", 0), ("sku", 0), (".a..b", 3), (".a[x]", 3), (".a[0", 2), (".a.\"b", 3), (".a b", 2), (".a.", 3)]
        {
            assert_eq!(FieldPath::parse(text).map_err(|bad| bad.at), Err(at), "{text}");
        }
    }
}
