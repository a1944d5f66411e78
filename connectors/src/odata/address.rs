//! Addresses as 1C reads them: UTF-8 in percent signs, `%20` for blanks (1C takes no `+`), and its literals.

use chrono::NaiveDateTime;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::model::{Kind, Type};

/// What may stand in an address as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'=')
    .remove(b',')
    .remove(b':')
    .remove(b'*')
    .remove(b'$');
/// Between the parts of a path a slash is one.
const PATH: &AsciiSet = &PLAIN.remove(b'/');

/// A path under the root of the interface.
pub fn path(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// The value of an option.
pub fn option(text: &str) -> String {
    utf8_percent_encode(text, PATH).to_string()
}

/// The parentheses of a virtual table: `(Period=datetime'…',Condition='…')`. Quotes in a condition are not doubled, as in
/// the manual.
pub fn parameters(parameters: &[(String, String)]) -> Result<String, String> {
    let mut all = Vec::new();
    for (name, value) in parameters {
        if !name.chars().all(char::is_alphanumeric) || name.is_empty() {
            return Err(format!("{name:?} is no parameter of a virtual table"));
        }
        all.push(if name.ends_with("Period") {
            format!("{name}={}", literal(&Kind::Moment, value)?)
        } else {
            format!("{name}='{value}'")
        });
    }
    Ok(format!("({})", all.join(",")))
}

/// A value as `$filter` compares it. A value that is none of its kind is refused: it could be another condition.
pub fn literal(kind: &Kind, text: &str) -> Result<String, String> {
    let wrong = |what: &str| Err(format!("a value is no {what}"));
    match kind {
        Kind::Guid => match is_guid(text) {
            true => Ok(format!("guid'{text}'")),
            false => wrong("reference such as 41aa6331-954f-11e3-814b-005056c00008"),
        },
        Kind::Moment => match text.parse::<NaiveDateTime>() {
            Ok(_) => Ok(format!("datetime'{text}'")),
            Err(_) => wrong("date such as 2026-11-22T00:00:00"),
        },
        Kind::Integer | Kind::Number => match text.parse::<serde_json::Number>() {
            Ok(_) => Ok(text.to_owned()),
            Err(_) => wrong("number"),
        },
        Kind::Boolean if matches!(text, "true" | "false") => Ok(text.to_owned()),
        Kind::Boolean => wrong("true or false"),
        Kind::Text => Ok(format!("'{}'", text.replace('\'', "''"))),
        Kind::Binary | Kind::Stream | Kind::Rows(_) => Err("it cannot be compared".to_owned()),
    }
}

/// `Name eq literal`, by the kind of the property. A composite one is compared as what its value says it is:
/// `Catalog_Склады(41aa6331-…)`, because 1C finds nothing by a bare reference, and says nothing about it.
pub fn equals(of: &Type, name: &str, text: &str) -> Result<String, String> {
    let property = of.property(name).ok_or_else(|| format!("there is no property {name:?}"))?;
    let composite = property.kind == Kind::Text && of.property(&format!("{name}_Type")).is_some();
    if composite && let Some((object, guid)) = text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        let plain = object.chars().all(|c| c.is_alphanumeric() || c == '_');
        if plain && is_guid(guid) {
            return Ok(format!("{name} eq cast(guid'{guid}','{object}')"));
        }
    }
    literal(&property.kind, text)
        .map(|literal| format!("{name} eq {literal}"))
        .map_err(|error| format!("{name}: {error}"))
}

pub(super) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A value of a key, with its name where one is given.
pub type KeyValue = (Option<String>, String);

/// Takes an address of a record apart: `…/Catalog_Товары(guid'…')`, whole or without the base, into the set and the values
/// of its key, by name where names are given.
pub fn reference(address: &str) -> Option<(String, Vec<KeyValue>)> {
    let decoded = percent_encoding::percent_decode_str(address).decode_utf8().ok()?;
    let open = first_outside_quotes(&decoded, '(')?;
    let close = decoded.rfind(')').filter(|close| *close > open)?;
    let set = decoded[..open].rsplit('/').next().filter(|set| !set.is_empty())?;
    let mut values = Vec::new();
    let mut rest = decoded[open + 1..close].trim();
    while !rest.is_empty() {
        let end = first_outside_quotes(rest, ',').unwrap_or(rest.len());
        let part = rest[..end].trim();
        rest = rest.get(end + 1..).unwrap_or_default().trim_start();
        let (name, value) = match first_outside_quotes(part, '=') {
            Some(at) => (Some(part[..at].trim().to_owned()), part[at + 1..].trim()),
            None => (None, part),
        };
        values.push((name, unquoted(value)?));
    }
    (!values.is_empty()).then(|| (set.to_owned(), values))
}

