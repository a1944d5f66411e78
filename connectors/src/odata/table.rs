//! One stream's part of a base, checked, and records out of what comes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bus_core::ports::source::{SourceError, SourceFault};
use bus_core::vocabulary::{Key, Operation, Record, UnreadableRecord};
use serde_json::{Map, Value};

use super::address;
use super::model::{Kind, Model, Property, Type, split};
use super::options::Read;
use super::shape::{Shape, key_text};
use crate::Served;
use crate::serves::unreadable;

pub(super) const VERSION: &str = "DataVersion";
pub(super) const MARK: &str = "DeletionMark";
/// The first of so many records is compared with what the base declares.
const LOOKED_AT: usize = 100;

/// A stream's reading, checked against what the base publishes.
pub struct Table {
    pub(super) read: Read,
    pub(super) served: Served,
    shape: Shape,
    model: Arc<Model>,
    pub(super) filter: Vec<String>,
    /// Its version is asked for, but is none of its fields.
    pub(super) own_version: bool,
    /// Records made.
    made: AtomicUsize,
    strange: AtomicBool,
}

/// A record, or why it is none.
pub enum Made {
    Record(Record),
    Unreadable(UnreadableRecord),
}

impl Table {
    /// Checks names and kinds. The error says what does not fit, for an operator.
    pub fn new(
        read: &Read,
        served: &Served,
        zone: Option<chrono_tz::Tz>,
        model: Arc<Model>,
    ) -> Result<Self, SourceError> {
        let wrong =
            |what: String| SourceError::new(SourceFault::Misconfigured, format!("stream {}: {what}", read.stream));
        let of = model.type_of(&read.entity).map_err(wrong)?;
        for name in served.key.iter().chain(served.label.as_ref()) {
            if of.property(name).is_none() {
                let names: Vec<&str> = of.properties.iter().map(|property| &*property.name).take(12).collect();
                return Err(wrong(format!("{} has no property {name:?}; it has {} …", read.entity, names.join(", "))));
            }
        }
        let conditions = read.equals.iter().map(|(name, value)| address::equals(of, name, value));
        let mut filter = conditions.collect::<Result<Vec<_>, _>>().map_err(wrong)?;
        filter.extend(read.filter.clone());
        address::parameters(&read.parameters).map_err(wrong)?;
        let zone = zone.filter(|_| !read.plain_dates);
        let shape = Shape { keep: read.keep, zone };
        let (made, strange) = (AtomicUsize::new(0), AtomicBool::new(false));
        Ok(Self { read: read.clone(), served: served.clone(), shape, model, filter, own_version: false, made, strange })
    }

    /// The same records with their keys and versions only; `self` asks for versions too from now on. The error says what has none.
    pub fn versioned(&mut self) -> Result<Self, SourceError> {
        let wrong = |what: String| SourceError::new(SourceFault::Misconfigured, what);
        let of = self.its_type()?;
        if self.is_virtual() || of.property(VERSION).is_none() || self.served.key != ["Ref_Key"] {
            return Err(wrong(format!(
                "stream {}: {} has no DataVersion, or its key is not Ref_Key; say changes = \"diff\"",
                self.read.stream, self.read.entity
            )));
        }
        let mut read = self.read.clone();
        (read.select, read.expand) = (vec![VERSION.to_owned()], Vec::new());
        let mut light = Self::new(&read, &self.served, None, Arc::clone(&self.model))?;
        light.served.label = None;
        self.own_version = !self.read.select.is_empty() && !self.read.select.iter().any(|name| name == VERSION);
        Ok(light)
    }

