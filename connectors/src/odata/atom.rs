//! Atom answers as a stream of entries and deleted entries, by namespace and never by prefix.

use std::io::BufRead;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use serde_json::{Map, Number, Value};

use super::json::{Broken, ELEMENT_BYTES};
use super::model::local;

const ATOM: &[u8] = b"http://www.w3.org/2005/Atom";
const DATA: &[u8] = b"http://schemas.microsoft.com/ado/2007/08/dataservices";
const META: &[u8] = b"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata";
const TOMBSTONE: &[u8] = b"http://purl.org/atompub/tombstones/1.0";
/// A record, its rows, their values; an answer that nests deeper is no record of 1C.
const DEEPEST: usize = 16;

/// What a feed holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A record as it is now.
    Entry {
        /// Its type without the namespace; empty for the rows of a virtual table.
        entity: String,
        /// Its properties; every value still a text.
        fields: Map<String, Value>,
    },
    /// A record that is gone: its address, whole or without the base.
    Deleted(String),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    Atom,
    Data,
    Meta,
    Tombstone,
    Other,
}

/// Reads one feed.
pub struct Feed<R> {
    reader: NsReader<R>,
    buffer: Vec<u8>,
    /// A feed, or the root of a virtual table's rows, has begun.
    root: bool,
    depth: usize,
    /// Where the entry under way began.
    begun: u64,
}

/// One step of the reader, owned.
enum Step {
    Start(Space, BytesStart<'static>),
    End,
    Text(String),
    Eof,
    Nothing,
}

impl<R: BufRead> Feed<R> {
    /// Nothing is read yet.
    pub fn new(input: R) -> Self {
        let mut reader = NsReader::from_reader(input);
        reader.config_mut().expand_empty_elements = true;
        Self { reader, buffer: Vec::new(), root: false, depth: 0, begun: 0 }
    }

    /// The next item; `None` behind the end of a whole feed. One that ends early is an error.
    pub fn next_item(&mut self) -> Result<Option<Item>, Broken> {
        loop {
            self.begun = self.reader.buffer_position();
            match self.step()? {
                Step::Start(space, element) => {
                    let name = element.local_name();
                    match (space, name.as_ref()) {
                        (Space::Meta, b"error") => return Err(Broken::Foreign("it is an error of 1C".into())),
                        (Space::Atom, b"entry") => {
                            self.root = true;
                            let (entity, fields) = self.entry(0)?;
                            return Ok(Some(Item::Entry { entity, fields }));
                        }
                        (Space::Tombstone, b"deleted-entry") => {
                            let reference = attribute(&element, b"ref")?;
                            self.skip()?;
                            return reference
                                .map(|reference| Some(Item::Deleted(reference)))
                                .ok_or_else(|| Broken::Foreign("a deleted entry does not say which".into()));
                        }
                        (Space::Data, b"element") => {
                            let fields = match self.value(&element, 0)? {
                                Value::Object(fields) => fields,
                                _ => Map::new(),
                            };
                            return Ok(Some(Item::Entry { entity: String::new(), fields }));
                        }
                        (Space::Atom, b"feed") | (Space::Data | Space::Meta, _) => {
                            self.root = true;
                            self.depth += 1;
                        }
                        _ => self.skip()?,
                    }
                }
                Step::End => self.depth = self.depth.saturating_sub(1),
                Step::Eof if self.depth > 0 => return Err(Broken::Cut),
                Step::Eof if !self.root => return Err(Broken::Foreign("it is no feed".into())),
                Step::Eof => return Ok(None),
                Step::Text(_) | Step::Nothing => {}
            }
        }
    }

