//! One request's body to records: a JSON object, an array of objects, or one object a line. All or nothing.

use bus_core::vocabulary::{Fields, Key, Operation, Record, StreamName, UnreadableRecord};
use bytes::Bytes;
use serde_json::value::RawValue;

use crate::Serves;

/// More wrong elements than these are not listed.
const MOST_ERRORS: usize = 20;

/// What is wrong with one element of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("element {index}: {reason}")]
pub struct ElementError {
    /// From 0.
    pub index: usize,
    /// In words for the caller; holds no value of the element.
    pub reason: String,
}

/// One element of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Element {
    Record(Record),
    /// No stream takes it: it is kept for a person, and the sender is not stopped by it.
    Untaken(UnreadableRecord),
}

impl Element {
    /// Whose versions must not overtake each other, if it has any.
    pub(super) fn place(&self) -> Option<(StreamName, Key)> {
        match self {
            Self::Record(record) => Some((record.stream.clone(), record.key.clone())),
            Self::Untaken(_) => None,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Record(record) => record.body.len(),
            Self::Untaken(row) => row.raw.len(),
        }
    }
}

/// Takes a body apart. Numbers keep the digits they were sent with: each record's body is the element's own text.
pub(super) fn records(body: &[u8], operation: Operation, serves: &Serves) -> Result<Vec<Element>, Vec<ElementError>> {
    let elements = elements(body)?;
    let (mut records, mut errors) = (Vec::with_capacity(elements.len()), Vec::new());
    for (index, element) in elements.into_iter().enumerate() {
        match record(element, operation, serves) {
            Ok(record) => records.push(record),
            Err(reason) => errors.push(ElementError { index, reason }),
        }
        if errors.len() == MOST_ERRORS {
            break;
        }
    }
    if errors.is_empty() { Ok(records) } else { Err(errors) }
}

/// The record of a body that holds exactly one; else why it is none, in words that hold no value of it.
pub fn one(body: &[u8], operation: Operation, serves: &Serves) -> Result<Record, String> {
    let records = records(body, operation, serves)
        .map_err(|errors| errors.first().map_or_else(|| "it is empty".to_owned(), |error| error.reason.clone()))?;
    match <[Element; 1]>::try_from(records) {
        Ok([Element::Record(record)]) => Ok(record),
        Ok([Element::Untaken(row)]) => Err(row.reason),
        Err(several) => Err(format!("it is {} records", several.len())),
    }
}

fn elements(body: &[u8]) -> Result<Vec<&RawValue>, Vec<ElementError>> {
    let wrong = |index, reason: String| vec![ElementError { index, reason }];
    let text = std::str::from_utf8(body)
        .map_err(|error| wrong(0, format!("the body is not UTF-8 (byte {})", error.valid_up_to())))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
    if text.starts_with('[') {
        return serde_json::from_str(text).map_err(|error| wrong(0, syntax(&error)));
    }
    let mut elements = Vec::new();
    for element in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        elements.push(element.map_err(|error| wrong(elements.len(), syntax(&error)))?);
    }
    if elements.is_empty() {
        return Err(wrong(
            0,
            "the body is empty: send a JSON object, an array of objects, or one object a line".into(),
        ));
    }
    Ok(elements)
}

/// The parser's own words quote no values; the place helps the caller.
fn syntax(error: &serde_json::Error) -> String {
    format!("not valid JSON: {error}")
}

