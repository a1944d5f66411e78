//! JSON as 1C writes it: each member on a line, no indentation.

use super::{Fields, Item, Shown};
use crate::query::options::Format;
use crate::refusal::Refusal;

/// A list; `count` is `$inlinecount`'s.
pub fn list(root: &str, entity: &str, items: &[Item], count: Option<usize>, format: Format) -> String {
    let mut members = Vec::new();
    if format != Format::JsonBare {
        members.push(metadata(root, entity, ""));
    }
    if let Some(count) = count {
        members.push(format!("\"odata.count\": \"{count}\""));
    }
    let items: Vec<String> = items.iter().map(|item| object(&item_members(item, format))).collect();
    members.push(format!("\"value\": [{}]", items.join(",")));
    object(&members)
}

/// One record.
pub fn single(root: &str, item: &Item, format: Format) -> String {
    let mut members = Vec::new();
    if format != Format::JsonBare {
        members.push(metadata(root, &item.entity, "/@Element"));
    }
    members.extend(item_members(item, format));
    object(&members)
}

/// One property, as `…/Description` asks for it.
pub fn property(root: &str, context: &str, value: &Shown) -> String {
    object(&[metadata(root, context, ""), format!("\"value\": {}", shown(value))])
}

/// The list of sets.
pub fn root<'a>(root: &str, sets: impl Iterator<Item = &'a str>) -> String {
    let sets: Vec<String> = sets
        .map(|name| object(&[format!("\"name\": {}", quoted(name)), format!("\"url\": {}", quoted(name))]))
        .collect();
    let metadata = format!("\"odata.metadata\": {}", quoted(&format!("{root}$metadata")));
    object(&[metadata, format!("\"value\": [{}]", sets.join(","))])
}

/// A refusal.
pub fn error(refusal: &Refusal) -> String {
    format!(
        "{{\"odata.error\":{{\"code\":\"{}\",\"message\":{{\"lang\":\"ru\",\"value\":{}}}}}}}",
        refusal.code,
        quoted(&refusal.message)
    )
}

fn metadata(root: &str, entity: &str, suffix: &str) -> String {
    format!("\"odata.metadata\": {}", quoted(&format!("{root}$metadata#{entity}{suffix}")))
}

fn item_members(item: &Item, format: Format) -> Vec<String> {
    let mut members = Vec::new();
    if format == Format::JsonFull && !item.entity.is_empty() {
        members.push(format!("\"odata.type\": {}", quoted(&format!("StandardODATA.{}", item.entity))));
    }
    members.extend(fields(&item.fields));
    if format != Format::JsonBare {
        members.extend(item.links.iter().map(|link| {
            let address = format!("{}({})/{link}", item.entity, item.key);
            format!("{}: {}", quoted(&format!("{link}@navigationLinkUrl")), quoted(&address))
        }));
    }
    members
}

fn fields(fields: &Fields) -> impl Iterator<Item = String> + '_ {
    fields.iter().map(|(name, value)| format!("{}: {}", quoted(name), shown(value)))
}

fn shown(value: &Shown) -> String {
    match value {
        Shown::Null => "null".into(),
        Shown::Text(text) | Shown::Long(text) => quoted(text),
        Shown::Plain(text) => text.clone(),
        Shown::Rows(_, rows) => {
            let rows: Vec<String> = rows.iter().map(|row| object(&fields(row).collect::<Vec<_>>())).collect();
            format!("[{}]", rows.join(","))
        }
        Shown::Item(item) => object(&item_members(item, Format::Json)),
    }
}

fn object(members: &[String]) -> String {
    format!("{{\n{}\n}}", members.join(",\n"))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
