//! Schema drift: what a feed reads has another form than it had when it was read last.
//!
//! A feed keeps the form of its objects in a file. When `$metadata` says something else, and somebody reads the field that is
//! gone, of another type or shorter, nothing is read until a person has agreed: the receivers would be sent records without
//! it, and 1C would be told that its changes have arrived. What nobody reads, and what is new, is only remembered.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use bus_core::ports::source::{SourceError, SourceFault};
use serde::{Deserialize, Serialize};

use super::condition;
use super::model::{Kind, Model, Property, Type};
use super::options::Read;
use crate::{Served, private};

const VERSION: u8 = 1;
/// Changes that are named; more are counted.
const NAMED: usize = 10;
/// Rows within rows: 1C has none, and a type that names itself must end somewhere.
const DEEPEST: usize = 3;

/// What a feed's objects looked like.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    v: u8,
    streams: BTreeMap<String, Form>,
}

/// What one object looked like: each field by its path, as `Товары.Цена`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    entity: String,
    fields: BTreeMap<String, String>,
}

/// A field that is not what it was.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    path: String,
    what: String,
}

/// Watches the form of what one feed reads.
#[derive(Debug)]
pub struct Drift {
    file: PathBuf,
    /// What was found to be well.
    well: Option<Arc<Model>>,
}

impl Drift {
    /// Keeps the form in this file.
    pub fn new(file: PathBuf) -> Self {
        Self { file, well: None }
    }

    /// Makes the folder of the file, where `$metadata` is kept too.
    pub fn prepare(&self) -> Result<(), SourceError> {
        self.file.parent().map_or(Ok(()), private::folder).map_err(disk)
    }

    /// Compares what the base publishes with what the feed saw last. The error names what changed and who reads it; it is
    /// the same until a person has agreed by taking the file away.
    pub fn check<'a>(
        &mut self,
        reads: impl Iterator<Item = (&'a Read, &'a Served)>,
        model: &Arc<Model>,
    ) -> Result<(), SourceError> {
        if self.well.as_ref().is_some_and(|well| Arc::ptr_eq(well, model)) {
            return Ok(());
        }
        let before = self.load()?;
        let (mut now, mut told) = (Seen { v: VERSION, ..Seen::default() }, Vec::new());
        for (read, served) in reads {
            let name = read.stream.as_str();
            let known = before.streams.get(name).filter(|known| known.entity == read.entity);
            match (model.type_of(&read.entity), known) {
                (Ok(of), known) => {
                    let form = Form { entity: read.entity.clone(), fields: fields(model, of, &read.expand) };
                    if let Some(known) = known {
                        told.extend(changes(known, &form).iter().filter_map(|change| tell(change, read, served)));
                    }
                    now.streams.insert(name.to_owned(), form);
                }
                (Err(_), Some(_)) => {
                    let readers = names(&read.readers.iter().map(|reader| reader.by.as_str()).collect::<Vec<_>>());
                    told.push(format!("{} is not published any more (stream {name}{readers})", read.entity));
                }
                // It never was: the reading itself says so.
                (Err(_), None) => {}
            }
        }
        if !told.is_empty() {
            let more = told.len().saturating_sub(NAMED);
            told.truncate(NAMED);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            let message = format!("1C has changed what is read here: {}{more}", told.join("; "));
            return Err(SourceError::new(SourceFault::SchemaChanged, message));
        }
        if now != before {
            self.keep(&now).map_err(disk)?;
        }
        self.well = Some(Arc::clone(model));
        Ok(())
    }

    fn load(&self) -> Result<Seen, SourceError> {
        let text = match fs::read(&self.file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Seen::default()),
            Err(error) => return Err(disk(error)),
        };
        match serde_json::from_slice::<Seen>(&text) {
            Ok(seen) if seen.v == VERSION => Ok(seen),
            _ => {
                let why = format!("{} cannot be read, so nobody knows what 1C has changed", self.file.display());
                Err(SourceError::new(SourceFault::SchemaChanged, why))
            }
        }
    }

    fn keep(&self, seen: &Seen) -> io::Result<()> {
        let folder = self.file.parent().unwrap_or(std::path::Path::new("."));
        let mut part = tempfile::NamedTempFile::new_in(folder)?;
        part.write_all(&serde_json::to_vec(seen)?)?;
        part.as_file().sync_all()?;
        part.persist(&self.file)?;
        // A file that is lost with the machine would let the next change pass unseen.
        File::open(folder)?.sync_all()
    }
}

