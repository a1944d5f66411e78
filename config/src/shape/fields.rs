//! `fields = { sku = ".sku" }`: the simple case needs no language, and keeps every digit.

use std::borrow::Cow;

use bus_core::ports::shape::ShapeError;
use bus_core::vocabulary::MapName;
use bus_options::{Declaration, Map, Node, OptionValue, Ref, Report, options};
use bytes::Bytes;
use serde_json::value::RawValue;

use super::path::{FieldPath, RawObject};
use crate::maps::{Catalogue, Found, Handle, Stop, Unknown, look_up};

/// Names of the receiver, each with the path of its value in the record, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields(Vec<Field>);

#[derive(Debug, Clone, PartialEq)]
struct Field {
    name: String,
    path: FieldPath,
    /// What the value is looked up in, and what happens if it is not there.
    map: Option<(Handle, Unknown)>,
}

impl Fields {
    /// The one value at this path, under this name.
    pub fn one(name: &str, path: FieldPath) -> Self {
        Self(vec![Field { name: name.to_owned(), path, map: None }])
    }

    /// Makes the receiver's object. A path that leads nowhere gives `null`.
    pub fn pick(&self, body: &[u8]) -> Result<Bytes, Stop> {
        let broken = |_| ShapeError("the record is not a JSON object".into());
        let whole: &RawValue = serde_json::from_slice(body).map_err(broken)?;
        let root: RawObject<'_> = serde_json::from_str(whole.get()).map_err(broken)?;
        let mut out = Vec::with_capacity(body.len() + 16);
        out.push(b'{');
        for (at, field) in self.0.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            let name = serde_json::to_string(&field.name).map_err(|error| ShapeError(error.to_string()))?;
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
            let value = field.path.pick(&root, whole);
            let value = value.as_ref().map_or("null", |raw| raw.get());
            match &field.map {
                None => out.extend_from_slice(value.as_bytes()),
                Some((map, unknown)) => match look_up(map, asked(value, map)?.as_deref(), unknown)? {
                    Found::Same => out.extend_from_slice(value.as_bytes()),
                    Found::Value(found) => out.extend_from_slice(found.to_string().as_bytes()),
                },
            }
        }
        out.push(b'}');
        Ok(out.into())
    }

    pub(super) fn paths_read(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|field| field.path.to_string())
    }

    pub(super) fn fields_read(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|field| field.path.names())
    }

    pub(super) fn maps(&self) -> impl Iterator<Item = &MapName> {
        self.0.iter().filter_map(|field| field.map.as_ref()).map(|(map, _)| &map.name)
    }

    pub(super) fn holds_for(&self) -> Option<&MapName> {
        let map = self.0.iter().filter_map(|field| field.map.as_ref());
        map.filter(|(_, unknown)| matches!(unknown, Unknown::Hold(_))).map(|(map, _)| &map.name).next()
    }
}

/// The text that the map is asked for; `None` for null.
fn asked<'a>(value: &'a str, map: &Handle) -> Result<Option<Cow<'a, str>>, ShapeError> {
    match value.as_bytes().first() {
        Some(b'"') => {
            let text: String = serde_json::from_str(value).map_err(|error| ShapeError(error.to_string()))?;
            Ok(Some(text.into()))
        }
        Some(b'{' | b'[') => {
            Err(ShapeError(format!("map `{}` was asked for a value that is no text or number", map.name)))
        }
        _ if value == "null" => Ok(None),
        _ => Ok(Some(value.into())),
    }
}

/// `fields` as it is written: bound to its maps when all of them are known.
#[derive(Debug, Clone)]
pub struct FieldsText(Vec<(String, FieldText)>);

/// One value of `fields`.
#[derive(Debug, Clone)]
enum FieldText {
    Path(FieldPath),
    Mapped(MappedField),
}

options! {
    /// A field of the receiver that goes through a map.
    pub struct MappedField("fields = { NAME = { path = …, map = … } }") {
        /// Where in the record the value stands.
        path: FieldPath, required;
        /// The map it goes through.
        map: Ref<MapName>, required;
        /// What happens to a message whose value the map lacks; without it, what the map says.
        unknown: Unknown, optional;
    }
}

impl FieldsText {
    /// Binds it. A map that is not there is reported where names are checked.
    pub fn compile(self, catalogue: &Catalogue) -> Fields {
        let field = |(name, text): (String, FieldText)| match text {
            FieldText::Path(path) => Field { name, path, map: None },
            FieldText::Mapped(mapped) => {
                let map = catalogue.get(mapped.map.name().as_str()).cloned().map(|map| {
                    let unknown = mapped.unknown.unwrap_or_else(|| map.unknown.clone());
                    (map, unknown)
                });
                Field { name, path: mapped.path, map }
            }
        };
        Fields(self.0.into_iter().map(field).collect())
    }
}

impl OptionValue for FieldText {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        match node.value().is_table() {
            true => MappedField::read(node, report).map(Self::Mapped),
            false => FieldPath::read(node, report).map(Self::Path),
        }
    }
    fn kind() -> Cow<'static, str> {
        format!("{}, or {}", FieldPath::kind(), MappedField::kind()).into()
    }
    fn schema() -> serde_json::Value {
        serde_json::json!({"anyOf": [FieldPath::schema(), MappedField::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        MappedField::tables(out);
    }
}

impl OptionValue for FieldsText {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let map = Map::<FieldText>::read(node, report)?;
        if map.0.is_empty() {
            node.bad_value("no field is named", "for example fields = { sku = \".sku\" }, or leave it out", report);
            return None;
        }
        Some(Self(map.0.into_iter().map(|entry| (entry.key.value, entry.value)).collect()))
    }
    fn kind() -> Cow<'static, str> {
        "table: the receiver's name = path in the record, or `{ path = …, map = … }`".into()
    }
    fn schema() -> serde_json::Value {
        Map::<FieldText>::schema()
    }
    fn tables(out: &mut Vec<Declaration>) {
        FieldText::tables(out);
    }
}
