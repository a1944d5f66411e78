//! What a base publishes, for a person who chooses from it.

use bus_core::ports::permits::Permits;
use bus_core::ports::source::SourceError;
use reqwest::Method;

use super::address;
use super::base::{Base, Failed};
use super::model::{Kind, Model};
use super::options::BaseOptions;

/// Digits of a number of records, with a byte order mark before them.
const COUNT_BYTES: usize = 64;

/// One object of a base.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// `Catalog_Номенклатура`.
    pub set: String,
    /// What its records are known by.
    pub key: Vec<String>,
    /// What people call its records by.
    pub label: Option<String>,
    /// Business dates that a poll may go by: `Date` of a document.
    pub date: Option<String>,
    /// Its virtual tables: `Balance`.
    pub tables: Vec<String>,
    /// How many records, where it was asked.
    pub count: Option<u64>,
}

/// What is published, by name; lines of tabular parts and single records of recorders are parts of other objects and left out.
/// A base that publishes nothing gives an empty list.
pub struct Catalogue {
    base: Base,
    model: std::sync::Arc<Model>,
}

impl Catalogue {
    /// Asks for `$metadata`: half a minute of a large base.
    pub async fn read(options: &BaseOptions) -> Result<Self, SourceError> {
        let base = Base::new(options)?;
        let model = base.model(true, &Permits::unbounded()).await.map_err(Failed::error)?;
        Ok(Self { base, model })
    }

    /// Everything, by name.
    pub fn objects(&self) -> Vec<Published> {
        let mut all: Vec<Published> = self.model.sets().filter_map(|set| self.object(set)).collect();
        all.sort_by(|one, other| one.set.cmp(&other.set));
        all
    }

    fn object(&self, set: &str) -> Option<Published> {
        let of = self.model.type_of(set).ok()?;
        let key: Vec<String> = of.key.iter().map(ToString::to_string).collect();
        let is_line = key.iter().any(|name| name == "LineNumber");
        if is_line || set.ends_with("_RecordType") || key.is_empty() {
            return None;
        }
        let has = |name: &&&str| of.property(name).is_some();
        let label = ["Number", "Code", "Description"].iter().find(has).map(|name| (*name).to_owned());
        let is_date = |name: &&&str| of.property(name).is_some_and(|property| property.kind == Kind::Moment);
        let date = if set.starts_with("Document_") { ["Date"].iter().find(is_date) } else { None };
        let tables = ["Balance", "BalanceAndTurnovers", "SliceFirst", "SliceLast", "Turnovers"];
        let tables = tables.iter().filter(|table| self.model.type_of(&format!("{set}/{table}")).is_ok());
        Some(Published {
            set: set.to_owned(),
            key,
            label,
            date: date.map(|name| (*name).to_owned()),
            tables: tables.map(|table| (*table).to_owned()).collect(),
            count: None,
        })
    }

    /// Asks how many records a set has; `None` where the user may not read it, or 1C cannot say.
    pub async fn count(&self, set: &str) -> Option<u64> {
        let mut answer = self.base.ask(Method::GET, &format!("/{}/$count", address::path(set)), true).await.ok()?;
        let mut text = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            text.extend_from_slice(&chunk);
            if text.len() > COUNT_BYTES {
                return None;
            }
        }
        String::from_utf8(text).ok()?.trim_start_matches('\u{feff}').trim().parse().ok()
    }
}
