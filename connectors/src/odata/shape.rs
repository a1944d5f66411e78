//! One shape of a record, whichever format it came in: the properties in the order of `$metadata`, each by its kind.
//!
//! JSON and Atom order properties differently, and write numbers as strings or not. A record that was read by pages and
//! comes again from an exchange plan must be the same bytes, or every such record would look changed.

use std::cell::Cell;

use chrono::{Datelike, NaiveDateTime, TimeZone};
use chrono_tz::Tz;
use serde_json::{Map, Number, Value};

use super::address::is_guid;
use super::model::{Kind, Model, Type, local};

/// 1C's reference to nothing.
pub const ZERO: &str = "00000000-0000-0000-0000-000000000000";
/// 1C's date of nothing.
pub const NO_DATE: &str = "0001-01-01T00:00:00";
/// The type of a composite value that is not set.
const UNDEFINED: &str = "Undefined";
/// What a row repeats of its owner; whether it does depends on how the record was asked for.
const OWNER: [&str; 4] = ["Ref_Key", "Recorder_Key", "Recorder", "Recorder_Type"];
/// Expanded references lead to records with references; 1C goes no deeper than asked, and nobody asks this deep.
const DEEPEST: usize = 8;

/// What is left as 1C writes it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// `0001-01-01T00:00:00` instead of null.
    pub empty_dates: bool,
    /// The reference of zeros instead of null.
    pub zero_references: bool,
    /// Blanks at the end of strings: those of fixed width are padded.
    pub padding: bool,
}

/// How records look.
#[derive(Debug, Clone, Copy, Default)]
pub struct Shape {
    /// What is left as it is.
    pub keep: Keep,
    /// The zone of the base, for the offset of dates; without it they carry none.
    pub zone: Option<Tz>,
}

impl Shape {
    /// A record of this type, and whether each value is one that its property can have.
    pub fn record(&self, model: &Model, of: &Type, raw: Map<String, Value>) -> (Map<String, Value>, bool) {
        let odd = Cell::new(false);
        let record = self.fields((model, &odd), of, raw, &Map::new(), DEEPEST);
        (record, !odd.get())
    }

    fn fields(
        &self,
        (model, odd): (&Model, &Cell<bool>),
        of: &Type,
        mut raw: Map<String, Value>,
        owner: &Map<String, Value>,
        deeper: usize,
    ) -> Map<String, Value> {
        for name in OWNER {
            if let Some(value) = owner.get(name).filter(|_| !raw.contains_key(name) && of.property(name).is_some()) {
                raw.insert(name.to_owned(), value.clone());
            }
        }
        let own: Map<String, Value> =
            OWNER.iter().filter_map(|name| Some(((*name).to_owned(), raw.get(*name)?.clone()))).collect();
        let mut done = Map::new();
        for property in &of.properties {
            let Some(value) = raw.remove(&*property.name) else { continue };
            let value = match (&property.kind, value) {
                (Kind::Stream, _) => continue,
                (Kind::Rows(row), Value::Array(rows)) => {
                    let row = model.named(row);
                    rows.into_iter().map(|one| self.row((model, odd), row, one, &own, deeper)).collect()
                }
                (kind, value) => {
                    let partner = format!("{}_Type", property.name);
                    let composite = matches!(kind, Kind::Text).then(|| raw.remove(&partner)).flatten();
                    if composite.is_none() && !fits(kind, &value) {
                        odd.set(true);
                    }
                    let kind = composite.as_ref().map_or(Some(kind.clone()), kind_of_composite);
                    let value = kind.map_or(Value::Null, |kind| self.value(&kind, value));
                    done.insert((*property.name).to_owned(), value);
                    done.extend(composite.map(|its_type| (partner, its_type)));
                    continue;
                }
            };
            done.insert((*property.name).to_owned(), value);
        }
        for (link, target) in &of.links {
            if let (Some(Value::Object(inner)), Some(target), true) =
                (raw.remove(&**link), model.named(target), deeper > 0)
            {
                done.insert(
                    (**link).to_owned(),
                    self.fields((model, odd), target, inner, &Map::new(), deeper - 1).into(),
                );
            }
        }
        self.undeclared(raw, &mut done);
        done
    }

    fn row(
        &self,
        known: (&Model, &Cell<bool>),
        of: Option<&Type>,
        row: Value,
        own: &Map<String, Value>,
        deeper: usize,
    ) -> Value {
        match (of, row) {
            (Some(of), Value::Object(fields)) if deeper > 0 => self.fields(known, of, fields, own, deeper - 1).into(),
            (_, row) => row,
        }
    }

