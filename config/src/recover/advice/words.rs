//! What is wrong at a place of a statement, and what to write there instead.

use std::ops::Range;

/// See the module's comment.
#[derive(Debug, PartialEq, Eq)]
pub struct Advice {
    pub range: Range<usize>,
    pub message: String,
    pub hint: String,
}

/// Quotes of word processors.
pub const QUOTES: [char; 8] = ['«', '»', '“', '”', '„', '‘', '’', '‚'];

/// A quote of a word processor.
pub fn smart(at: usize, quote: char) -> Advice {
    Advice {
        range: at..at + quote.len_utf8(),
        message: format!("`{quote}` is no quote here"),
        hint: "quotes are straight: \"…\" or '…'".to_owned(),
    }
}

/// A space that TOML does not know.
pub fn no_blank(range: Range<usize>) -> Advice {
    let (message, hint) = ("this is no ordinary space".to_owned(), "write a space in its place".to_owned());
    Advice { range, message, hint }
}
