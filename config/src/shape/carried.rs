//! What travels beside a program, because the program could not hold it exactly.

use vrl::path::OwnedSegment;

/// Begins the mark of a carried value. No source writes NUL into a text; one that does is carried too.
pub const MARK: &str = "\0carried:";

/// Such a value.
#[derive(Debug)]
pub struct Carried {
    pub path: Vec<OwnedSegment>,
    /// JSON text.
    pub raw: String,
}
