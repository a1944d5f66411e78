//! What an address asks for.
//!
//! | file | idea |
//! |---|---|
//! | `address.rs` | the path: set, key, function, property |
//! | `options.rs` | `$filter`, `$orderby`, `$select` and the others |
//! | `token.rs`, `parse.rs` | the filter language, read |
//! | `check.rs` | what 1C refuses in it before it looks at any record |
//! | `eval.rs`, `functions.rs` | the filter, applied to a record |
//! | `path.rs` | values at a path through references |

pub mod address;
mod check;
mod eval;
mod functions;
pub mod options;
mod parse;
pub mod path;
mod token;

pub use check::check;
pub use eval::holds;
pub use parse::{Expr, parse};
