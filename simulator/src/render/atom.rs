//! Atom as 1C writes it: no declaration, tabs, CRLF around the entries, and bare LF inside their properties.

use std::fmt::Write as _;

use super::{Fields, Item, Shown};
use crate::refusal::Refusal;

const D: &str = "http://schemas.microsoft.com/ado/2007/08/dataservices";
const M: &str = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata";
/// This base's clock stands still, so that answers repeat.
pub const NOW: &str = "2026-06-15T09:34:59";

/// An entry of a feed of changes.
pub enum Entry {
    /// The object as it is now.
    Item(Item),
    /// An object that is gone: its entity and key.
    Deleted(String, String),
}

/// A feed; `count` is `$inlinecount`'s, and stands at the end.
pub fn feed(root: &str, entries: &[Entry], count: Option<usize>) -> String {
    let mut out = format!("<feed {}\r\n\t\txmlns:at=\"http://purl.org/atompub/tombstones/1.0\"", head());
    let _ = write!(out, "\r\n\t\txmlns:d=\"{D}\"\r\n\t\txmlns:m=\"{M}\"\r\n\t\txml:base=\"{root}\">\r\n");
    for entry in entries {
        match entry {
            Entry::Item(item) => entry_of(&mut out, root, item, 1, ""),
            Entry::Deleted(entity, key) => {
                let address = escaped_attribute(&format!("{root}{entity}({key})"));
                let _ = write!(out, "\t<at:deleted-entry ref=\"{address}\"\r\n\t\t\twhen=\"{NOW}\"/>\r\n");
            }
        }
    }
    if let Some(count) = count {
        let _ = write!(out, "\t<m:count>{count}</m:count>\r\n");
    }
    out.push_str("</feed>");
    out
}

/// One entry alone.
pub fn single(root: &str, item: &Item) -> String {
    let mut out = String::new();
    let names = format!(" {}\r\n\t\txmlns:d=\"{D}\"\r\n\t\txmlns:m=\"{M}\"\r\n\t\txml:base=\"{root}\"", head());
    entry_of(&mut out, root, item, 0, &names);
    out.truncate(out.trim_end().len());
    out
}

fn head() -> &'static str {
    "xmlns=\"http://www.w3.org/2005/Atom\""
}

fn entry_of(out: &mut String, root: &str, item: &Item, depth: usize, names: &str) {
    let tabs = "\t".repeat(depth);
    let own = escaped_attribute(&format!("{}({})", item.entity, item.key));
    line(out, depth, &format!("<entry{names}>"));
    line(out, depth, &format!("\t<id>{root}{own}</id>"));
    line(out, depth, &format!("\t<category term=\"StandardODATA.{}\"", item.entity));
    line(out, depth, &format!("\t\t\tscheme=\"{D}/scheme\"/>"));
    line(out, depth, "\t<title type=\"text\"/>");
    line(out, depth, &format!("\t<updated>{NOW}</updated>"));
    line(out, depth, "\t<author/>");
    line(out, depth, "\t<summary/>");
    for link in &item.links {
        let expanded = item.fields.iter().find_map(|(name, value)| match value {
            Shown::Item(inner) if name == link => Some(inner),
            _ => None,
        });
        line(out, depth, &format!("\t<link rel=\"{D}/related/{link}\""));
        line(out, depth, &format!("\t\t\thref=\"{own}/{link}\""));
        line(out, depth, "\t\t\ttype=\"application/atom+xml;type=entry;charset=utf-8\"");
        line(out, depth, &format!("\t\t\ttitle=\"{link}\"{}", if expanded.is_some() { ">" } else { "/>" }));
        if let Some(inner) = expanded {
            line(out, depth, "\t\t<m:inline>");
            entry_of(out, root, inner, depth + 3, "");
            line(out, depth, "\t\t</m:inline>");
            line(out, depth, "\t</link>");
        }
    }
    line(out, depth, "\t<link rel=\"edit\"");
    line(out, depth, &format!("\t\t\thref=\"{own}\""));
    line(out, depth, "\t\t\ttitle=\"edit-link\"/>");
    let _ = writeln!(out, "{tabs}\t<content type=\"application/xml\"><m:properties xmlns:d=\"{D}\" xmlns:m=\"{M}\">");
    properties(out, &item.fields);
    let _ = write!(out, "</m:properties>\r\n{tabs}\t</content>\r\n{tabs}</entry>\r\n");
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = write!(out, "{}{text}\r\n", "\t".repeat(depth));
}