fn first_outside_quotes(text: &str, wanted: char) -> Option<usize> {
    let mut quoted = None;
    for (at, c) in text.char_indices() {
        match quoted {
            None if c == wanted => return Some(at),
            None if c == '\'' || c == '"' => quoted = Some(c),
            Some(quote) if c == quote => quoted = None,
            _ => {}
        }
    }
    None
}

/// The text within `guid'…'`, `datetime'…'`, `'…'` or `"…"`; numbers as they are.
fn unquoted(value: &str) -> Option<String> {
    let Some(at) = value.find(['\'', '"']) else { return Some(value.to_owned()) };
    let quote = value[at..].chars().next()?;
    let inside = value[at + 1..].strip_suffix(quote)?;
    Some(inside.replace("''", "'"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::odata::samples;

    const GUID: &str = "8d1d7287-cd73-11e6-aede-5404a6b4b8ed";

    #[test]
    fn blanks_quotes_and_cyrillic_are_encoded_as_1c_reads_them() {
        assert_eq!(option("Имя eq 'а+б & в'"), "%D0%98%D0%BC%D1%8F%20eq%20'%D0%B0%2B%D0%B1%20%26%20%D0%B2'");
        assert_eq!(path("Catalog_А/Balance()"), "Catalog_%D0%90/Balance()");
        assert!(!option("a#b?c%d\"").contains(['#', '?', '"']));
    }

    #[test]
    fn conditions_are_built_by_kind_and_nothing_else_gets_in() {
        let model = samples::model();
        let of = model.type_of("Document_Заказ").unwrap();
        for (name, text, expected) in [
            ("Number", "О'Нил", Ok("Number eq 'О''Нил'")),
            ("Сумма", "10.50", Ok("Сумма eq 10.50")),
            ("DeletionMark", "false", Ok("DeletionMark eq false")),
            ("Date", "2026-11-22T00:00:00", Ok("Date eq datetime'2026-11-22T00:00:00'")),
            ("Date", "2026' or true or '", Err("Date: a value is no date such as 2026-11-22T00:00:00")),
            ("Ref_Key", "1", Err("Ref_Key: a value is no reference such as 41aa6331-954f-11e3-814b-005056c00008")),
            ("Нет", "1", Err("there is no property \"Нет\"")),
            ("Склад", "Main", Ok("Склад eq 'Main'")),
        ] {
            assert_eq!(equals(of, name, text).as_deref().map_err(String::as_str), expected);
        }
        let cast = equals(of, "Склад", &format!("Catalog_Склады({GUID})")).unwrap();
        assert_eq!(cast, format!("Склад eq cast(guid'{GUID}','Catalog_Склады')"));
    }

    #[test]
    fn parameters_of_virtual_tables_are_written_as_in_the_manual() {
        let given = [("Period", "2026-11-22T00:00:00"), ("Condition", "Имя eq 'а'")];
        let given = given.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parameters(&given).unwrap(), "(Period=datetime'2026-11-22T00:00:00',Condition='Имя eq 'а'')");
        assert_eq!(parameters(&[]).unwrap(), "()");
        assert!(parameters(&[("a)/x".to_owned(), String::new())]).is_err());
    }

    #[test]
    fn addresses_of_records_are_taken_apart() {
        let one = |value: &str| vec![(None, value.to_owned())];
        for (address, set, values) in [
            (format!("http://h/b(1)/odata/Catalog_Т(guid'{GUID}')"), None, vec![]),
            (format!("http://h/b/odata/Catalog_Т(guid'{GUID}')"), Some("Catalog_Т"), one(GUID)),
            (format!("Catalog_%D0%A2(guid'{GUID}')"), Some("Catalog_Т"), one(GUID)),
            (
                format!("h/Reg(Recorder='{GUID}', Recorder_Type='StandardODATA.Document_З')"),
                Some("Reg"),
                vec![
                    (Some("Recorder".into()), GUID.into()),
                    (Some("Recorder_Type".into()), "StandardODATA.Document_З".into()),
                ],
            ),
            ("Reg(К='а,''(б)')".into(), Some("Reg"), vec![(Some("К".into()), "а,'(б)".into())]),
            ("Reg()".into(), None, vec![]),
            ("Reg".into(), None, vec![]),
        ] {
            let found = reference(&address);
            match set {
                Some(set) => assert_eq!(found, Some((set.to_owned(), values)), "{address}"),
                None => assert!(found.is_none_or(|(set, _)| set != "Catalog_Т"), "{address}"),
            }
        }
    }
}