    /// What `$metadata` does not declare (open types) comes last, by name: its order in answers means nothing.
    fn undeclared(&self, raw: Map<String, Value>, done: &mut Map<String, Value>) {
        let annotation = |name: &str| name.contains('@') || name.starts_with("odata.");
        let mut rest: Vec<(String, Value)> = raw.into_iter().filter(|(name, _)| !annotation(name)).collect();
        rest.sort_by(|(left, _), (right, _)| left.cmp(right));
        for (name, value) in rest {
            let kind = if name.ends_with("_Key") { Kind::Guid } else { Kind::Text };
            let value = if value.is_string() { self.value(&kind, value) } else { value };
            done.insert(name, value);
        }
    }

    fn value(&self, kind: &Kind, value: Value) -> Value {
        let text = match value {
            Value::String(text) => text,
            other => return other,
        };
        match kind {
            Kind::Guid if text.is_empty() || (text == ZERO && !self.keep.zero_references) => Value::Null,
            Kind::Moment if text.is_empty() || (text == NO_DATE && !self.keep.empty_dates) => Value::Null,
            Kind::Moment => self.moment(text),
            Kind::Integer | Kind::Number if text.is_empty() => Value::Null,
            Kind::Integer | Kind::Number => number(text),
            Kind::Boolean => match text.as_str() {
                "true" => true.into(),
                "false" => false.into(),
                "" => Value::Null,
                _ => text.into(),
            },
            // Base64 is broken into lines by some versions.
            Kind::Binary => text.split_ascii_whitespace().collect::<String>().into(),
            Kind::Text if !self.keep.padding => text.trim_end_matches(' ').into(),
            Kind::Text | Kind::Guid | Kind::Stream | Kind::Rows(_) => text.into(),
        }
    }

    /// With the offset of the base's zone. Times of day, which 1C keeps in year 1, have none.
    fn moment(&self, text: String) -> Value {
        let parsed = text.parse::<NaiveDateTime>().ok().filter(|at| at.year() > 1);
        let (Some(zone), Some(local)) = (self.zone, parsed) else { return text.into() };
        // A clock that was put back shows an hour twice: the first one is meant. One that was put forward skips an hour
        // that somebody may have entered all the same: it is the hour after.
        let at = zone
            .from_local_datetime(&local)
            .earliest()
            .or_else(|| zone.from_local_datetime(&(local + chrono::Duration::hours(1))).earliest());
        match at {
            Some(at) => format!("{text}{}", at.format("%:z")).into(),
            None => text.into(),
        }
    }
}

/// Whether a property of this kind can have this value, in either format. What does not fit says that 1C has changed the property since
/// it was asked; a text that fits a number says nothing.
fn fits(kind: &Kind, value: &Value) -> bool {
    let is_whole = |text: &str| !text.contains(['.', 'e', 'E']);
    match (kind, value) {
        (_, Value::Null) => true,
        (Kind::Rows(_), value) => value.is_array(),
        (Kind::Boolean, Value::Bool(_)) | (Kind::Number, Value::Number(_)) => true,
        (Kind::Integer, Value::Number(number)) => is_whole(number.as_str()),
        (Kind::Text | Kind::Binary | Kind::Stream, Value::String(_)) => true,
        (_, Value::String(text)) if text.is_empty() => true,
        (Kind::Guid, Value::String(text)) => is_guid(text),
        (Kind::Moment, Value::String(text)) => text.parse::<NaiveDateTime>().is_ok(),
        (Kind::Boolean, Value::String(text)) => matches!(text.as_str(), "true" | "false"),
        (Kind::Number, Value::String(text)) => text.parse::<Number>().is_ok(),
        (Kind::Integer, Value::String(text)) => is_whole(text) && text.parse::<Number>().is_ok(),
        (_, Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => false,
    }
}

/// The kind of a composite value, by the type beside it; `None` where nothing is set.
fn kind_of_composite(its_type: &Value) -> Option<Kind> {
    let name = its_type.as_str().unwrap_or_default();
    match name {
        "" => Some(Kind::Text),
        _ if local(name) == UNDEFINED => None,
        _ if name.starts_with("Edm.") => Some(Kind::parse(name)),
        // A reference to a published object, or to one that is not (`UnavailableEntities.…`), or an enumeration's value.
        _ => Some(Kind::Guid),
    }
}

/// The number with the digits it came with; what is none stays text.
fn number(text: String) -> Value {
    match text.parse::<Number>() {
        Ok(number) => Value::Number(number),
        Err(_) => text.into(),
    }
}

/// The text of a key's property, as 1C knows it: nothing is made null and no offset is added, so that the same text names
/// the record in a filter and in the address of a deleted one.
pub(super) fn key_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim_end_matches(' ').to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests;
