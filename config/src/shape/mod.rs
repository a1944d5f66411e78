//! Filter and transformation of a route: compiled when the file is read, run on every record.

mod carried;
mod compared;
mod failure;
mod fields;
mod functions;
mod hint;
mod lookup;
mod number;
mod path;
mod program;
mod read;
mod record;
mod references;

pub use compared::Compared;
pub use fields::{Fields, FieldsText};
pub use path::{FieldPath, Masked};
pub use program::{Condition, ConditionText, Program, Transform, TransformText};
pub use references::{References, ReferencesText};

use bus_core::ports::shape::{Shape, ShapeError, Shaped};
use bus_core::vocabulary::{Envelope, MapName, Operation};
use chrono_tz::Tz;
use vrl::compiler::TimeZone;

use crate::maps::Stop;
use record::Record;

/// The functions that a program may call.
pub fn function_names() -> impl Iterator<Item = &'static str> {
    functions::all().into_iter().map(|function| function.identifier())
}

/// What becomes of the body of a record that the filter wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// It stays as the source wrote it.
    AsIs,
    /// Fields are picked, digits untouched.
    Fields(Fields),
    /// A program makes a new one.
    Transform(Transform),
}

/// Filter, then body. Pure: the same envelope and the same maps give the same answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Shaper {
    when: Option<Condition>,
    body: Body,
    zone: TimeZone,
}

impl Shaper {
    /// Dates without a zone are read in `zone`.
    pub fn new(when: Option<Condition>, body: Body, zone: Tz) -> Self {
        Self { when, body, zone: TimeZone::Named(zone) }
    }

    /// The one value at this path, under this name.
    pub fn one(name: &str, path: FieldPath, zone: Tz) -> Self {
        Self::new(None, Body::Fields(Fields::one(name, path)), zone)
    }

    /// Whether records pass unchanged and unfiltered.
    pub fn is_as_is(&self) -> bool {
        self.when.is_none() && matches!(self.body, Body::AsIs)
    }

    /// The maps that it asks.
    pub fn maps(&self) -> Vec<&MapName> {
        let mut maps: Vec<&MapName> = self.when.iter().flat_map(|when| when.0.maps()).collect();
        match &self.body {
            Body::AsIs => {}
            Body::Fields(fields) => maps.extend(fields.maps()),
            Body::Transform(transform) => maps.extend(transform.0.maps()),
        }
        maps
    }

    /// The filter as it is written, if there is one.
    pub fn condition(&self) -> Option<&str> {
        self.when.as_ref().map(Condition::text)
    }

    /// A map that a message may wait for.
    pub fn holds_for(&self) -> Option<&MapName> {
        let of_body = match &self.body {
            Body::AsIs => None,
            Body::Fields(fields) => fields.holds_for(),
            Body::Transform(transform) => transform.0.holds_for(),
        };
        self.when.as_ref().and_then(|when| when.0.holds_for()).or(of_body)
    }

    /// The fields of the record that it reads or passes on, as names from the root joined by dots; an empty one is all of it.
    /// Which item of a list makes no difference.
    pub fn fields_read(&self) -> Vec<String> {
        let mut fields: Vec<String> = self.when.iter().flat_map(|when| when.0.fields_read()).collect();
        match &self.body {
            Body::AsIs => fields.push(String::new()),
            Body::Fields(picked) => fields.extend(picked.fields_read()),
            Body::Transform(transform) => {
                fields.extend(transform.0.fields_read());
                // What a program does not replace goes to the receiver as it came.
                if !transform.0.replaces_all() {
                    fields.push(String::new());
                }
            }
        }
        fields.sort();
        fields.dedup();
        fields
    }

    /// The paths of the record that filter and transformation read, as in `.items[0].sku`.
    pub fn paths_read(&self) -> Vec<String> {
        let mut paths: Vec<String> = self.when.iter().flat_map(|when| when.0.paths_read()).collect();
        match &self.body {
            Body::AsIs => {}
            Body::Fields(fields) => paths.extend(fields.paths_read()),
            Body::Transform(transform) => paths.extend(transform.0.paths_read()),
        }
        paths.sort();
        paths.dedup();
        paths
    }
}

impl Shape for Shaper {
    fn shape(&self, envelope: &Envelope) -> Result<Shaped, ShapeError> {
        if envelope.operation == Operation::Delete {
            return Ok(Shaped::Send(envelope.body.clone()));
        }
        match self.stopped_or_shaped(envelope) {
            Ok(shaped) => Ok(shaped),
            Err(Stop::Hold(hold)) => Ok(Shaped::Hold(hold)),
            Err(Stop::Error(error)) => Err(error),
        }
    }
}

impl Shaper {
    fn stopped_or_shaped(&self, envelope: &Envelope) -> Result<Shaped, Stop> {
        let needs_record = self.when.is_some() || matches!(self.body, Body::Transform(_));
        let mut record = if needs_record { Some(Record::from_json(&envelope.body)?) } else { None };
        if let (Some(when), Some(record)) = (&self.when, &mut record)
            && !when.holds(record, self.zone)?
        {
            return Ok(Shaped::Filtered);
        }
        match (&self.body, record) {
            (Body::Fields(fields), _) => fields.pick(&envelope.body).map(Shaped::Send),
            (Body::Transform(transform), Some(record)) => transform.apply(record, self.zone).map(Shaped::Send),
            _ => Ok(Shaped::Send(envelope.body.clone())),
        }
    }
}

#[cfg(test)]
mod tests;
