//! The record as 1C takes it, or why it would not take it as it is.
//!
//! 1C cuts, ignores and misreads without a word and answers 200: what can be known from `$metadata` is refused here, with
//! the field's name and without its value.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use serde_json::{Map, Value};

use crate::odata::address::is_guid;
use crate::odata::model::{Kind, Model, Type};
use crate::odata::shape::{NO_DATE, ZERO};

/// Lists in lists do not occur in 1C; this deep means a mistake.
const DEEPEST: usize = 3;
/// What 1C gives itself: taken out of a record that was read from another base.
const OWN: [&str; 3] = ["Ref_Key", "DataVersion", "Posted"];

/// Turns the fields of a record into those of a request.
pub(super) fn body(
    model: &Model,
    of: &Type,
    record: &Map<String, Value>,
    zone: Option<Tz>,
) -> Result<Map<String, Value>, String> {
    Writer { model, zone }.fields(of, record, "", DEEPEST)
}

struct Writer<'a> {
    model: &'a Model,
    zone: Option<Tz>,
}

impl Writer<'_> {
    fn fields(
        &self,
        of: &Type,
        record: &Map<String, Value>,
        before: &str,
        deeper: usize,
    ) -> Result<Map<String, Value>, String> {
        let mut body = Map::new();
        for (name, value) in record {
            let at = format!("{before}{name}");
            if OWN.contains(&name.as_str()) || name.starts_with("odata.") || name.contains('@') {
                continue;
            }
            let Some(property) = of.property(name) else {
                return Err(format!("1C would ignore {at}: there is no such property{}", hint(of, name)));
            };
            let partner = format!("{name}_Type");
            let composite = property.kind == Kind::Text && of.property(&partner).is_some();
            match (&property.kind, value) {
                (Kind::Rows(row), value) => {
                    body.insert(name.clone(), self.rows(row, value, &at, deeper)?);
                }
                (_, value) if composite => {
                    let (value, kind) = self.composite(value, record.get(&partner), &at)?;
                    body.insert(name.clone(), value);
                    body.insert(partner, kind);
                }
                // Written with the value that it belongs to.
                _ if name.strip_suffix("_Type").is_some_and(|base| of.property(base).is_some()) => {}
                (kind, value) => {
                    body.insert(name.clone(), self.value(kind, value).map_err(|what| format!("{at} {what}"))?);
                }
            }
        }
        Ok(body)
    }

    /// Whole, and numbered from one without a gap: otherwise 1C refuses.
    fn rows(&self, row: &str, value: &Value, at: &str, deeper: usize) -> Result<Value, String> {
        let of = self.model.named(row).filter(|_| deeper > 0).ok_or_else(|| format!("{at} is not described"))?;
        let Value::Array(rows) = value else { return Err(format!("{at} is a list of lines")) };
        let mut written = Vec::with_capacity(rows.len());
        for (number, row) in (1..).zip(rows) {
            let line = format!("{at}[{number}]");
            let Value::Object(row) = row else { return Err(format!("{line} is a line with fields")) };
            let mut row = self.fields(of, row, &format!("{line}."), deeper - 1)?;
            if of.property("LineNumber").is_some() {
                row.insert("LineNumber".to_owned(), number.into());
            }
            written.push(row.into());
        }
        Ok(Value::Array(written))
    }

    /// A value and its type; 1C stores a value without a type as nothing.
    fn composite(&self, value: &Value, kind: Option<&Value>, at: &str) -> Result<(Value, Value), String> {
        let text = match value {
            Value::Null => return Ok(("".into(), "StandardODATA.Undefined".into())),
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(yes) => yes.to_string(),
            _ => return Err(format!("{at} is one value")),
        };
        match kind.and_then(Value::as_str).filter(|kind| !kind.is_empty()) {
            Some(kind) if kind.contains('.') => Ok((text.into(), kind.into())),
            Some(kind) => Ok((text.into(), format!("StandardODATA.{kind}").into())),
            None => Err(format!("{at} may be of several types: say which in {at}_Type, or 1C keeps nothing of it")),
        }
    }

    fn value(&self, kind: &Kind, value: &Value) -> Result<Value, &'static str> {
        match (kind, value) {
            (Kind::Text | Kind::Binary, Value::Null) => Ok("".into()),
            (Kind::Text | Kind::Binary, Value::String(text)) => Ok(text.as_str().into()),
            (Kind::Text | Kind::Binary, _) => Err("is text in 1C"),
            (Kind::Guid, Value::Null) => Ok(ZERO.into()),
            // As 1C writes it back.
            (Kind::Guid, Value::String(text)) if is_guid(text) => Ok(text.to_lowercase().into()),
            (Kind::Guid, _) => Err("is a reference in 1C, such as 41aa6331-954f-11e3-814b-005056c00008"),
            (Kind::Integer | Kind::Number, Value::Null) => Ok(0.into()),
            (Kind::Integer, value) => integer(value).ok_or("is a whole number in 1C, which would ignore this value"),
            (Kind::Number, Value::Number(_)) => Ok(value.clone()),
            (Kind::Number, _) => Err("is a number in 1C, which would ignore this value"),
            (Kind::Boolean, Value::Null) => Ok(false.into()),
            (Kind::Boolean, Value::Bool(_)) => Ok(value.clone()),
            (Kind::Boolean, _) => Err("is true or false in 1C, which would ignore this value"),
            (Kind::Moment, Value::Null) => Ok(NO_DATE.into()),
            (Kind::Moment, Value::String(text)) => {
                self.moment(text).map(Value::from).ok_or("is a date in 1C, such as 2026-11-22T10:00:00")
            }
            (Kind::Moment, _) => Err("is a date in 1C, such as 2026-11-22T10:00:00"),
            (Kind::Stream | Kind::Rows(_), _) => Err("cannot be written"),
        }
    }

    /// 1C's dates have no zone and no fractions: a moment is told in the base's own time.
    fn moment(&self, text: &str) -> Option<String> {
        let form = "%Y-%m-%dT%H:%M:%S";
        if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
            let local = match self.zone {
                Some(zone) => moment.with_timezone(&zone).naive_local(),
                None => return None,
            };
            return Some(local.format(form).to_string());
        }
        if let Ok(day) = text.parse::<NaiveDate>() {
            return Some(format!("{day}T00:00:00"));
        }
        text.parse::<NaiveDateTime>().ok().map(|moment| moment.format(form).to_string())
    }
}

/// Whole numbers, also those that were written as text because they have more digits than a float keeps.
fn integer(value: &Value) -> Option<Value> {
    let digits = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    digits.parse::<i64>().ok().map(Value::from)
}

fn hint(of: &Type, name: &str) -> String {
    let reference = format!("{name}_Key");
    if of.property(&reference).is_some() {
        return format!("; the reference is {reference}");
    }
    let near = of.properties.iter().map(|p| (strsim::damerau_levenshtein(&p.name, name), &p.name)).min();
    match near {
        Some((distance, near)) if distance <= 1 + name.chars().count() / 4 => format!("; did you mean {near}?"),
        _ => String::new(),
    }
}