    /// Its type and its properties, with the records that its references were expanded to.
    fn entry(&mut self, depth: usize) -> Result<(String, Map<String, Value>), Broken> {
        if depth > DEEPEST {
            return Err(Broken::Foreign("it nests deeper than records of 1C do".into()));
        }
        let (mut entity, mut fields, mut expanded) = (String::new(), Map::new(), Map::new());
        loop {
            match self.step()? {
                Step::Start(space, element) => match (space, element.local_name().as_ref()) {
                    (Space::Atom, b"category") => {
                        entity = attribute(&element, b"term")?.map(|term| local(&term).to_owned()).unwrap_or_default();
                        self.skip()?;
                    }
                    // It holds the properties; its own end is of no interest, and comes before the entry's.
                    (Space::Atom, b"content") => fields = self.content()?,
                    (Space::Atom, b"link") => {
                        let relation = attribute(&element, b"rel")?.unwrap_or_default();
                        let held = self.link(depth)?;
                        if let (Some((_, name)), Some(record)) = (relation.rsplit_once("/related/"), held) {
                            expanded.insert(name.to_owned(), record);
                        }
                    }
                    _ => self.skip()?,
                },
                Step::End => {
                    fields.extend(expanded);
                    return Ok((entity, fields));
                }
                Step::Eof => return Err(Broken::Cut),
                Step::Text(_) | Step::Nothing => {}
            }
        }
    }

    /// What a link holds: the record behind it, if it was expanded.
    fn link(&mut self, depth: usize) -> Result<Option<Value>, Broken> {
        let mut record = None;
        loop {
            match self.step()? {
                Step::Start(Space::Meta, element) if element.local_name().as_ref() == b"inline" => {
                    record = Some(self.inline(depth)?);
                }
                Step::Start(..) => self.skip()?,
                Step::End => return Ok(record),
                Step::Eof => return Err(Broken::Cut),
                Step::Text(_) | Step::Nothing => {}
            }
        }
    }

    /// An entry, or nothing where the reference is empty.
    fn inline(&mut self, depth: usize) -> Result<Value, Broken> {
        let mut record = Value::Null;
        loop {
            match self.step()? {
                Step::Start(Space::Atom, element) if element.local_name().as_ref() == b"entry" => {
                    record = self.entry(depth + 1)?.1.into();
                }
                Step::Start(..) => self.skip()?,
                Step::End => return Ok(record),
                Step::Eof => return Err(Broken::Cut),
                Step::Text(_) | Step::Nothing => {}
            }
        }
    }

    fn content(&mut self) -> Result<Map<String, Value>, Broken> {
        let mut fields = Map::new();
        loop {
            match self.step()? {
                Step::Start(Space::Meta, element) if element.local_name().as_ref() == b"properties" => {
                    if let Value::Object(found) = self.value(&element, 0)? {
                        fields = found;
                    }
                }
                Step::Start(..) => self.skip()?,
                Step::End => return Ok(fields),
                Step::Eof => return Err(Broken::Cut),
                Step::Text(_) | Step::Nothing => {}
            }
        }
    }

    /// What an element holds: a text, fields, or rows.
    fn value(&mut self, element: &BytesStart<'_>, depth: usize) -> Result<Value, Broken> {
        if depth > DEEPEST {
            return Err(Broken::Foreign("it nests deeper than records of 1C do".into()));
        }
        let its_type = attribute(element, b"type")?;
        let null = attribute(element, b"null")?.as_deref() == Some("true");
        let holder = matches!(element.local_name().as_ref(), b"properties" | b"element");
        let (mut text, mut fields, mut rows) = (String::new(), Map::new(), Vec::new());
        loop {
            match self.step()? {
                Step::Start(Space::Data, child) if child.local_name().as_ref() == b"element" => {
                    rows.push(self.value(&child, depth + 1)?);
                }
                Step::Start(Space::Data, child) => {
                    let name = String::from_utf8_lossy(child.local_name().as_ref()).into_owned();
                    let value = self.value(&child, depth + 1)?;
                    // 1C repeats elements at times; what is empty says nothing.
                    if !(value.is_null() && fields.contains_key(&name)) {
                        fields.insert(name, value);
                    }
                }
                Step::Start(..) => self.skip()?,
                Step::Text(more) => text.push_str(&more),
                Step::End => break,
                Step::Eof => return Err(Broken::Cut),
                Step::Nothing => {}
            }
        }
        let collection = its_type.as_deref().is_some_and(|its_type| its_type.starts_with("Collection("));
        Ok(match its_type.as_deref() {
            _ if null => Value::Null,
            _ if collection || !rows.is_empty() => rows.into(),
            _ if !fields.is_empty() || (holder && text.trim().is_empty()) => fields.into(),
            Some("Edm.Boolean") => (text == "true").into(),
            Some("Edm.Int16" | "Edm.Int32" | "Edm.Int64" | "Edm.Double" | "Edm.Decimal") => {
                text.parse::<Number>().map_or(Value::String(text), Value::Number)
            }
            _ => text.into(),
        })
    }

