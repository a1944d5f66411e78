//! Records that are pushed to us: a bounded queue between the HTTP server and the engine.

mod options;
mod parse;
mod source;

pub use options::Options;
pub use parse::{ElementError, one};
pub use source::{PushHandle, PushRefusal, PushSource, open};
