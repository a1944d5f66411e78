//! Rows of a SELECT as records: PostgreSQL and SQLite.
//!
//! | file | idea |
//! |---|---|
//! | `options.rs` | what an operator may say |
//! | `asked.rs` | what both systems are asked with, and mistakes that are the same at both |
//! | `query.rs` | finds `:cursor` in the operator's SELECT |
//! | `position.rs` | what is kept in the cursor |
//! | `page.rs` | where a page may end: never inside a run of equal cursor values |
//! | `row.rs` | columns to one JSON object and a key |
//! | `reach.rs` | what a database says of itself, whatever is read there |
//! | `source.rs` | the `Source` that hands over to one of the two |
//! | `postgres/`, `sqlite/` | each system's own way to ask, and `classify.rs`: whose fault a failure is |

mod asked;
mod options;
mod page;
mod position;
mod postgres;
mod reach;
mod row;
mod source;
mod sqlite;

pub use options::{Address, CursorColumn, Options, Overlap};
pub use reach::reach;
pub use source::SqlSource;