fn disk(error: io::Error) -> SourceError {
    SourceError::new(SourceFault::Unavailable, format!("what the feed knows of 1C's schema: {error}"))
}

/// Every field of a type by its path, with its kind in words.
fn fields(model: &Model, of: &Type, expand: &[String]) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    collect(model, of, "", DEEPEST, &mut all);
    for (link, target) in of.links.iter().filter(|(link, _)| expand.iter().any(|one| **one == **link)) {
        if let Some(target) = model.named(target) {
            all.insert(link.to_string(), "record".to_owned());
            collect(model, target, &format!("{link}."), DEEPEST, &mut all);
        }
    }
    all
}

fn collect(model: &Model, of: &Type, before: &str, deeper: usize, all: &mut BTreeMap<String, String>) {
    for property in &of.properties {
        let path = format!("{before}{}", property.name);
        if let (Kind::Rows(row), true) = (&property.kind, deeper > 0)
            && let Some(row) = model.named(row)
        {
            collect(model, row, &format!("{path}."), deeper - 1, all);
        }
        all.insert(path, words(property));
    }
}

fn words(property: &Property) -> String {
    let kind = match &property.kind {
        Kind::Text => "text",
        Kind::Guid => "reference",
        Kind::Integer => "whole number",
        Kind::Number => "number",
        Kind::Boolean => "yes or no",
        Kind::Moment => "date",
        Kind::Binary => "binary",
        Kind::Stream => "stream",
        Kind::Rows(_) => "rows",
    };
    match property.length {
        Some(length) => format!("{kind}({length})"),
        None => kind.to_owned(),
    }
}

/// What is gone, of another type, or shorter. The fields of rows that are gone are not told beside the rows.
fn changes(known: &Form, now: &Form) -> Vec<Change> {
    let mut all: Vec<Change> = Vec::new();
    for (path, was) in &known.fields {
        if all.iter().any(|change| is_within(path, &change.path)) {
            continue;
        }
        let what = match now.fields.get(path) {
            None => format!("{path} ({was}) is gone"),
            Some(is) if is == was || is_longer(was, is) => continue,
            Some(is) => format!("{path} was {was} and is {is}"),
        };
        all.push(Change { path: path.clone(), what });
    }
    all
}

/// Texts that may be longer than before lose nothing.
fn is_longer(was: &str, is: &str) -> bool {
    let parts = |text: &str| match text.strip_suffix(')').and_then(|text| text.split_once('(')) {
        Some((kind, length)) => (kind.to_owned(), length.parse().unwrap_or(u32::MAX)),
        None => (text.to_owned(), u32::MAX),
    };
    let ((was, short), (is, long)) = (parts(was), parts(is));
    was == is && long >= short
}

/// Whether one path is the other, or lies within it.
fn is_within(path: &str, of: &str) -> bool {
    path.strip_prefix(of).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// A change with those who read it; `None` if nobody does.
fn tell(change: &Change, read: &Read, served: &Served) -> Option<String> {
    let first = change.path.split('.').next().unwrap_or_default();
    let touches = |path: &str| path.is_empty() || is_within(&change.path, path) || is_within(path, &change.path);
    let conditions = read.filter.iter().chain(read.parameters.iter().map(|(_, value)| value));
    let asked = conditions.flat_map(|text| condition::names(text)).chain(read.expand.iter().cloned());
    let own = served.key.iter().chain(&served.label).chain(&served.date).any(|name| name == first)
        || read.equals.iter().any(|(name, _)| name == first)
        || asked.into_iter().any(|path| touches(&path));
    if !own && !read.select.is_empty() && !read.select.iter().any(|name| name == first) {
        return None;
    }
    let by = read.readers.iter().filter(|reader| reader.paths.iter().any(|path| touches(path)));
    let by = by.map(|reader| reader.by.as_str());
    let by: Vec<&str> = by.collect();
    let named = own || !read.select.is_empty();
    (named || !by.is_empty())
        .then(|| format!("{}: {} (stream {}{})", read.entity, change.what, read.stream, names(&by)))
}

fn names(by: &[&str]) -> String {
    if by.is_empty() { String::new() } else { format!(", read by {}", by.join(", ")) }
}

#[cfg(test)]
mod tests;
