//! The configuration language of the bus: `routes.toml`, from text to a resolved [`Landscape`].
//!
//! Reading goes `load` (files to tables, by the declarations in `language`) → `resolve` (what only shows when options
//! are seen together) → [`Landscape`]. Every mistake of every file is found in one run. Programs and paths are compiled
//! while reading, by [`shape`].

mod check;
mod files;
mod landscape;
mod language;
mod load;
pub mod maps;
pub mod onec;
mod programs;
mod recover;
mod reference;
mod resolve;
pub mod shape;

pub use check::{Checked, check};
pub use files::{Print, print};
pub use landscape::*;
pub use reference::{json_schema, reference_markdown};