    /// The version of a raw record.
    pub fn version<'a>(&self, fields: &'a Map<String, Value>) -> Option<&'a str> {
        fields.get(VERSION).and_then(Value::as_str).filter(|version| !version.is_empty())
    }

    /// Its type.
    pub fn its_type(&self) -> Result<&Type, SourceError> {
        self.model.type_of(&self.read.entity).map_err(|what| {
            SourceError::new(SourceFault::Misconfigured, format!("stream {}: {what}", self.read.stream))
        })
    }

    /// Virtual tables are computed as a whole: there are no pages of them.
    pub fn is_virtual(&self) -> bool {
        split(&self.read.entity).1.is_some()
    }

    /// The key of a raw record.
    pub fn key(&self, fields: &Map<String, Value>) -> Result<Key, String> {
        let mut texts = Vec::new();
        for name in &self.served.key {
            let text = fields.get(name).and_then(key_text).ok_or_else(|| {
                format!("key property {name:?} is empty, so versions of this record could not be told from another's")
            })?;
            texts.push((name.as_str(), text));
        }
        let columns: Vec<(&str, &str)> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        Key::from_columns(&columns).map_err(|error| error.to_string())
    }

    /// Whether a record came without a property that the base declares, or with a value that it cannot have: it was changed since it was
    /// asked what it publishes.
    pub fn is_strange(&self) -> bool {
        self.strange.load(Ordering::Relaxed)
    }

    /// What it was made of.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Looks at one record in many. A virtual table leaves out what it was not asked for.
    fn suspect(&self, of: &Type, fields: &Map<String, Value>) {
        if self.is_virtual() || !self.made.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKED_AT) {
            return;
        }
        let asked = |name: &str| self.read.select.is_empty() || self.read.select.iter().any(|one| one == name);
        let missing = |property: &Property| {
            property.kind != Kind::Stream && asked(&property.name) && !fields.contains_key(&*property.name)
        };
        if of.properties.iter().any(missing) {
            self.strange.store(true, Ordering::Relaxed);
        }
    }

    /// A record of what 1C sent.
    pub fn record(&self, mut fields: Map<String, Value>) -> Made {
        if self.own_version {
            fields.remove(VERSION);
        }
        let key = self.key(&fields);
        let marked = self.read.marked_is_deleted && fields.get(MARK).is_some_and(|mark| mark == true || mark == "true");
        let shaped = match self.its_type() {
            Ok(of) => {
                self.suspect(of, &fields);
                let (record, fits) = self.shape.record(&self.model, of, fields);
                // Of a virtual table nobody can ask while it is computed.
                if !fits && !self.is_virtual() {
                    self.strange.store(true, Ordering::Relaxed);
                }
                record
            }
            Err(_) => fields,
        };
        let label = self.served.label.as_ref().and_then(|name| shaped.get(name)).and_then(key_text);
        match key {
            Ok(key) if marked => Made::Record(self.deleted(key, label)),
            Ok(key) => Made::Record(Record {
                stream: self.served.stream.clone(),
                key,
                operation: Operation::Upsert,
                label: label.filter(|label| !label.is_empty()),
                body: Value::Object(shaped).to_string().into(),
            }),
            Err(reason) => {
                Made::Unreadable(unreadable(&self.served.stream, Value::Object(shaped).to_string().into(), reason))
            }
        }
    }

    /// A record that is gone: all that is left of it is its key.
    pub fn deleted(&self, key: Key, label: Option<String>) -> Record {
        let values: Vec<String> = match self.served.key.len() {
            1 => vec![key.as_str().to_owned()],
            _ => serde_json::from_str(key.as_str()).unwrap_or_default(),
        };
        let body: Map<String, Value> =
            self.served.key.iter().cloned().zip(values.into_iter().map(Value::from)).collect();
        Record {
            stream: self.served.stream.clone(),
            key,
            operation: Operation::Delete,
            label,
            body: Value::Object(body).to_string().into(),
        }
    }

    /// A date as the base writes it, out of a raw record.
    pub fn moment(&self, fields: &Map<String, Value>, column: &str) -> Option<String> {
        fields.get(column).and_then(Value::as_str).map(str::to_owned)
    }

    /// A property that parts are read by.
    pub fn dated(&self, column: &str) -> Result<(), SourceError> {
        let wrong = match () {
            () if self.is_virtual() => "is computed by 1C as a whole, and cannot be read by date".to_owned(),
            () if !self.is_moment(column) => format!("has no property {column:?} that holds a date"),
            () => return Ok(()),
        };
        let words = format!("stream {}: {} {wrong}", self.read.stream, self.read.entity);
        Err(SourceError::new(SourceFault::Misconfigured, words))
    }

    /// Whether a property holds a date.
    pub fn is_moment(&self, column: &str) -> bool {
        let property = self.its_type().ok().and_then(|of| of.property(column));
        property.is_some_and(|property| property.kind == Kind::Moment)
    }
}
