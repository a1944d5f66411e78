//! The records of one answer, whatever its format, as they arrive.

use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::atom::{Feed, Item};
use super::base::{Answer, Failed};
use super::json::{self, Broken, Splitter};

/// Atom is taken apart when the whole answer is here: at most so much, then less is asked for.
const ATOM_BYTES: usize = 64 * 1024 * 1024;

/// Raw fields of one record, and how many bytes they were.
pub type Row = (Map<String, Value>, usize);

/// An answer being read.
pub struct Rows {
    answer: Option<Answer>,
    format: Format,
    ready: VecDeque<Row>,
}

enum Format {
    /// Nothing has arrived.
    Unknown,
    Json(Splitter),
    Atom(Vec<u8>),
}

impl Rows {
    /// Nothing is read yet.
    pub fn new(answer: Answer) -> Self {
        Self { answer: Some(answer), format: Format::Unknown, ready: VecDeque::new() }
    }

    /// The next record; `None` when the answer has ended, whole.
    pub async fn next(&mut self) -> Result<Option<Row>, Failed> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Ok(Some(row));
            }
            let Some(answer) = &mut self.answer else { return Ok(None) };
            match answer.chunk().await? {
                Some(chunk) => self.take(&chunk).map_err(broken)?,
                None => {
                    self.answer = None;
                    self.end().map_err(broken)?;
                }
            }
        }
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), Broken> {
        if matches!(self.format, Format::Unknown) {
            // 1C does not always answer in the format it was asked for.
            let first = chunk.iter().find(|byte| !b"\xEF\xBB\xBF \t\r\n".contains(byte));
            match first {
                None => return Ok(()),
                Some(b'<') => self.format = Format::Atom(Vec::new()),
                Some(_) => self.format = Format::Json(Splitter::default()),
            }
        }
        match &mut self.format {
            Format::Json(splitter) => splitter.push(chunk, |element| {
                self.ready.push_back((json::fields(element)?, element.len()));
                Ok(())
            }),
            Format::Atom(body) if body.len() + chunk.len() > ATOM_BYTES => Err(Broken::TooLarge),
            Format::Atom(body) => {
                body.extend_from_slice(chunk);
                Ok(())
            }
            Format::Unknown => Ok(()),
        }
    }

    fn end(&mut self) -> Result<(), Broken> {
        match std::mem::replace(&mut self.format, Format::Unknown) {
            Format::Json(splitter) => splitter.finish(),
            Format::Atom(body) => {
                let mut feed = Feed::new(body.as_slice());
                let before = self.ready.len();
                while let Some(item) = feed.next_item()? {
                    if let Item::Entry { fields, .. } = item {
                        self.ready.push_back((fields, 0));
                    }
                }
                let each = body.len() / (self.ready.len() - before).max(1);
                self.ready.iter_mut().skip(before).for_each(|row| row.1 = each);
                Ok(())
            }
            Format::Unknown => Err(Broken::Cut),
        }
    }
}

pub(super) fn broken(broken: Broken) -> Failed {
    Failed::Broken(broken.to_string())
}
