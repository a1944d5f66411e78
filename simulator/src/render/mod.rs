//! How answers are written.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | what is shown of a record, whatever the form |
//! | `json.rs` | JSON |
//! | `atom.rs` | Atom and XML |

pub mod atom;
pub mod json;

use crate::data::{Base, key_of};
use crate::query::path;
use crate::refusal::Refusal;
use crate::schema::edmx::{links, row_type};
use crate::schema::{Entity, Property, Type};
use crate::value::{Guid, Row, Value};

/// A name and what stands there.
pub type Fields = Vec<(String, Shown)>;

/// What stands at a property.
#[derive(Debug, Clone, PartialEq)]
pub enum Shown {
    /// Nothing.
    Null,
    /// Text, in quotes where the form has quotes.
    Text(String),
    /// An integer of 64 bits: a string in JSON.
    Long(String),
    /// A number or boolean.
    Plain(String),
    /// Lines, and the name of their type.
    Rows(String, Vec<Fields>),
    /// What a reference was expanded to.
    Item(Item),
}

/// A record, or a row of a virtual table.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Its entity; empty for rows of virtual tables.
    pub entity: String,
    /// Its key, as between the parentheses of its address.
    pub key: String,
    /// Its properties.
    pub fields: Fields,
    /// References that lead to something published.
    pub links: Vec<String>,
}

/// What is shown of each record.
pub struct View<'a> {
    /// The base, to follow references.
    pub base: &'a Base,
    /// `$select`; empty for everything.
    pub select: &'a [String],
    /// `$expand`.
    pub expand: &'a [String],
    /// In lists each line repeats its owner's reference.
    pub list: bool,
}