    /// To the end of the element that has just begun.
    fn skip(&mut self) -> Result<(), Broken> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.step()? {
                Step::Start(..) => depth += 1,
                Step::End => depth -= 1,
                Step::Eof => return Err(Broken::Cut),
                Step::Text(_) | Step::Nothing => {}
            }
        }
        Ok(())
    }

    fn step(&mut self) -> Result<Step, Broken> {
        self.buffer.clear();
        if self.reader.buffer_position().saturating_sub(self.begun) > ELEMENT_BYTES as u64 {
            return Err(Broken::TooLarge);
        }
        let (space, event) = self.reader.read_resolved_event_into(&mut self.buffer).map_err(malformed)?;
        let space = match space {
            ResolveResult::Bound(space) => match space.as_ref() {
                ATOM => Space::Atom,
                DATA => Space::Data,
                META => Space::Meta,
                TOMBSTONE => Space::Tombstone,
                _ => Space::Other,
            },
            _ => Space::Other,
        };
        Ok(match event {
            Event::Start(element) => Step::Start(space, element.into_owned()),
            Event::End(_) => Step::End,
            Event::Text(text) => Step::Text(lines(&text.decode().map_err(|error| malformed(error.into()))?)),
            Event::CData(text) => Step::Text(lines(&text.decode().map_err(|error| malformed(error.into()))?)),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(malformed)?;
                let name = reference.decode().map_err(|error| malformed(error.into()))?;
                let named = quick_xml::escape::resolve_predefined_entity(&name);
                match (character, named) {
                    (Some(character), _) => Step::Text(character.to_string()),
                    (None, Some(text)) => Step::Text(text.to_owned()),
                    (None, None) => return Err(Broken::Foreign("it has an entity of its own".into())),
                }
            }
            Event::Eof => Step::Eof,
            _ => Step::Nothing,
        })
    }
}

/// XML reads every end of a line as one newline.
fn lines(text: &str) -> String {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n") } else { text.to_owned() }
}

fn malformed(error: quick_xml::Error) -> Broken {
    match error {
        quick_xml::Error::Syntax(_) => Broken::Cut,
        // The words of the reader may quote names and no values.
        error => Broken::Foreign(format!("no XML ({error})")),
    }
}

