//! Lines that hang below each other, within the terminal's width.

use chrono_tz::Tz;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::shown;

/// How it is printed.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Columns.
    pub width: usize,
    /// ANSI colours; only for a terminal.
    pub colour: bool,
    /// Times are told in it.
    pub timezone: Tz,
}

/// A line and what hangs below it.
pub struct Node {
    pub text: String,
    /// An SGR code for the whole line.
    pub colour: &'static str,
    pub below: Vec<Node>,
}

pub const PLAIN: &str = "";
pub const BOLD: &str = "1";
pub const GREEN: &str = "32";
pub const RED: &str = "31";
pub const YELLOW: &str = "33";
pub const DIM: &str = "2";
/// Below this nothing can be read; a narrower terminal wraps by itself.
const LEAST: usize = 40;

/// One without colour, and nothing below it.
pub fn node(text: impl Into<String>) -> Node {
    Node { text: text.into(), colour: PLAIN, below: Vec::new() }
}

/// Prints it and all below it; `first` begins its own first line, `rest` the others.
pub fn print(node: &Node, first: &str, rest: &str, style: &Style, out: &mut String) {
    let room = style.width.max(LEAST).saturating_sub(rest.width().max(first.width()));
    for (index, line) in wrapped(&node.text, room).iter().enumerate() {
        let lead = if index == 0 { first } else { rest };
        let continues = if index > 0 { if node.below.is_empty() { "  " } else { "│ " } } else { "" };
        let line = format!("{continues}{line}");
        match (style.colour, node.colour) {
            (true, code) if !code.is_empty() => out.push_str(&format!("{lead}\x1b[{code}m{line}\x1b[0m\n")),
            _ => out.push_str(&format!("{lead}{line}\n")),
        }
    }
    for (index, below) in node.below.iter().enumerate() {
        let last = index + 1 == node.below.len();
        let (branch, stem) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        print(below, &format!("{rest}{branch}"), &format!("{rest}{stem}"), style, out);
    }
}

/// Lines of at most `room` columns; continued ones leave two more for their indent. A word that is longer is cut.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let room = room.saturating_sub(2).max(10);
    let (mut lines, mut line) = (Vec::new(), String::new());
    let mut width = 0;
    for word in words_of(text).iter().flat_map(|word| pieces(word, room)) {
        let needs = word.width() + usize::from(!line.is_empty());
        if width + needs > room && !line.is_empty() {
            lines.push(std::mem::take(&mut line));
            width = 0;
        }
        if !line.is_empty() {
            line.push(' ');
            width += 1;
        }
        width += word.width();
        line.push_str(&word);
    }
    lines.push(line);
    lines
}

/// A time of day stays with what it is the time of: alone on a line it says nothing.
fn words_of(text: &str) -> Vec<String> {
    let is_time = |word: &str| {
        let bytes = word.as_bytes();
        matches!(bytes, [a, b, b':', c, d, ..] if [a, b, c, d].iter().all(|digit| digit.is_ascii_digit()))
    };
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match words.last_mut() {
            Some(last) if is_time(word) => {
                last.push(' ');
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn pieces(word: &str, room: usize) -> Vec<String> {
    let (mut pieces, mut piece, mut width) = (Vec::new(), String::new(), 0);
    // Terminals obey control characters, and an answer may hold any.
    for c in word.chars().map(shown::shown) {
        let columns = c.width().unwrap_or(0);
        if width + columns > room {
            pieces.push(std::mem::take(&mut piece));
            width = 0;
        }
        width += columns;
        piece.push(c);
    }
    pieces.push(piece);
    pieces
}

#[cfg(test)]
#[path = "lines_tests.rs"]
mod tests;
