//! 1C:Enterprise by its own OData interface ("standard.odata").
//!
//! | file | idea |
//! |---|---|
//! | `model.rs`, `metadata.rs` | what a base publishes, and reading `$metadata` as a stream |
//! | `json.rs`, `atom.rs` | answers in both formats, taken apart while they arrive |
//! | `shape.rs` | one shape of a record, whichever format it came in |
//! | `address.rs` | addresses and literals as 1C reads them |
//! | `trouble.rs`, `mask.rs` | what 1C says instead of data, without the values in it |
//! | `options.rs` | what an operator may say |
//! | `base.rs` | requests, the pool of sessions, `$metadata` |
//! | `catalogue.rs` | what a base publishes, for a person |
//! | `identity.rs` | which base answers |
//! | `drift.rs`, `condition.rs` | what 1C has changed of what is read; the fields that a condition names |
//! | `question.rs` | what is asked of it for a stream |
//! | `rows.rs`, `table.rs`, `pages.rs` | the records of an answer, of a stream, of a whole list |
//! | `position.rs` | what is kept in a cursor by date |
//! | `plan.rs`, `node.rs`, `spool.rs` | an exchange plan as a feed: the cursor, the numbers of its node, answers on disk |
//! | `versions.rs` | comparing by `DataVersion` |
//! | `source.rs` | the `Source` |
//! | `base/send.rs`, `target/` | the `Target` |

mod address;
mod atom;
mod base;
mod catalogue;
mod condition;
mod drift;
mod identity;
mod json;
mod mask;
mod metadata;
mod model;
mod node;
mod options;
mod pages;
mod plan;
mod position;
mod question;
mod rows;
#[cfg(test)]
mod samples;
mod shape;
mod source;
mod spool;
mod table;
mod target;
#[cfg(test)]
mod tests;
mod trouble;
mod versions;

/// The parsers alone, for the benchmark that stands them beside others.
#[doc(hidden)]
pub mod parsers {
    pub use super::atom::{Feed, Item};
    pub use super::json::{Broken, Splitter, fields};
}

pub use catalogue::{Catalogue, Published};
pub use options::{BaseOptions, Changes, Options, Plan, Read, Reader, Signs};
pub use shape::Keep;
pub use source::OdataSource;
pub use target::{Gone, OdataTarget, Posting, Write};
