//! Where in a record the keys of others stand: `."Товары"[*]."Номенклатура_Key"`.

use std::borrow::Cow;
use std::collections::HashSet;

use bus_core::ports::requires;
use bus_core::ports::shape::ShapeError;
use bus_core::vocabulary::Key;
use bus_options::{Node, OptionValue, Report, Script, codes};
use serde_json::value::RawValue;

use super::path::{FieldPath, RawObject};

/// Keys that one record may refer to: each is looked up before it is sent. Far above the lines of a document that people
/// write.
const MOST: usize = 10_000;
/// How 1C writes that a reference is empty.
const EMPTY: &str = "00000000-0000-0000-0000-000000000000";

/// A path in which `[*]` stands for each item of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References(Vec<FieldPath>);

impl References {
    /// Reads a path; an error says where, in bytes, and why.
    fn parse(text: &str) -> Result<Self, (usize, &'static str)> {
        let (mut paths, mut at) = (Vec::new(), 0);
        for part in text.split("[*]") {
            // Behind a list it may end: the items themselves are the keys.
            let path = FieldPath::parse(if at > 0 && part.is_empty() { "." } else { part });
            paths.push(path.map_err(|bad| (at + bad.at, bad.why))?);
            at += part.len() + "[*]".len();
        }
        Ok(Self(paths))
    }

    /// The field, as names from the root joined by dots.
    pub(crate) fn fields_read(&self) -> String {
        let names = self.0.iter().map(FieldPath::names).filter(|names| !names.is_empty());
        names.collect::<Vec<_>>().join(".")
    }
}

impl requires::References for References {
    fn of(&self, body: &[u8]) -> Result<Vec<Key>, ShapeError> {
        let whole: &RawValue =
            serde_json::from_slice(body).map_err(|_| ShapeError("the record is not a JSON object".into()))?;
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        collect(whole, &self.0, &mut |raw| {
            let Some(text) = key(raw)? else { return Ok(()) };
            if seen.insert(text.clone()) {
                found.push(Key::from_stored(&text));
            }
            match found.len() > MOST {
                true => Err(ShapeError(format!("the record refers to more than {MOST} others"))),
                false => Ok(()),
            }
        })?;
        Ok(found)
    }
}

type Each<'e> = &'e mut dyn FnMut(&RawValue) -> Result<(), ShapeError>;

fn collect(body: &RawValue, paths: &[FieldPath], each: Each<'_>) -> Result<(), ShapeError> {
    let Some((first, rest)) = paths.split_first() else { return Ok(()) };
    // What is no object has no fields; the whole of it may still be meant.
    let root: RawObject<'_> = serde_json::from_str(body.get()).unwrap_or_default();
    let Some(found) = first.pick(&root, body) else { return Ok(()) };
    if rest.is_empty() {
        return each(&found);
    }
    let items: Option<Vec<&RawValue>> =
        serde_json::from_str(found.get()).map_err(|_| ShapeError("`[*]` stands for the items of no list".into()))?;
    items.unwrap_or_default().into_iter().try_for_each(|item| collect(item, rest, each))
}

/// `None`: it refers to nothing.
fn key(raw: &RawValue) -> Result<Option<String>, ShapeError> {
    let text = match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str(raw.get()).map_err(|error| ShapeError(error.to_string()))?,
        Some(b'0'..=b'9' | b'-') => raw.get().to_owned(),
        Some(b'n') => return Ok(None),
        _ => return Err(ShapeError("a reference is a text or a number".into())),
    };
    Ok(Some(text).filter(|text| !text.is_empty() && text != EMPTY))
}

/// [`References`] as an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferencesText(pub References);

impl OptionValue for ReferencesText {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let script = Script::read(node, report)?;
        match References::parse(&script.text) {
            Ok(references) => Some(Self(references)),
            Err((at, why)) => {
                let length = script.text[at..].chars().next().map_or(0, char::len_utf8);
                let hint =
                    "for example \".client_id\", \".lines[*].sku\", \".\\\"Товары\\\"[*].\\\"Номенклатура_Key\\\"\"";
                let span = script.span_of(at..at + length);
                report.add_with_hint(codes::BAD_PATH, &span, format!("not a path: {why}"), hint);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "path in the record, such as `\".client_id\"` or `\".lines[*].sku\"`".into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"type": "string", "pattern": "^\\."})
    }
}

#[cfg(test)]
mod tests {
    use bus_core::ports::requires::References as _;

    use super::*;

    fn found(path: &str, body: &str) -> Result<Vec<String>, String> {
        let references = References::parse(path).unwrap();
        let keys = references.of(body.as_bytes()).map_err(|error| error.0)?;
        Ok(keys.into_iter().map(|key| key.to_string()).collect())
    }

    #[test]
    fn keys_are_found_in_lists_of_lists_each_once() {
        let body = r#"{"Клиент":"к-1","Товары":[{"Ref":"т-1","parts":[7,8]},{"Ref":"т-2"},{"Ref":"т-1","parts":[8]},{}],
            "tags":["x","y"]}"#;
        for (path, expected) in [
            (".Клиент", &["к-1"][..]),
            (".\"Товары\"[*].Ref", &["т-1", "т-2"]),
            (".Товары[*].parts[*]", &["7", "8"]),
            (".Товары[0].parts[1]", &["8"]),
            (".tags[*]", &["x", "y"]),
            (".nothing", &[]),
            (".nothing[*].x", &[]),
        ] {
            assert_eq!(found(path, body).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn an_empty_reference_refers_to_nothing_and_a_wrong_one_is_told() {
        let body = format!(r#"{{"a":null,"b":"","c":"{EMPTY}","d":[null,"x"],"e":true,"f":{{}},"g":"text"}}"#);
        for path in [".a", ".b", ".c"] {
            assert_eq!(found(path, &body), Ok(vec![]), "{path}");
        }
        assert_eq!(found(".d[*]", &body), Ok(vec!["x".to_owned()]));
        assert!(found(".e", &body).is_err() && found(".f", &body).is_err() && found(".g[*].x", &body).is_err());
        assert!(found(".a", "нет").is_err());
        let many: Vec<usize> = (0..=MOST).collect();
        assert!(found(".m[*]", &serde_json::json!({ "m": many }).to_string()).is_err());
    }

    #[test]
    fn a_bad_path_says_where() {
        for (text, at) in [("", 0), ("lines", 0), (".a[*]x.b", 5), (".a[*].b c", 7), (".a[x]", 3)] {
            assert_eq!(References::parse(text).map_err(|bad| bad.0), Err(at), "{text}");
        }
        for text in [".", ".a[*]", ".a[*].b[*].c"] {
            assert!(References::parse(text).is_ok(), "{text}");
        }
    }
}