/// Simple ones from the middle on, then the first half, then the parts: the order of JSON is not kept.
fn properties(out: &mut String, fields: &Fields) {
    let is_part = |field: &&(String, Shown)| matches!(field.1, Shown::Rows(..));
    let simple: Vec<_> = fields.iter().filter(|field| !is_part(field)).collect();
    let (first, second) = simple.split_at(simple.len() / 2);
    let parts = fields.iter().filter(is_part);
    for (name, value) in second.iter().chain(first).copied().chain(parts) {
        property(out, 1, name, value);
    }
}

fn property(out: &mut String, depth: usize, name: &str, value: &Shown) {
    let tabs = "\t".repeat(depth);
    let _ = match value {
        Shown::Null => writeln!(out, "{tabs}<d:{name} m:null=\"true\"/>"),
        Shown::Text(text) | Shown::Long(text) | Shown::Plain(text) if text.is_empty() => {
            writeln!(out, "{tabs}<d:{name}/>")
        }
        Shown::Text(text) | Shown::Long(text) | Shown::Plain(text) => {
            writeln!(out, "{tabs}<d:{name}>{}</d:{name}>", escaped(text))
        }
        Shown::Rows(kind, rows) if rows.is_empty() => {
            writeln!(out, "{tabs}<d:{name} m:type=\"Collection(StandardODATA.{kind})\"/>")
        }
        Shown::Rows(kind, rows) => {
            let _ = writeln!(out, "{tabs}<d:{name} m:type=\"Collection(StandardODATA.{kind})\">");
            for row in rows {
                let _ = writeln!(out, "{tabs}\t<d:element m:type=\"StandardODATA.{kind}\">");
                for (name, value) in row {
                    property(out, depth + 2, name, value);
                }
                let _ = writeln!(out, "{tabs}\t</d:element>");
            }
            writeln!(out, "{tabs}</d:{name}>")
        }
        // An expanded reference stands inside its link.
        Shown::Item(_) => Ok(()),
    };
}

/// Rows of a virtual table: elements without entries.
pub fn elements(items: &[Item]) -> String {
    let mut out = format!("<d:value xmlns:d=\"{D}\" xmlns:m=\"{M}\">\n");
    for item in items {
        out.push_str("\t<d:element>\n");
        for (name, value) in &item.fields {
            property(&mut out, 2, name, value);
        }
        out.push_str("\t</d:element>\n");
    }
    out.push_str("</d:value>");
    out
}

/// One property.
pub fn value(name: &str, value: &Shown) -> String {
    let mut out = String::new();
    property(&mut out, 0, name, value);
    out.replacen(&format!("<d:{name}"), &format!("<d:{name} xmlns:d=\"{D}\" xmlns:m=\"{M}\""), 1)
}

/// The list of sets.
pub fn root<'a>(root: &str, sets: impl Iterator<Item = &'a str>) -> String {
    let mut out = format!(
        "<service xmlns=\"http://www.w3.org/2007/app\" xmlns:atom=\"http://www.w3.org/2005/Atom\" \
         xml:base=\"{root}\"><workspace><atom:title>Default</atom:title>"
    );
    for name in sets {
        let _ = write!(out, "<collection href=\"{name}\"><atom:title>{name}</atom:title></collection>");
    }
    out.push_str("</workspace></service>");
    out
}

/// A refusal.
pub fn error(refusal: &Refusal) -> String {
    format!(
        "<m:error xmlns:m=\"{M}\">\r\n\t<m:code>{}</m:code>\r\n\t<m:message>{}</m:message>\r\n</m:error>",
        refusal.code,
        escaped(&refusal.message)
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn escaped_attribute(text: &str) -> String {
    escaped(text).replace('"', "&quot;")
}