impl View<'_> {
    /// Refuses fields that are not there.
    pub fn check(&self, properties: &[Property]) -> Result<(), Refusal> {
        for field in self.select {
            let bare = field.strip_suffix("____Presentation").unwrap_or(field);
            if matches!(bare, "*" | "**" | "Presentation") {
                continue;
            }
            let (first, rest) = bare.split_once('/').unwrap_or((bare, ""));
            let known = properties.iter().any(|property| {
                let same = property.name == first || property.link() == first;
                let typed = matches!(property.kind, Type::Any | Type::Binary)
                    && first.strip_prefix(property.name.as_str()).is_some_and(|s| matches!(s, "_Type" | "_Base64Data"));
                let column = match &property.kind {
                    Type::Rows(lines) => rest.is_empty() || lines.iter().any(|line| line.name == rest),
                    _ => true,
                };
                (same || typed) && column
            });
            if !known {
                return Err(Refusal::no_segment(first));
            }
        }
        for field in self.expand.iter().filter(|field| *field != "*") {
            let first = field.split('/').next().unwrap_or_default();
            if !properties.iter().any(|property| property.link() == first && property.name != "Ref_Key") {
                return Err(Refusal::no_segment(first));
            }
        }
        Ok(())
    }

    /// A record of an entity.
    pub fn item(&self, entity: &Entity, row: &Row) -> Item {
        let mut fields = Fields::new();
        for (property, value) in entity.properties.iter().zip(row) {
            self.field(&mut fields, entity, property, value, row);
        }
        if self.select.iter().any(|field| field == "Presentation") {
            fields.push(("Presentation".into(), Shown::Text(path::presentation(entity, row))));
        }
        let linked = links(&self.base.schema, entity).filter(|(property, _)| {
            let (at, _) = entity.property(&property.name).unwrap_or((0, property));
            row[at].as_guid() != Guid::EMPTY && self.wants(property)
        });
        let links = linked.map(|(property, _)| property.link().to_owned()).collect();
        Item { entity: entity.name.clone(), key: key_of(entity, row), fields, links }
    }

    /// A row of a virtual table.
    pub fn row(&self, columns: &[Property], row: &Row) -> Item {
        let mut fields = Fields::new();
        for (property, value) in columns.iter().zip(row).filter(|(property, _)| self.wants(property)) {
            plain(&mut fields, property, value);
        }
        Item { entity: String::new(), key: String::new(), fields, links: Vec::new() }
    }

    fn field(&self, fields: &mut Fields, entity: &Entity, property: &Property, value: &Value, row: &Row) {
        let presentation = format!("{}____Presentation", property.link());
        if let Type::Rows(lines) = &property.kind {
            if self.wants(property) {
                let kind = row_type(&entity.name, &property.name);
                let rows = value.rows().iter().map(|line| self.line(entity, property, lines, line, row)).collect();
                fields.push((property.name.clone(), Shown::Rows(kind, rows)));
            }
            return;
        }
        if self.wants(property) {
            plain(fields, property, value);
        }
        if self.select.iter().any(|field| *field == presentation || field == "*____Presentation") {
            fields.push((presentation, Shown::Text(path::shown(self.base, property, value))));
        }
        let expanded = self.expand.iter().any(|field| {
            let first = field.split('/').next().unwrap_or_default();
            (first == "*" || first == property.link()) && matches!(property.kind, Type::Reference(_) | Type::Any)
        });
        if expanded {
            let whole = View { base: self.base, select: &[], expand: &[], list: false };
            let found = path::follow(self.base, property, value);
            let shown = found.map_or(Shown::Null, |(entity, row)| Shown::Item(whole.item(entity, &row)));
            fields.push((property.link().to_owned(), shown));
        }
    }

    fn line(&self, entity: &Entity, part: &Property, lines: &[Property], line: &Row, owner: &Row) -> Fields {
        let mut fields = Fields::new();
        if self.list && part.name != "RecordSet" {
            fields.push(("Ref_Key".into(), Shown::Text(owner[0].as_guid().to_string())));
        }
        let columns: Vec<&str> =
            self.select.iter().filter_map(|field| field.strip_prefix(&part.name)?.strip_prefix('/')).collect();
        for (property, value) in lines.iter().zip(line) {
            // A register of one recorder does not repeat it.
            let repeated = property.name == "Recorder_Key" && entity.has_recorder();
            if !repeated && (columns.is_empty() || columns.contains(&property.name.as_str())) {
                plain(&mut fields, property, value);
            }
        }
        fields
    }

    fn wants(&self, property: &Property) -> bool {
        let rows = matches!(property.kind, Type::Rows(_));
        self.select.is_empty()
            || self.select.iter().any(|field| match field.as_str() {
                "*" => true,
                "**" => !rows,
                field => {
                    let first = field.split('/').next().unwrap_or_default();
                    first == property.name
                        || first
                            .strip_prefix(property.name.as_str())
                            .is_some_and(|s| matches!(s, "_Type" | "_Base64Data"))
                }
            })
    }
}

fn plain(fields: &mut Fields, property: &Property, value: &Value) {
    let name = property.name.clone();
    match (value, &property.kind) {
        (Value::Any { text, kind }, _) => {
            fields.push((name.clone(), Shown::Text(text.clone())));
            fields.push((format!("{name}_Type"), Shown::Text(kind.clone())));
        }
        (Value::Binary { base64, kind }, _) => {
            fields.push((format!("{name}_Type"), Shown::Text(kind.clone())));
            fields.push((format!("{name}_Base64Data"), Shown::Text(base64.clone())));
        }
        (Value::Null, _) => fields.push((name, Shown::Null)),
        (Value::Bool(yes), _) => fields.push((name, Shown::Plain(yes.to_string()))),
        (Value::Number(number), Type::Int64) => fields.push((name, Shown::Long(number.clone()))),
        (Value::Number(number), _) => fields.push((name, Shown::Plain(number.clone()))),
        (Value::Guid(guid), _) => fields.push((name, Shown::Text(guid.to_string()))),
        (Value::Text(text), Type::Text { length: Some(length), fixed: true }) => {
            fields.push((name, Shown::Text(format!("{text:<length$}"))));
        }
        (Value::Text(text) | Value::Date(text), _) => fields.push((name, Shown::Text(text.clone()))),
        (Value::Rows(_), _) => {}
    }
}