fn attribute(element: &BytesStart<'_>, name: &[u8]) -> Result<Option<String>, Broken> {
    let broken = |error: String| Broken::Foreign(format!("no XML ({error})"));
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| broken(error.to_string()))?;
        if attribute.key.local_name().as_ref() == name {
            let text = std::str::from_utf8(&attribute.value).map_err(|error| broken(error.to_string()))?;
            let text = quick_xml::escape::unescape(text).map_err(|error| broken(error.to_string()))?;
            return Ok(Some(text.into_owned()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FEED: &str = "<feed xmlns=\"http://www.w3.org/2005/Atom\"\r\n\t\txmlns:at=\"http://purl.org/atompub/tombstones/1.0\"\r\n\
\txmlns:q=\"http://schemas.microsoft.com/ado/2007/08/dataservices\"\r\n\
\txmlns:w=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\" xml:base=\"http://h/b/\">\r\n\
\t<title>x</title><entry><id>http://h/b/Document_Заказ(guid'1')</id>\r\n\
\t<category term=\"StandardODATA.Document_Заказ\" scheme=\"s\"/><title type=\"text\"/><author/>\r\n\
\t<link rel=\"r\" title=\"К\"><w:inline><entry><content><w:properties><q:Сумма>9</q:Сумма></w:properties></content></entry></w:inline></link>\r\n\
\t<content type=\"application/xml\"><w:properties>\n\t<q:Ref_Key>1</q:Ref_Key>\n\t<q:Number>А &amp; &#x411; &lt;b&gt;</q:Number>\n\
\t<q:Описание><![CDATA[<x>]]></q:Описание><q:Parent_Key>2</q:Parent_Key><q:Parent_Key w:null=\"true\"/>\n\
\t<q:DataVersion w:null=\"true\"/><q:Сумма>3333.330</q:Сумма><q:Пусто/>\n\
\t<q:Товары w:type=\"Collection(StandardODATA.Р)\"><q:element w:type=\"StandardODATA.Р\"><q:Цена>1.10</q:Цена></q:element></q:Товары>\n\
\t<q:Скидки w:type=\"Collection(StandardODATA.С)\"/>\n</w:properties></content></entry>\r\n\
\t<at:deleted-entry when=\"2026-06-15T09:34:59\" ref=\"http://h/b/Catalog_Товары(guid'3')\"><at:by/></at:deleted-entry></feed>";

    fn items(text: &str) -> Result<Vec<Item>, Broken> {
        let (mut feed, mut found) = (Feed::new(text.as_bytes()), Vec::new());
        while let Some(item) = feed.next_item()? {
            found.push(item);
        }
        Ok(found)
    }

    #[test]
    fn entries_and_deletions_are_read_by_namespace() {
        let found = items(FEED).unwrap();
        let [Item::Entry { entity, fields }, Item::Deleted(reference)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            Value::Object(fields.clone()).to_string(),
            r#"{"Ref_Key":"1","Number":"А & Б <b>","Описание":"<x>","Parent_Key":"2","DataVersion":null,"Сумма":"3333.330","Пусто":"","Товары":[{"Цена":"1.10"}],"Скидки":[]}"#
        );
        assert_eq!((entity.as_str(), reference.as_str()), ("Document_Заказ", "http://h/b/Catalog_Товары(guid'3')"));
    }

    #[test]
    fn what_a_reference_was_expanded_to_stands_under_its_name() {
        let related = "rel=\"http://schemas.microsoft.com/ado/2007/08/dataservices/related/Контрагент\"";
        let text = FEED.replacen("rel=\"r\"", related, 1);
        let found = items(&text).unwrap();
        let [Item::Entry { fields, .. }, _] = &found[..] else { panic!("{found:?}") };
        assert_eq!((&fields["Контрагент"]["Сумма"], &fields["Сумма"]), (&"9".into(), &"3333.330".into()));
        let empty = text.replacen("<w:inline>", "<w:inline/><w:other>", 1).replacen("</w:inline>", "</w:other>", 1);
        let found = items(&empty).unwrap();
        assert!(matches!(&found[0], Item::Entry { fields, .. } if fields["Контрагент"].is_null()), "{found:?}");
        let deep = "<link rel=\"a/related/Б\"><w:inline><entry>".repeat(40);
        let text = FEED.replacen("<link rel=\"r\" title=\"К\"><w:inline><entry>", &deep, 1);
        assert!(matches!(items(&text), Err(Broken::Foreign(_))));
    }

    #[test]
    fn rows_of_a_virtual_table_have_no_entry() {
        let text = "<d:Balance xmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\">\
                    <d:element><d:К>1.50</d:К></d:element><d:element><d:К>2</d:К></d:element></d:Balance>";
        let found = items(text).unwrap();
        assert_eq!(found.len(), 2);
        assert!(matches!(&found[0], Item::Entry { fields, .. } if fields["К"] == "1.50"));
    }

    #[test]
    fn a_feed_that_is_not_whole_is_never_a_short_one() {
        let all = items(FEED).unwrap();
        for (end, _) in FEED.char_indices() {
            let cut = items(&FEED[..end]);
            assert!(cut.is_err(), "{end}: {cut:?}");
        }
        assert_eq!(all.len(), 2);
        for other in ["", "<html><body/></html>", "{\"value\":[]}"] {
            assert!(matches!(items(other), Err(Broken::Foreign(_))), "{other}");
        }
    }
}
