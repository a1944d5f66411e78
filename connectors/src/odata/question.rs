//! What a table asks of the base, as addresses under the root.

use bus_core::ports::source::SourceError;
use bus_core::vocabulary::{Key, Period};

use super::address;
use super::model::{Type, split};
use super::table::{MARK, Table, VERSION};

/// Of an address; IIS takes 2048 bytes of query by default.
const QUERY_BYTES: usize = 1800;

/// A part of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// At most so many; all of them where it is `None`.
    pub top: Option<usize>,
    /// Behind so many.
    pub skip: usize,
    /// Only from this value of a date on, ordered by it.
    pub from: Option<(String, Option<String>)>,
    /// Only where a date is in this period.
    pub within: Option<(String, Period)>,
}

impl Table {
    /// The address of a part of it, under the root.
    pub fn list(&self, part: &Part) -> Result<String, SourceError> {
        let mut filter = self.filter.clone();
        if let Some((column, Some(value))) = &part.from {
            filter.push(format!("{column} ge datetime'{value}'"));
        }
        if let Some((column, Period { from, to })) = &part.within {
            filter.push(format!("{column} ge datetime'{}'", Period::write(*from)));
            filter.push(format!("{column} lt datetime'{}'", Period::write(*to)));
        }
        let mut order: Vec<&str> = part.from.iter().map(|(column, _)| column.as_str()).collect();
        if !self.is_virtual() {
            // The second half of a composite key cannot be ordered by.
            let key = self.its_type()?.key.iter().map(|name| &**name);
            order.extend(key.filter(|name| !name.ends_with("_Type") && *name != "SurrogateKey"));
            order.dedup();
        }
        let mut options = vec![self.format(), filtered(&filter), self.selected(part.from.as_ref())];
        options.push((!order.is_empty()).then(|| ("$orderby", order.join(","))));
        options.push((!self.read.expand.is_empty()).then(|| ("$expand", self.read.expand.join(","))));
        options.push(self.read.allowed_only.then(|| ("allowedOnly", "true".to_owned())));
        options.push(part.top.map(|top| ("$top", top.to_string())));
        options.push((part.skip > 0).then(|| ("$skip", part.skip.to_string())));
        Ok(self.address(options))
    }

    fn format(&self) -> Option<(&'static str, String)> {
        Some(("$format", if self.read.atom { "atom" } else { "json" }.to_owned()))
    }

    fn address(&self, options: Vec<Option<(&'static str, String)>>) -> String {
        let (set, function) = split(&self.read.entity);
        let mut text = format!("/{}", address::path(set));
        if let Some(function) = function {
            let parameters = address::parameters(&self.read.parameters).unwrap_or_default();
            text.push_str(&format!("/{}{}", address::path(function), address::option(&parameters)));
        }
        for (at, (name, value)) in options.into_iter().flatten().enumerate() {
            text.push(if at == 0 { '?' } else { '&' });
            text.push_str(&format!("{name}={}", address::option(&value)));
        }
        text
    }

    /// What was asked for, and what the bus itself needs.
    fn selected(&self, from: Option<&(String, Option<String>)>) -> Option<(&'static str, String)> {
        if self.read.select.is_empty() {
            return None;
        }
        let mark = self.read.marked_is_deleted.then(|| MARK.to_owned());
        let needed = self.served.key.iter().cloned().chain(self.served.label.clone()).chain(mark);
        let needed = needed.chain(self.own_version.then(|| VERSION.to_owned()));
        let needed = needed.chain(from.map(|(column, _)| column.clone()));
        let mut names = self.read.select.clone();
        for name in needed {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(("$select", names.join(",")))
    }

    /// Addresses that ask which of these keys exist, with the places of the keys that each of them asks for. A key that no
    /// filter can name is in none.
    pub fn presence(&self, keys: &[Key]) -> Result<Vec<(String, Vec<usize>)>, SourceError> {
        let names: Vec<&str> = self.served.key.iter().map(String::as_str).collect();
        self.by_keys(keys, &[Some(("$select", names.join(",")))])
    }

    /// Addresses of the whole records with these keys, as [`Table::presence`].
    pub fn those(&self, keys: &[Key]) -> Result<Vec<(String, Vec<usize>)>, SourceError> {
        self.by_keys(keys, &[self.selected(None), self.read.allowed_only.then(|| ("allowedOnly", "true".to_owned()))])
    }

    fn by_keys(
        &self,
        keys: &[Key],
        asked: &[Option<(&'static str, String)>],
    ) -> Result<Vec<(String, Vec<usize>)>, SourceError> {
        let of = self.its_type()?;
        let mut questions: Vec<(String, Vec<usize>)> = Vec::new();
        let mut group: (Vec<String>, Vec<usize>) = Default::default();
        let question = |conditions: &[String]| {
            let mut filter = self.filter.clone();
            filter.push(conditions.join(" or "));
            self.address([&[self.format(), filtered(&filter)][..], asked].concat())
        };
        for (at, key) in keys.iter().enumerate() {
            let Some(condition) = self.condition(of, key) else { continue };
            group.0.push(condition);
            if group.0.len() > 1 && question(&group.0).len() > QUERY_BYTES {
                let last = group.0.split_off(group.0.len() - 1);
                questions.push((question(&group.0), std::mem::take(&mut group.1)));
                group.0 = last;
            }
            group.1.push(at);
        }
        if !group.1.is_empty() {
            questions.push((question(&group.0), group.1));
        }
        Ok(questions)
    }

    /// `None`: a filter cannot name this key.
    fn condition(&self, of: &Type, key: &Key) -> Option<String> {
        let names = &self.served.key;
        let values: Vec<String> = match names.len() {
            1 => vec![key.as_str().to_owned()],
            _ => serde_json::from_str(key.as_str()).ok()?,
        };
        let value = |wanted: &str| names.iter().position(|name| name == wanted).and_then(|at| values.get(at));
        let mut parts = Vec::new();
        for (name, text) in names.iter().zip(&values) {
            let typed = name.strip_suffix("_Type").is_some_and(|of| names.iter().any(|other| other == of));
            if typed {
                continue;
            }
            let text = match value(&format!("{name}_Type")) {
                Some(its_type) => match its_type.strip_prefix("StandardODATA.") {
                    Some(object) => format!("{object}({text})"),
                    None => return None,
                },
                None => text.clone(),
            };
            parts.push(address::equals(of, name, &text).ok()?);
        }
        (!parts.is_empty()).then(|| format!("({})", parts.join(" and ")))
    }
}

fn filtered(filter: &[String]) -> Option<(&'static str, String)> {
    match filter {
        [] => None,
        [one] => Some(("$filter", one.clone())),
        several => Some(("$filter", several.iter().map(|one| format!("({one})")).collect::<Vec<_>>().join(" and "))),
    }
}
