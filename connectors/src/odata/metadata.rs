//! Reads `$metadata` as a stream: 17 MB for a full trade base, of which only names and kinds are kept.

use std::collections::HashMap;
use std::io::BufRead;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::model::{Kind, Model, Property, Type, local};

/// Why `$metadata` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// Cut off, or no XML.
    #[error("$metadata cannot be read: {0}")]
    Malformed(String),
    /// Something else answered.
    #[error("the answer is no $metadata of 1C: it describes no schema")]
    Foreign,
}

/// Reads a whole `$metadata`. An answer that ends early is an error, never half a model.
pub fn read(input: impl BufRead) -> Result<Model, MetadataError> {
    let mut reader = Reader::from_reader(input);
    reader.config_mut().expand_empty_elements = true;
    let (mut builder, mut buffer, mut depth) = (Builder::default(), Vec::new(), 0_usize);
    loop {
        buffer.clear();
        let event = reader.read_event_into(&mut buffer);
        match event.map_err(|error| MetadataError::Malformed(error.to_string()))? {
            Event::Start(element) => {
                depth += 1;
                builder.start(&element)?;
            }
            Event::End(element) => {
                depth = depth.saturating_sub(1);
                builder.end(element.local_name().as_ref());
            }
            Event::Eof if depth > 0 => return Err(MetadataError::Malformed("it ends early".to_owned())),
            Event::Eof => return builder.finish(),
            _ => {}
        }
    }
}

/// A link: its name, the association that says where it leads, and the role there.
type Link = (Box<str>, Box<str>, Box<str>);

#[derive(Default)]
struct Builder {
    model: Model,
    schema: bool,
    name: Box<str>,
    under_way: Option<Type>,
    /// Of the type under way.
    links: Vec<Link>,
    pending: Vec<(Box<str>, Vec<Link>)>,
    association: Box<str>,
    /// (association, role) to type.
    ends: HashMap<(Box<str>, Box<str>), Box<str>>,
    function: Option<(Box<str>, Box<str>)>,
}

impl Builder {
    fn start(&mut self, element: &BytesStart<'_>) -> Result<(), MetadataError> {
        let get = |name: &str| attribute(element, name);
        match element.local_name().as_ref() {
            b"Schema" => self.schema = true,
            b"EntityType" | b"ComplexType" => {
                self.name = get("Name")?;
                self.under_way = Some(Type::default());
            }
            b"PropertyRef" => {
                let name = get("Name")?;
                self.under_way.iter_mut().for_each(|one| one.key.push(name.clone()));
            }
            b"Property" => {
                let length = get("MaxLength")?.parse().ok();
                let property = Property { name: get("Name")?, kind: Kind::parse(&get("Type")?), length };
                self.under_way.iter_mut().for_each(|one| one.properties.push(property.clone()));
            }
            b"NavigationProperty" => {
                self.links.push((get("Name")?, local(&get("Relationship")?).into(), get("ToRole")?));
            }
            b"Association" => self.association = get("Name")?,
            b"End" => {
                let end = (self.association.clone(), get("Role")?);
                self.ends.insert(end, local(&get("Type")?).into());
            }
            b"EntitySet" => {
                self.model.sets.insert(get("Name")?, local(&get("EntityType")?).into());
            }
            b"FunctionImport" => {
                let rows = match Kind::parse(&get("ReturnType")?) {
                    Kind::Rows(rows) => Some(rows),
                    _ => None,
                };
                self.function = rows.map(|rows| (get("Name").unwrap_or_default(), rows));
            }
            b"Parameter" => {
                if let Some((name, rows)) = &self.function
                    && *get("Name")? == *"bindingParameter"
                {
                    let on = get("Type")?;
                    let on = on.strip_prefix("Collection(").and_then(|on| on.strip_suffix(')')).unwrap_or(&on);
                    self.model.functions.insert((local(on).into(), name.clone()), rows.clone());
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, name: &[u8]) {
        match name {
            b"EntityType" | b"ComplexType" => {
                let Some(one) = self.under_way.take() else { return };
                let name = std::mem::take(&mut self.name);
                self.pending.push((name.clone(), std::mem::take(&mut self.links)));
                self.model.types.insert(name, one);
            }
            b"FunctionImport" => self.function = None,
            _ => {}
        }
    }

    /// Links are resolved last: associations stand behind the types.
    fn finish(mut self) -> Result<Model, MetadataError> {
        if !self.schema {
            return Err(MetadataError::Foreign);
        }
        for (name, links) in self.pending {
            let Some(one) = self.model.types.get_mut(&name) else { continue };
            let target = |(link, association, role)| Some((link, self.ends.get(&(association, role))?.clone()));
            one.links = links.into_iter().filter_map(target).collect();
        }
        Ok(self.model)
    }
}

/// An attribute's text; empty where it is not there.
fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Box<str>, MetadataError> {
    let malformed = |error: String| MetadataError::Malformed(error);
    let found = element.try_get_attribute(name).map_err(|error| malformed(error.to_string()))?;
    let Some(found) = found else { return Ok(Box::default()) };
    let text = std::str::from_utf8(&found.value).map_err(|error| malformed(error.to_string()))?;
    let text = quick_xml::escape::unescape(text).map_err(|error| malformed(error.to_string()))?;
    Ok(text.as_ref().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn sets_keys_kinds_links_and_virtual_tables_are_read() {
        let model = crate::odata::samples::model();
        let order = model.type_of("Document_Заказ").unwrap();
        assert_eq!(order.key, ["Ref_Key".into()]);
        assert_eq!(order.property("Товары").unwrap().kind, Kind::Rows("Document_Заказ_Товары_RowType".into()));
        assert_eq!(order.links, [("Контрагент".into(), "Catalog_Контрагенты".into())]);
        let balance = model.type_of("AccumulationRegister_Остатки/Balance").unwrap();
        assert_eq!(balance.property("КоличествоBalance").unwrap().kind, Kind::Number);
    }

    #[test]
    fn what_is_not_there_is_named_with_its_neighbour() {
        let model = crate::odata::samples::model();
        for (entity, expected) in [
            ("Document_Заказы", "did you mean \"Document_Заказ\"?"),
            ("InformationRegister_Цены/SliceLast", "ask InformationRegister_Цены_RecordType/SliceLast"),
            ("Document_Заказ/Balance", "has no virtual table"),
        ] {
            let error = model.type_of(entity).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn half_a_file_and_another_file_are_no_model() {
        let whole = crate::odata::samples::METADATA;
        assert!(matches!(read(&whole.as_bytes()[..whole.len() / 2]), Err(MetadataError::Malformed(_))));
        assert!(matches!(read(&b"<html><body/></html>"[..]), Err(MetadataError::Foreign)));
    }
}
