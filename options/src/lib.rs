//! Options of the bus: declared once, and parser, check, JSON schema and reference follow.
//!
//! [`options!`] declares a table, [`choices!`] a set of words. Reading collects every mistake into a [`Report`] and
//! never stops at the first one; [`Diagnostic`] is a mistake with its file, line, column, source line and hint.
//! Connectors declare their options with this crate; it knows nothing of routes or transforms.

mod code;
mod declare;
mod defaults;
mod diagnostic;
mod map;
mod name;
mod number;
mod reader;
mod reference;
mod render;
mod script;
mod secret;
mod source;
mod suggest;
mod text;
mod units;
mod value;

pub use code::{Code, codes};
#[doc(hidden)]
pub use declare::doc as declare_doc;
pub use defaults::{DefaultsOf, Own, Shares};
pub use diagnostic::{Diagnostic, Report};
pub use map::{Definitions, Entry, Map, Referring};
pub use name::{EntityName, Ref, RefEither};
pub use number::{Percent, Whole};
pub use reader::{Node, Reader};
pub use reference::{Declaration, Declared, Presence, Row, markdown, object_schema, tagged_schema};
pub use render::{Colour, to_json, to_text};
pub use script::Script;
pub use secret::{SecretError, SecretOr, SecretRef};
pub use source::{FileId, Located, Place, Sources, Span};
pub use suggest::nearest;
pub use text::Filled;
pub use units::{Bytes, Millis, Seconds};
pub use value::{Apart, OneOrMany, OptionValue};

#[doc(hidden)]
pub mod private {
    //! What the macros need from their users' crates.
    pub use serde_json;
}
