//! The base: what it holds, what is written to it, and what it remembers for exchange plans.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | the base and its sets |
//! | `records.rs` | one set: generated records, with what was changed laid over them |
//! | `generate.rs` | the record of each number, from a seed |
//! | `documents.rs` | generated documents and the registers that they write |
//! | `changes.rs` | the change table of exchange plans |
//! | `movements.rs` | what posting a document writes |
//! | `totals.rs` | virtual tables |

pub mod changes;
mod documents;
pub mod generate;
pub mod movements;
mod records;
pub mod totals;

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::schema::{Entity, Origin, Schema, Type, trade};
use crate::value::{Guid, Row, Value};
use changes::Changes;
use generate::World;
use records::Records;

/// Everything in the base.
pub struct Base {
    /// What is published.
    pub schema: Schema,
    world: World,
    sets: BTreeMap<String, Records>,
    /// What exchange plans remember.
    pub changes: Changes,
    /// Counts writes: `DataVersion` is made of it, and answers kept in order are dropped by it.
    stamp: u64,
}

impl Base {
    /// A base of that many orders.
    pub fn new(size: u32, seed: u64) -> Self {
        let schema = trade();
        let world = World::new(size, seed);
        let mut sets = BTreeMap::new();
        for entity in schema.entities.iter().filter(|entity| entity.origin == Origin::Own) {
            sets.insert(entity.name.clone(), Records::new(world.count(&entity.name)));
        }
        let mut base = Self { schema, world, sets, changes: Changes::default(), stamp: 1 << 32 };
        for node in world.nodes() {
            base.keep("ExchangePlan_ШинаДанных", node);
        }
        let noted = base.noted();
        base.changes.add_node(world.bus_node(), noted);
        for (name, value) in world.constants() {
            base.keep(name, vec![Value::Number("0".into()), value]);
        }
        base
    }

    /// The node that stands for the bus.
    pub fn bus_node(&self) -> Guid {
        self.world.bus_node()
    }

    /// What exchange plans are told of: everything but plans and constants.
    pub fn noted(&self) -> Vec<String> {
        let own = self.schema.entities.iter().filter(|entity| entity.origin == Origin::Own);
        own.filter(|entity| !entity.is("ExchangePlan") && !entity.is("Constant")).map(|e| e.name.clone()).collect()
    }

    /// Counts everything that was written.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }

    /// The entity; only for names that are known to be there.
    pub fn entity(&self, name: &str) -> &Entity {
        self.schema.entity(name).unwrap_or_else(|| panic!("no entity {name}"))
    }

    /// The record with that key, as [`key_of`] writes it.
    pub fn get(&self, entity: &Entity, key: &str) -> Option<Row> {
        match &entity.origin {
            Origin::Own => {
                let set = self.sets.get(&entity.name)?;
                set.at(set.find(key).or_else(|| self.generated(entity, key))?, |at| self.world.record(entity, at))
            }
            Origin::Journal { .. } | Origin::Part { .. } | Origin::Records { .. } => {
                self.all(entity).find(|row| key_of(entity, row) == key)
            }
        }
    }

    /// The number of the generated record with that key.
    fn generated(&self, entity: &Entity, key: &str) -> Option<u32> {
        let at = self.world.locate(&entity.name, key)?;
        let row = self.world.record(entity, at)?;
        (key_of(entity, &row) == key).then_some(at)
    }

    /// Every record of a set, one after the other: nothing is kept.
    pub fn all<'a>(&'a self, entity: &'a Entity) -> Box<dyn Iterator<Item = Row> + 'a> {
        match &entity.origin {
            Origin::Own => {
                let set = &self.sets[&entity.name];
                Box::new((0..set.len()).filter_map(move |at| set.at(at, |at| self.world.record(entity, at))))
            }
            Origin::Part { of, part } => {
                let owner = self.entity(of);
                let at = owner.at(part);
                Box::new(self.all(owner).flat_map(move |row| {
                    let owner_key = row[0].clone();
                    let lines = row[at].rows().to_vec();
                    lines.into_iter().map(move |line| [vec![owner_key.clone()], line].concat())
                }))
            }
            Origin::Records { of } => {
                let owner = self.entity(of);
                let at = owner.at("RecordSet");
                Box::new(self.all(owner).flat_map(move |row| row[at].rows().to_vec()))
            }
            Origin::Journal { of } => {
                let owner = self.entity(of);
                let places = ["Date", "Number", "Posted", "DeletionMark"].map(|name| owner.at(name));
                Box::new(self.all(owner).map(move |row| {
                    let mut shown = vec![Value::reference(of, row[0].as_guid())];
                    shown.extend(places.map(|at| row[at].clone()));
                    shown
                }))
            }
        }
    }

