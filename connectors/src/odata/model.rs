//! What a base publishes, by its `$metadata`: sets, types, and the type of each property.

use std::collections::HashMap;

/// What kind of value a property holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A string, an enumeration's value, or one side of a composite type.
    Text,
    /// A reference or an identifier.
    Guid,
    /// A whole number; 64-bit ones travel as strings.
    Integer,
    /// A number with a fraction.
    Number,
    /// Yes or no.
    Boolean,
    /// Date and time without a zone.
    Moment,
    /// Base64.
    Binary,
    /// Read by an address of its own; never in an answer.
    Stream,
    /// A tabular part or a set of records: rows of this type.
    Rows(Box<str>),
}

impl Kind {
    /// Reads a type as `$metadata` writes it. What is unknown is carried as it comes.
    pub(super) fn parse(edm: &str) -> Self {
        match edm {
            "Edm.Guid" => Self::Guid,
            "Edm.Int16" | "Edm.Int32" | "Edm.Int64" | "Edm.Byte" | "Edm.SByte" => Self::Integer,
            "Edm.Double" | "Edm.Decimal" | "Edm.Single" => Self::Number,
            "Edm.Boolean" => Self::Boolean,
            "Edm.DateTime" => Self::Moment,
            "Edm.Binary" => Self::Binary,
            "Edm.Stream" => Self::Stream,
            _ => match edm.strip_prefix("Collection(").and_then(|rest| rest.strip_suffix(')')) {
                Some(row) => Self::Rows(local(row).into()),
                None => Self::Text,
            },
        }
    }
}

/// A name without its namespace: `StandardODATA.Catalog_Товары` is `Catalog_Товары`.
pub(super) fn local(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, local)| local)
}

/// One property.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// As in records.
    pub name: Box<str>,
    /// What it holds.
    pub kind: Kind,
    /// The most characters, where `$metadata` says so.
    pub length: Option<u32>,
}

/// An entity, a row, or the row of a virtual table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Type {
    /// Names of the key's properties; none for rows.
    pub key: Vec<Box<str>>,
    /// In the order of `$metadata`, which is the order of records.
    pub properties: Vec<Property>,
    /// References that can be expanded, with the type they lead to.
    pub links: Vec<(Box<str>, Box<str>)>,
}

impl Type {
    /// The property of this name.
    pub fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| &*property.name == name)
    }
}

/// Everything that a base publishes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub(super) types: HashMap<Box<str>, Type>,
    /// Set to type.
    pub(super) sets: HashMap<Box<str>, Box<str>>,
    /// (type it is called on, name) to the type of its rows.
    pub(super) functions: HashMap<(Box<str>, Box<str>), Box<str>>,
}

impl Model {
    /// The type of what `entity` holds: a set (`Catalog_Товары`), or a set and a virtual table
    /// (`AccumulationRegister_Остатки/Balance`). The error says what is not there, and what is like it.
    pub fn type_of(&self, entity: &str) -> Result<&Type, String> {
        let (set, function) = split(entity);
        let Some(name) = self.sets.get(set) else {
            return Err(format!(
                "the base publishes no {set:?}{}; it has to be in the composition of the OData interface",
                self.hint(set)
            ));
        };
        let name = match function {
            None => name,
            Some(function) => self.functions.get(&(name.clone(), function.into())).ok_or_else(|| {
                let of_records = self.functions.contains_key(&(format!("{name}_RecordType").into(), function.into()));
                let hint = if of_records { format!("; ask {set}_RecordType/{function}") } else { String::new() };
                format!("{set:?} has no virtual table {function:?}{hint}")
            })?,
        };
        self.types.get(name).ok_or_else(|| format!("$metadata does not describe {name:?}"))
    }

    /// The type of this name.
    pub fn named(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    /// All sets, in no order.
    pub fn sets(&self) -> impl Iterator<Item = &str> {
        self.sets.keys().map(|name| &**name)
    }

    fn hint(&self, wanted: &str) -> String {
        let lower = wanted.to_lowercase();
        let near = self.sets().map(|name| (strsim::damerau_levenshtein(&name.to_lowercase(), &lower), name)).min();
        match near {
            Some((distance, name)) if distance <= 1 + wanted.chars().count() / 4 => {
                format!("; did you mean {name:?}?")
            }
            _ => String::new(),
        }
    }
}

/// Set and virtual table.
pub(super) fn split(entity: &str) -> (&str, Option<&str>) {
    entity.split_once('/').map_or((entity, None), |(set, function)| (set, Some(function)))
}
