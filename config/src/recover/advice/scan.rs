//! Goes through a statement from value to value.

use std::ops::Range;

use super::words::{Advice, no_blank};
use crate::recover::statement::{short_text_end, text_end};

/// See the module's comment.
pub struct Scan<'a> {
    pub statement: &'a str,
    at: usize,
    /// The key that the next value belongs to.
    pub key: String,
    open: Vec<u8>,
    /// A value comes next, not a key.
    value: bool,
    /// Where a value has ended: only a comma or a bracket may follow.
    given: Option<usize>,
}

impl<'a> Scan<'a> {
    /// Begins at `at`, with the value of this key.
    pub fn of_value(statement: &'a str, at: usize, key: &str) -> Self {
        Self { statement, at, key: key.to_owned(), open: Vec::new(), value: true, given: None }
    }

    /// The place of the next value that is a text or stands bare; the error is what stands between values.
    pub fn next(&mut self) -> Option<Result<Range<usize>, Advice>> {
        while let Some(c) = self.statement[self.at..].chars().next() {
            let begin = self.at;
            if let Some(end) = self.given.filter(|_| !c.is_whitespace() && !"#,]}=".contains(c)) {
                self.given = None;
                return self.after_a_value(begin, end).map(Err);
            }
            self.at += c.len_utf8();
            match c {
                '#' => self.at = begin + self.statement[begin..].find('\n').unwrap_or(self.statement.len() - begin),
                '[' | '{' => {
                    self.open.push(c as u8);
                    self.value = c == '[';
                }
                ']' | '}' => {
                    self.open.pop();
                    self.given = Some(self.at);
                }
                ',' => (self.value, self.given) = (self.open.last() == Some(&b'['), None),
                '=' => (self.value, self.given) = (true, None),
                ' ' | '\t' | '\r' | '\n' => {}
                c if c.is_whitespace() => return Some(Err(no_blank(begin..self.at))),
                '"' | '\'' => {
                    self.at = text_end(self.statement, begin, &[]).unwrap_or_else(|end| end);
                    let token = &self.statement[begin..self.at];
                    if self.value {
                        // One that does not end may have taken a comma with it.
                        self.given = (is_long(token) || short_text_end(token, 0).is_some()).then_some(self.at);
                        return Some(Ok(begin..self.at));
                    }
                    self.key = token.to_owned();
                }
                _ => {
                    let token = self.bare(begin);
                    self.at = begin + token.len();
                    if self.value {
                        self.given = Some(self.at);
                        return Some(Ok(begin..self.at));
                    }
                    self.key = token.to_owned();
                }
            }
        }
        None
    }

    /// The key or the value without quotes that begins here.
    fn bare(&self, begin: usize) -> &'a str {
        let ends: &[char] = match (self.value, self.open.is_empty()) {
            (true, true) => &['\n', '#'],
            (true, false) => &['\n', '#', ',', ']', '}'],
            (false, _) => &['\n', '#', ',', ']', '}', '='],
        };
        let rest = &self.statement[begin..];
        let token = rest[..rest.find(ends).unwrap_or(rest.len())].trim_end();
        // `{ rate = 5 burst = 2 }`
        let (before, _) = token.split_once('=').unwrap_or_default();
        let words = before.split_whitespace().count();
        match before.split_whitespace().next().filter(|_| self.value && self.open.last() == Some(&b'{') && words == 2) {
            Some(first) => first,
            None => token,
        }
    }

    /// What is wrong when something begins where a value has just ended.
    fn after_a_value(&mut self, begin: usize, end: usize) -> Option<Advice> {
        let last = self.statement[..end].chars().next_back().unwrap_or(' ');
        if begin == end && ['"', '\''].contains(&last) {
            self.at = self.statement.len();
            let other = if last == '"' { "'…'" } else { "\"…\"" };
            let hint = format!("a text with {last} in it stands between other quotes: {other}");
            return Some(Advice { range: end - 1..end, message: "the text ends here already".to_owned(), hint });
        }
        if self.open.is_empty() {
            // Nothing can be told about what follows: the parser's own words have to do.
            return None;
        }
        self.value = self.open.last() == Some(&b'[');
        let rest = &self.statement[begin..];
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
        let length = rest.find(|c| !word(c)).unwrap_or(rest.len()).max(first);
        let hint = "values of a list or a table stand apart by commas".to_owned();
        Some(Advice { range: begin..begin + length, message: "a comma is missing before this".to_owned(), hint })
    }
}

/// Whether a text may have several lines.
pub fn is_long(text: &str) -> bool {
    text.starts_with("'''") || text.starts_with("\"\"\"")
}
