//! What is published: entities, their attributes and what follows from them.
//!
//! | file | idea |
//! |---|---|
//! | `mod.rs` | entities and properties |
//! | `build.rs` | entities are written down shortly |
//! | `derive.rs` | the sets that follow: lines of a part, records of a register |
//! | `trade.rs` | the trade base |
//! | `edmx.rs` | `$metadata` |

mod build;
mod derive;
pub mod edmx;
mod trade;

pub use trade::trade;

/// The type of a property.
#[derive(Debug, Clone, PartialEq)]
pub enum Type {
    /// A string; no length is an unlimited one, and a fixed one comes padded with spaces.
    Text {
        /// In characters.
        length: Option<usize>,
        /// Padded to its length.
        fixed: bool,
    },
    /// An enumeration, by name.
    Enum(&'static str),
    /// A small integer.
    Int16,
    /// An integer: a string in JSON.
    Int64,
    /// A number with a fraction.
    Double,
    /// A date without zone.
    Date,
    /// A boolean.
    Bool,
    /// An identifier, or the own reference.
    Guid,
    /// A reference to one entity, published or not; its property ends in `_Key`.
    Reference(&'static str),
    /// A value of several types, with `_Type` beside it.
    Any,
    /// Bytes: `_Base64Data` with `_Type` beside it.
    Binary,
    /// The lines of a tabular part or record set.
    Rows(Vec<Property>),
}

/// An attribute.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// As in JSON and Atom, with `_Key` of references.
    pub name: String,
    /// Its type.
    pub kind: Type,
    /// A part of the key.
    pub key: bool,
}

impl Property {
    /// The name of the reference without `_Key`.
    pub fn link(&self) -> &str {
        self.name.strip_suffix("_Key").unwrap_or(&self.name)
    }
}

/// Where the records of a set come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Origin {
    /// They are kept.
    Own,
    /// The lines of a part of another entity.
    Part {
        /// The entity.
        of: String,
        /// The part's property.
        part: String,
    },
    /// The records of a register that has a recorder.
    Records {
        /// The register.
        of: String,
    },
    /// What a journal of documents shows.
    Journal {
        /// The document.
        of: String,
    },
}

/// A published entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Entity {
    /// With its prefix: `Catalog_Номенклатура`.
    pub name: String,
    /// In the order of JSON.
    pub properties: Vec<Property>,
    /// Where its records come from.
    pub origin: Origin,
    /// Dimensions of an accumulation register.
    pub dimensions: Vec<&'static str>,
    /// Resources of an accumulation register.
    pub resources: Vec<&'static str>,
    /// Its virtual tables: `SliceLast`, `Balance` …
    pub functions: Vec<&'static str>,
}

impl Entity {
    /// The property of that name, and its place.
    pub fn property(&self, name: &str) -> Option<(usize, &Property)> {
        self.properties.iter().enumerate().find(|(_, property)| property.name == name)
    }

    /// The place of a property that is known to be there.
    pub fn at(&self, name: &str) -> usize {
        self.property(name).map_or_else(|| panic!("{} has no {name}", self.name), |(at, _)| at)
    }

    /// The tabular parts or the record set.
    pub fn parts(&self) -> impl Iterator<Item = (&Property, &[Property])> {
        self.properties.iter().filter_map(|property| match &property.kind {
            Type::Rows(lines) => Some((property, lines.as_slice())),
            _ => None,
        })
    }

    /// Whether it is of that prefix.
    pub fn is(&self, prefix: &str) -> bool {
        self.name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('_'))
    }

    /// A register whose records belong to a document: it is read and written as whole record sets.
    pub fn has_recorder(&self) -> bool {
        self.origin == Origin::Own && self.property("RecordSet").is_some()
    }
}

/// Everything that is published.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    /// In the order of `$metadata`.
    pub entities: Vec<Entity>,
    /// Enumerations and their values.
    pub enums: Vec<(&'static str, &'static [&'static str])>,
}

impl Schema {
    /// The entity of that name.
    pub fn entity(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.name == name)
    }
}
