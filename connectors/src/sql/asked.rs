//! What both systems are asked with, and what is the same mistake at both.

use std::collections::HashSet;

use bus_core::ports::source::{SourceError, SourceFault};

use super::Options;
use bus_core::policy::select::Select;

/// Keys that one existence check asks for.
pub(super) const KEYS_AT_ONCE: usize = 500;

/// What a query was called with.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) options: &'a Options,
    pub(super) query: &'a Select,
}

pub(super) fn unknown_address() -> SourceError {
    misconfigured("the address must begin with postgres://, postgresql:// or sqlite:".to_owned())
}

pub(super) fn misconfigured(message: String) -> SourceError {
    SourceError::new(SourceFault::Misconfigured, message)
}

/// What an operator should know about a query that works.
pub(super) fn remarks(asked: Asked<'_>) -> Vec<String> {
    let mut remarks = Vec::new();
    let Some(column) = &asked.options.cursor else { return remarks };
    let column = &column.column;
    if asked.query.strict {
        remarks.push(format!(
            "the query says {column} > :cursor: rows that share the last value and are committed later are missed; \
             write >= (what is read twice is published once)"
        ));
    }
    remarks
}

/// Key, label and cursor are in the result, and each name is there once.
pub(super) fn columns_fit(names: &[&str], options: &Options) -> Result<(), SourceError> {
    let mut seen = HashSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(**name)) {
        return Err(misconfigured(format!(
            "the query returns two columns named {twice:?}; give one another name with AS"
        )));
    }
    let cursor = options.cursor.iter().map(|cursor| ("cursor", cursor.column.as_str()));
    let keys = options.serves.all().flat_map(|served| &served.key).map(|name| ("key", name.as_str()));
    let labels = options.serves.all().flat_map(|served| &served.label).map(|name| ("label", name.as_str()));
    let entity = options.serves.entity_column().map(|name| ("entity", name));
    let dates = options.serves.all().flat_map(|served| &served.date).map(|name| ("date", name.as_str()));
    for (role, wanted) in keys.chain(labels).chain(entity).chain(cursor).chain(dates) {
        if seen.contains(wanted) {
            continue;
        }
        let near = names
            .iter()
            .map(|name| (strsim::damerau_levenshtein(&name.to_lowercase(), &wanted.to_lowercase()), name))
            .filter(|(distance, _)| *distance <= 1 + wanted.chars().count() / 4)
            .min();
        let hint = match near {
            Some((_, name)) => format!("did you mean {name:?}?"),
            None => format!("it returns {}", names.join(", ")),
        };
        return Err(misconfigured(format!("{role} column {wanted:?} is not in the result of the query; {hint}")));
    }
    Ok(())
}
