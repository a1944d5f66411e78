//! Maps: dictionaries from a source's values to a receiver's, and what a lookup does with a value that one lacks.

mod catalogue;
mod csv;
mod lookup;
mod table;
mod unknown;

pub use catalogue::{Catalogue, Handle};
pub use csv::{CsvFile, Encoding};
pub use lookup::{Found, Stop, look_up};
pub use table::{Entries, Table};
pub use unknown::Unknown;