    /// The record of that number; `None` where it was deleted. Numbers are those of a set of its own records.
    pub fn at(&self, entity: &Entity, at: u32) -> Option<Row> {
        self.sets.get(&entity.name)?.at(at, |at| self.world.record(entity, at))
    }

    /// One more than the highest number in use.
    pub fn len(&self, entity: &Entity) -> u32 {
        self.sets.get(&entity.name).map_or(0, Records::len)
    }

    /// Writes a record, with a new version where it has one, and notes the change for every node. Gives its key.
    pub fn write(&mut self, name: &str, mut row: Row) -> String {
        let entity = self.entity(name);
        if let Some((at, _)) = entity.property("DataVersion") {
            row[at] = Value::Text(version(self.stamp + 1));
        }
        let key = self.keep(name, row);
        self.changes.note(name, &key);
        key
    }

    /// Writes a record and notes nothing.
    pub(crate) fn keep(&mut self, name: &str, row: Row) -> String {
        let entity = self.entity(name);
        let key = key_of(entity, &row);
        let generated = self.generated(entity, &key);
        self.stamp += 1;
        if let Some(set) = self.sets.get_mut(name) {
            set.put(key.clone(), generated, row);
        }
        key
    }

    /// Deletes a record for good and notes it; says whether there was one.
    pub fn remove(&mut self, name: &str, key: &str) -> bool {
        let entity = self.entity(name);
        if self.get(entity, key).is_none() {
            return false;
        }
        let generated = self.generated(entity, key);
        self.stamp += 1;
        if let Some(set) = self.sets.get_mut(name) {
            set.remove(key, generated);
        }
        self.changes.note(name, key);
        true
    }

    /// Deletes an object with what it has written to registers; says whether there was one.
    pub fn erase(&mut self, name: &str, key: &str) -> bool {
        let entity = self.entity(name).clone();
        if let (Some(mut row), Some((at, _))) = (self.get(&entity, key), entity.property("Posted")) {
            row[at] = Value::Bool(false);
            self.move_stock(name, &row);
        }
        if let (Some(row), true) = (self.get(&entity, key), entity.is("ExchangePlan")) {
            self.changes.remove_node(row[0].as_guid());
        }
        self.remove(name, key)
    }

    /// Notes every record of a set as changed, as an administrator does before a first load.
    pub fn note_all(&mut self, name: &str) {
        let entity = self.entity(name);
        let keys: Vec<String> = self.all(entity).map(|row| key_of(entity, &row)).collect();
        for key in keys {
            self.changes.note(name, &key);
        }
    }

    /// A new reference for a new object.
    pub fn new_guid(&mut self) -> Guid {
        self.stamp += 1;
        self.world.guid(0x00ad_ded0, self.stamp as u32)
    }

    /// A row of nothing but empty values.
    pub fn empty(entity: &Entity) -> Row {
        entity.properties.iter().map(|property| empty(&property.kind)).collect()
    }
}

/// The empty value of a type.
pub fn empty(kind: &Type) -> Value {
    match kind {
        Type::Text { .. } | Type::Enum(_) => Value::Text(String::new()),
        Type::Int16 | Type::Int64 | Type::Double => Value::Number("0".into()),
        Type::Date => Value::Date(crate::value::NO_DATE.into()),
        Type::Bool => Value::Bool(false),
        Type::Guid | Type::Reference(_) => Value::Guid(Guid::EMPTY),
        Type::Any => Value::undefined(),
        Type::Binary => Value::Binary { base64: String::new(), kind: String::new() },
        Type::Rows(_) => Value::Rows(Vec::new()),
    }
}

/// `DataVersion`: eight opaque bytes.
fn version(stamp: u64) -> String {
    STANDARD.encode(stamp.to_be_bytes())
}

/// The key as 1C writes it between the parentheses of an address.
pub fn key_of(entity: &Entity, row: &[Value]) -> String {
    let keys: Vec<_> = entity.properties.iter().zip(row).filter(|(property, _)| property.key).collect();
    if let [(property, value)] = keys.as_slice()
        && property.kind != Type::Any
        && matches!(value, Value::Guid(_))
    {
        return literal(value);
    }
    let named = keys.iter().map(|(property, value)| match value {
        Value::Any { text, kind } => format!("{0}='{text}', {0}_Type='{kind}'", property.name),
        value => format!("{}={}", property.name, literal(value)),
    });
    named.collect::<Vec<_>>().join(", ")
}

/// A value as in an address.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Guid(guid) => format!("guid'{guid}'"),
        Value::Date(date) => format!("datetime'{date}'"),
        Value::Number(number) => number.clone(),
        Value::Bool(yes) => yes.to_string(),
        other => format!("'{}'", other.as_text().replace('\'', "''")),
    }
}
