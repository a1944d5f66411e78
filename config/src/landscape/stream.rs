//! Streams: one entity each, its key, and what is asked of its source.

use std::time::Duration;

use bus_core::policy::Expectation;
use bus_core::vocabulary::StreamName;

/// One entity.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    /// Its name.
    pub name: StreamName,
    /// The columns a record is known by; at least one.
    pub key: Vec<String>,
    /// The column people search for.
    pub label: Option<String>,
    /// The column of dates that parts of it are read by.
    pub date: Option<String>,
    /// How often it changes at least.
    pub expect: Option<Expectation>,
    /// Which of its feed's records it takes, where the feed serves several streams.
    pub entity: Option<String>,
    /// What is asked of 1C, where it is read from there.
    pub odata: OdataRead,
    /// How long bodies are archived, if they are.
    pub archive: Option<Duration>,
    /// Fields that journal and archive never see, from the root.
    pub mask: Vec<Vec<String>>,
}

/// What is asked of 1C beside the name of the object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OdataRead {
    /// Only these properties; all where it is empty.
    pub select: Vec<String>,
    /// References whose records come along.
    pub expand: Vec<String>,
    /// Properties and the values they must have.
    pub equals: Vec<(String, String)>,
    /// A condition in 1C's own words.
    pub filter: Option<String>,
    /// Parameters of a virtual table.
    pub parameters: Vec<(String, String)>,
    /// Leave out what the user may not see.
    pub allowed_only: bool,
    /// Ask for Atom instead of JSON.
    pub atom: bool,
    /// Empty dates are not made null.
    pub empty_dates: bool,
    /// References of zeros are not made null.
    pub zero_references: bool,
    /// Blanks at the end of strings stay.
    pub padding: bool,
    /// Dates carry no offset.
    pub plain_dates: bool,
    /// A record that is marked for deletion is a deletion.
    pub marked_is_deleted: bool,
}
