//! Filter and transformation of a route: compiled when the file is read, run on every record.

mod fields;
mod functions;
mod hint;
mod number;
mod path;
mod program;
mod read;
mod record;

pub use fields::Fields;
pub use path::FieldPath;
pub use program::{Condition, Program, Transform};

use bus_core::ports::shape::{Shape, ShapeError, Shaped};
use bus_core::vocabulary::{Envelope, Operation};
use chrono_tz::Tz;
use vrl::compiler::TimeZone;

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

/// Filter, then body. Pure: the same envelope gives the same answer.
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

    /// Whether records pass unchanged and unfiltered.
    pub fn is_as_is(&self) -> bool {
        self.when.is_none() && matches!(self.body, Body::AsIs)
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
