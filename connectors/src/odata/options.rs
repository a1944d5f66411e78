//! What an operator may say about a base of 1C, and about reading it.

use std::path::PathBuf;
use std::time::Duration;

use bus_core::vocabulary::{Secret, StreamName};
use chrono_tz::Tz;
use url::Url;

use super::shape::Keep;
use crate::Serves;

/// A base, resolved.
#[derive(Debug, Clone)]
pub struct BaseOptions {
    /// The root of the interface: `http://host/base/odata/standard.odata`.
    pub url: Url,
    /// A user of the base.
    pub login: Option<(String, Secret)>,
    /// A certificate authority to trust besides the system's own (PEM).
    pub ca_pem: Option<Vec<u8>>,
    /// The longest silence: before the first byte of an answer, and between any two.
    pub timeout: Duration,
    /// Requests at the same time, over everything that this user does in this base: each is a session, and a licence.
    pub sessions: usize,
    /// The zone of the base's clock; its dates carry none.
    pub zone: Option<Tz>,
    /// Where `$metadata` is kept: it takes a large base half a minute.
    pub cache: Option<PathBuf>,
}

impl BaseOptions {
    /// A base that asks for no user, with two sessions and nothing kept on disk.
    pub fn at(url: Url, timeout: Duration) -> Self {
        Self { url, login: None, ca_pem: None, timeout, sessions: 2, zone: None, cache: None }
    }
}

/// A reader, resolved.
#[derive(Debug, Clone)]
pub struct Options {
    /// The base.
    pub base: BaseOptions,
    /// The streams, with their keys. A feed of several names each stream's entity here too.
    pub serves: Serves,
    /// What each stream reads; in the order of `serves`.
    pub reads: Vec<Read>,
    /// How changes are found.
    pub changes: Changes,
    /// Where the feed keeps what its objects look like; without it nobody notices when 1C changes them.
    pub seen: Option<PathBuf>,
    /// By what the base is known.
    pub signs: Signs,
}

/// By what a base is known, beside its exchange plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signs {
    /// A constant whose value is another in every base: `Constant_ИдентификаторБазы`.
    pub constant: Option<String>,
    /// Documents of which the newest are remembered: `Document_ЗаказКлиента`.
    pub witness: Option<String>,
    /// Where they are remembered.
    pub file: PathBuf,
}

/// How changes are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// By comparing everything.
    Diff,
    /// By comparing `DataVersion`, and everything once in each process.
    Versions,
    /// By a business date, which misses what is written back-dated.
    Cursor {
        /// A property that holds a date.
        column: String,
        /// How far back each poll looks again.
        overlap: Duration,
    },
    /// By the changes that an exchange plan registers for a node of ours.
    Plan(Plan),
}

/// A node of an exchange plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// `ExchangePlan_Шина`.
    pub plan: String,
    /// The code of the node that stands for the bus.
    pub node: String,
    /// The root of the interface as 1C itself writes it, where a proxy stands between.
    pub point: Option<Url>,
    /// A folder of our own for answers that are not settled yet.
    pub spool: PathBuf,
    /// The longest that a question may be at work in 1C after it was cut off.
    pub quiet: Duration,
}

/// What one stream reads.
#[derive(Debug, Clone)]
pub struct Read {
    /// The stream.
    pub stream: StreamName,
    /// `Catalog_Номенклатура`, `AccumulationRegister_ТоварыНаСкладах/Balance`.
    pub entity: String,
    /// Only these properties; all where it is empty.
    pub select: Vec<String>,
    /// References whose records come along.
    pub expand: Vec<String>,
    /// `$filter`, raw.
    pub filter: Option<String>,
    /// Properties and the values they must have.
    pub equals: Vec<(String, String)>,
    /// Parameters of a virtual table.
    pub parameters: Vec<(String, String)>,
    /// Leave out what the user may not see, where access is restricted by records.
    pub allowed_only: bool,
    /// Ask for Atom instead of JSON.
    pub atom: bool,
    /// What is left as 1C writes it.
    pub keep: Keep,
    /// Dates without the offset of the base's zone.
    pub plain_dates: bool,
    /// A record that is marked for deletion is a delete.
    pub marked_is_deleted: bool,
    /// Who reads which fields of it.
    pub readers: Vec<Reader>,
}

impl Read {
    /// All records of an object, with all of their fields, as JSON.
    pub fn all(stream: StreamName, entity: impl Into<String>) -> Self {
        Self {
            stream,
            entity: entity.into(),
            select: Vec::new(),
            expand: Vec::new(),
            filter: None,
            equals: Vec::new(),
            parameters: Vec::new(),
            allowed_only: false,
            atom: false,
            keep: Keep::default(),
            plain_dates: false,
            marked_is_deleted: false,
            readers: Vec::new(),
        }
    }
}

/// Somebody who takes the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// In words: "route orders-to-shop".
    pub by: String,
    /// Fields from the root, as `Товары.Цена`; an empty one is all of it.
    pub paths: Vec<String>,
}
