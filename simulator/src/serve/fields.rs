//! What a written body does to a record, silently or not: what 1C cuts, ignores and refuses.

use serde_json::{Map, Value as Json};

use crate::data::empty;
use crate::refusal::Refusal;
use crate::schema::{Property, Type};
use crate::value::{Guid, Row, Value};

/// A body as an object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Json>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_body())?;
    let text = text.trim_start_matches('\u{feff}');
    match serde_json::from_str(text) {
        Ok(Json::Object(members)) => Ok(members),
        _ => Err(Refusal::bad_body()),
    }
}

/// Lays a body over a record. What has no property is ignored, and so are `Ref_Key` and the version.
pub(super) fn lay(properties: &[Property], row: &mut Row, body: &Map<String, Json>) -> Result<(), Refusal> {
    for (property, value) in properties.iter().zip(row.iter_mut()) {
        if matches!(property.name.as_str(), "Ref_Key" | "DataVersion") {
            continue;
        }
        let name = &property.name;
        if let Some(link) = body.get(&format!("{}@odata.bind", property.link())) {
            *value = Value::Guid(bound(link).ok_or_else(|| Refusal::bad_value(name))?);
        }
        match &property.kind {
            Type::Any => any(value, name, body)?,
            Type::Binary => binary(value, name, body),
            Type::Rows(lines) => {
                if let Some(given) = body.get(name) {
                    *value = Value::Rows(rows(name, lines, given)?);
                }
            }
            kind => {
                if let Some(given) = body.get(name)
                    && let Some(taken) = simple(kind, name, given)?
                {
                    *value = taken;
                }
            }
        }
    }
    Ok(())
}

/// The reference in `Catalog_Склады(guid'…')`.
fn bound(link: &Json) -> Option<Guid> {
    link.as_str()?.split('\'').nth(1).and_then(Guid::parse)
}

/// `None` where 1C ignores the value without a word.
fn simple(kind: &Type, name: &str, given: &Json) -> Result<Option<Value>, Refusal> {
    let wrong = || Refusal::bad_value(name);
    if given.is_null() {
        return Ok(Some(empty(kind)));
    }
    Ok(match kind {
        // Cut to its length without a word.
        Type::Text { length, .. } => {
            let text = given.as_str().ok_or_else(wrong)?;
            Some(Value::Text(text.chars().take(length.unwrap_or(usize::MAX)).collect()))
        }
        Type::Enum(name) => given.as_str().filter(|value| known(name, value)).map(|value| Value::Text(value.into())),
        Type::Int64 | Type::Int16 => match given {
            Json::String(text) => text.parse::<i64>().ok().map(|number| Value::Number(number.to_string())),
            other => other.as_i64().map(|number| Value::Number(number.to_string())),
        },
        Type::Double => match given {
            Json::Number(number) => {
                crate::value::millionths(&number.to_string()).map(|_| Value::Number(number.to_string()))
            }
            _ => None,
        },
        Type::Bool => given.as_bool().map(Value::Bool),
        Type::Date => {
            let text = given.as_str().filter(|text| text.len() == 19).ok_or_else(wrong)?;
            Some(Value::Date(text.into()))
        }
        // Nobody looks whether such an object exists.
        Type::Guid | Type::Reference(_) => Some(Value::Guid(given.as_str().and_then(Guid::parse).ok_or_else(wrong)?)),
        Type::Any | Type::Binary | Type::Rows(_) => None,
    })
}

fn known(enumeration: &str, value: &str) -> bool {
    value.is_empty()
        || crate::schema::trade().enums.iter().any(|(name, values)| *name == enumeration && values.contains(&value))
}

fn any(value: &mut Value, name: &str, body: &Map<String, Json>) -> Result<(), Refusal> {
    let (Some(text), kind) = (body.get(name), body.get(&format!("{name}_Type"))) else { return Ok(()) };
    let text = text.as_str().ok_or_else(|| Refusal::bad_value(name))?;
    let kind = kind.and_then(Json::as_str).unwrap_or("StandardODATA.Undefined");
    *value = Value::Any { text: text.into(), kind: kind.into() };
    Ok(())
}

fn binary(value: &mut Value, name: &str, body: &Map<String, Json>) {
    let text = |suffix: &str| body.get(&format!("{name}_{suffix}")).and_then(Json::as_str);
    if let Some(base64) = text("Base64Data") {
        let kind = text("Type").unwrap_or("application/octet-stream");
        *value = Value::Binary { base64: base64.into(), kind: kind.into() };
    }
}

/// A part is written whole, and its lines are numbered from one without a gap: otherwise 1C refuses, in two ways.
fn rows(part: &str, lines: &[Property], given: &Json) -> Result<Vec<Row>, Refusal> {
    let given = given.as_array().ok_or_else(|| Refusal::bad_value(part))?;
    let number_at = lines.iter().position(|line| line.name == "LineNumber");
    let mut rows = Vec::new();
    for (at, line) in given.iter().enumerate() {
        let body = line.as_object().ok_or_else(|| Refusal::bad_value(part))?;
        let mut row: Row = lines.iter().map(|line| empty(&line.kind)).collect();
        lay(lines, &mut row, body)?;
        let number = number_at.map_or("", |at| row[at].as_text());
        match (at, number) {
            (0, number) if number != "1" && number != "0" => return Err(Refusal::bad_value("LineNumber")),
            (at, number) if number != (at + 1).to_string() => {
                return Err(Refusal::exception("Нарушена последовательность номеров строк табличной части"));
            }
            _ => rows.push(row),
        }
    }
    Ok(rows)
}
