//! The position of a feed in its source.

use std::fmt;

/// An opaque position: only the source that wrote it can read it. The engine stores and compares it byte by byte.
#[derive(Clone, PartialEq, Eq)]
pub struct Cursor(String);

impl Cursor {
    /// Wraps the source's own text (JSON by custom, so that a person can read it).
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The source's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A cursor may hold a key's value: `{:?}` in a log shows only the length.
impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cursor({} bytes)", self.0.len())
    }
}