fn record(element: &RawValue, operation: Operation, serves: &Serves) -> Result<Element, String> {
    let fields = Fields::of(element.get().as_bytes()).ok_or_else(|| "not a JSON object".to_owned())?;
    if let Some(name) = fields.twice() {
        return Err(format!("field {name:?} stands there twice"));
    }
    let text = |role: &str, name: &str| match fields.text(name) {
        Ok(Some(text)) => Ok(text),
        _ if !fields.has(name) => Err(format!("{role} field {name:?} is missing")),
        _ => Err(format!("{role} field {name:?} must be a string, a number or a boolean")),
    };
    let body = Bytes::copy_from_slice(element.get().as_bytes());
    let entity = serves.entity_column().map(|name| text("entity", name)).transpose()?;
    let served = match serves.stream_of(entity.as_deref()) {
        Ok(served) => served,
        Err(reason) => return Ok(Element::Untaken(serves.untaken(body, reason))),
    };
    let texts = served.key.iter().map(|name| Ok((name.as_str(), text("key", name)?)));
    let texts = texts.collect::<Result<Vec<_>, String>>()?;
    let columns: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let key = Key::from_columns(&columns).map_err(|error| error.to_string())?;
    let label = served.label.as_ref().and_then(|name| fields.text(name).ok().flatten());
    Ok(Element::Record(Record { stream: served.stream.clone(), key, operation, label, body }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Served, Several};

    fn served(stream: &str, key: &str) -> Served {
        Served {
            stream: StreamName::new(stream).unwrap(),
            key: vec![key.into()],
            label: Some("имя".into()),
            date: None,
        }
    }

    fn users() -> Serves {
        Serves::One(served("users", "id"))
    }

    fn bodies(body: &str) -> Result<Vec<String>, Vec<usize>> {
        let records = records(body.as_bytes(), Operation::Upsert, &users());
        let body = |one: &Element| match one {
            Element::Record(record) => String::from_utf8(record.body.to_vec()).unwrap(),
            Element::Untaken(row) => panic!("{row:?}"),
        };
        records
            .map(|all| all.iter().map(body).collect())
            .map_err(|errors| errors.iter().map(|error| error.index).collect())
    }

    #[test]
    fn each_shape_of_a_body_is_read_and_every_digit_kept() {
        for (body, expected) in [
            (r#"{"id":1,"x":1.10}"#, vec![r#"{"id":1,"x":1.10}"#]),
            ("\u{feff} [ {\"id\":1} , {\"id\":\"2\"} ] ", vec![r#"{"id":1}"#, r#"{"id":"2"}"#]),
            (
                "{\"id\":1}\n{\"id\":12345678901234567890.10}\n",
                vec![r#"{"id":1}"#, r#"{"id":12345678901234567890.10}"#],
            ),
            ("[]", vec![]),
        ] {
            assert_eq!(bodies(body).unwrap(), expected, "{body}");
        }
    }

    #[test]
    fn one_bad_element_refuses_all_and_is_named() {
        for (body, expected) in [
            (r#"[{"id":1},{"name":1},{"id":null}]"#, vec![1, 2]),
            (r#"[{"id":1}, 5]"#, vec![1]),
            ("{\"id\":1}\n{\"id\":", vec![1]),
            (r#"{"id":""}"#, vec![0]),
            (r#"{"id":{}}"#, vec![0]),
            (r#"[{"id":1},{"id":2,"x":1,"x":1}]"#, vec![1]),
            ("", vec![0]),
        ] {
            assert_eq!(bodies(body).unwrap_err(), expected, "{body}");
        }
        assert!(records(b"\xff", Operation::Upsert, &users()).is_err());
    }

    #[test]
    fn keys_and_labels_are_texts() {
        let body = r#"{"id":"\u0401ж","имя":17.50}"#;
        let element = records(body.as_bytes(), Operation::Delete, &users()).unwrap().remove(0);
        let Element::Record(record) = element else { panic!("{element:?}") };
        assert_eq!((record.key.as_str(), record.label.as_deref()), ("Ёж", Some("17.50")));
        assert_eq!(record.operation, Operation::Delete);
    }

    #[test]
    fn records_name_their_entity_and_one_that_nobody_takes_stops_no_other() {
        let streams = vec![("Заказ".into(), served("orders", "номер")), ("Товар".into(), served("products", "sku"))];
        let feed = StreamName::new("касса").unwrap();
        let serves = Serves::Several(Several { feed: feed.clone(), column: "вид".into(), streams });
        let body = r#"[{"вид":"Заказ","номер":1},{"вид":"Чек","номер":2},{"вид":"Товар","sku":"а"}]"#;
        let elements = records(body.as_bytes(), Operation::Upsert, &serves).unwrap();
        let [Element::Record(order), Element::Untaken(cheque), Element::Record(product)] = &elements[..] else {
            panic!("{elements:?}")
        };
        assert_eq!((order.stream.as_str(), order.key.as_str()), ("orders", "1"));
        assert_eq!((product.stream.as_str(), product.key.as_str()), ("products", "а"));
        assert_eq!((&cheque.stream, &cheque.raw[..]), (&feed, r#"{"вид":"Чек","номер":2}"#.as_bytes()));
        assert!(cheque.reason.contains("\"Чек\""), "{}", cheque.reason);
        let errors = records(r#"{"номер":1}"#.as_bytes(), Operation::Upsert, &serves).unwrap_err();
        assert!(errors[0].reason.contains("entity field \"вид\" is missing"), "{errors:?}");
    }
}
