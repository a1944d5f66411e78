//! `query`: one SELECT. A mistake in it is shown where it stands, before any database is asked.

use std::borrow::Cow;

use bus_core::policy::select::{Dialect, Select, SelectError};
use bus_options::{Filled, Node, OptionValue, Report, Script, codes};
use serde_json::Value;

/// A SELECT as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectText(pub Script);

impl SelectText {
    /// Reads it as its database would; its mistakes go into the report. `None`: which database that is stands in a secret, and
    /// a mistake is what no database takes.
    pub fn parse(&self, dialect: Option<Dialect>, report: &mut Report) -> Option<Select> {
        let text = &self.0.text;
        let parsed = match dialect {
            Some(dialect) => Select::parse(text, dialect),
            None => match (Select::parse(text, Dialect::Postgres), Select::parse(text, Dialect::Sqlite)) {
                (Ok(one), Ok(other)) => Ok(if one.limited.is_some() && other.limited.is_none() { other } else { one }),
                (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
                (Err(error), Err(_)) => Err(error),
            },
        };
        let SelectError { fault, at } = match parsed {
            Ok(select) => return Some(select),
            Err(error) => error,
        };
        report.add(codes::BAD_VALUE, &self.0.span_of(at), fault.to_string());
        None
    }
}

impl OptionValue for SelectText {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        Filled::read(node, report)?;
        Script::read(node, report).map(Self)
    }
    fn kind() -> Cow<'static, str> {
        Filled::kind()
    }
    fn schema() -> Value {
        Filled::schema()
    }
}
