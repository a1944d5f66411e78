//! JSON answers, taken apart while they arrive: memory holds one element, however long the list is.

use serde_json::{Map, Value};

/// One element is at most so long: the fattest documents and record sets have a few megabytes.
pub(super) const ELEMENT_BYTES: usize = 64 * 1024 * 1024;

/// Why an answer is no list of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The connection was cut, or the server gave up in the middle.
    #[error("the answer ends in the middle")]
    Cut,
    /// Another format, or another server.
    #[error("the answer is no list of records: {0}")]
    Foreign(String),
    /// It would fill the memory.
    #[error("one record has more than {} MB", ELEMENT_BYTES / 1024 / 1024)]
    TooLarge,
}

/// Finds the elements of the top-level array `value`.
#[derive(Debug, Default)]
pub struct Splitter {
    /// Bytes of a byte order mark seen.
    mark: usize,
    begun: bool,
    depth: usize,
    string: bool,
    escape: bool,
    /// The last string of the outer object: the name of what follows.
    name: Vec<u8>,
    in_list: bool,
    list_seen: bool,
    element: Vec<u8>,
}

impl Splitter {
    /// Takes the next bytes and gives each element that ends in them.
    pub fn push(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8]) -> Result<(), Broken>) -> Result<(), Broken> {
        for &byte in bytes {
            if !self.begun && self.skip_mark(byte)? {
                continue;
            }
            if self.in_list && self.depth >= 2 {
                if self.element.len() >= ELEMENT_BYTES {
                    return Err(Broken::TooLarge);
                }
                if self.depth > 2 || byte == b'{' {
                    self.element.push(byte);
                }
            }
            if self.string {
                self.in_string(byte);
                continue;
            }
            match byte {
                b'"' => {
                    self.string = true;
                    if self.depth == 1 {
                        self.name.clear();
                    }
                }
                b'{' => self.depth += 1,
                b'[' => {
                    self.depth += 1;
                    if self.depth == 2 && self.name == b"value" {
                        (self.in_list, self.list_seen) = (true, true);
                    }
                }
                b'}' | b']' => {
                    self.depth = self.depth.checked_sub(1).ok_or_else(|| foreign("brackets do not match"))?;
                    if self.in_list && self.depth == 2 && byte == b'}' {
                        each(&self.element)?;
                        self.element.clear();
                    }
                    self.in_list &= self.depth >= 2;
                }
                b',' if self.depth == 1 => self.name.clear(),
                _ => {}
            }
        }
        Ok(())
    }

    /// After the last byte: whether it was the last one.
    pub fn finish(&self) -> Result<(), Broken> {
        match () {
            () if !self.begun || self.depth > 0 || self.string => Err(Broken::Cut),
            () if !self.list_seen => Err(foreign("it has no `value`")),
            () => Ok(()),
        }
    }

    fn in_string(&mut self, byte: u8) {
        let ends = byte == b'"' && !self.escape;
        self.escape = byte == b'\\' && !self.escape;
        if ends {
            self.string = false;
        } else if self.depth == 1 && self.name.len() < 64 {
            self.name.push(byte);
        }
    }

    /// Blanks and the mark before the first brace.
    fn skip_mark(&mut self, byte: u8) -> Result<bool, Broken> {
        const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => Ok(true),
            _ if self.mark < 3 && byte == MARK[self.mark] => {
                self.mark += 1;
                Ok(true)
            }
            b'{' => {
                self.begun = true;
                Ok(false)
            }
            b'<' => Err(foreign("it is a page or XML")),
            _ => Err(foreign("it is no JSON")),
        }
    }
}

/// One element as fields. What a list holds but objects is no record.
pub fn fields(element: &[u8]) -> Result<Map<String, Value>, Broken> {
    serde_json::from_slice(element)
        .map_err(|error| foreign(&format!("an element is no JSON object ({:?})", error.classify())))
}

fn foreign(why: &str) -> Broken {
    Broken::Foreign(why.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn split(text: &[u8], chunk: usize) -> Result<Vec<String>, Broken> {
        let (mut splitter, mut found) = (Splitter::default(), Vec::new());
        for bytes in text.chunks(chunk) {
            splitter.push(bytes, |element| {
                fields(element)?;
                found.push(String::from_utf8_lossy(element).into_owned());
                Ok(())
            })?;
        }
        splitter.finish().map(|()| found)
    }

    #[test]
    fn elements_are_found_wherever_the_bytes_are_cut() {
        let text = "\u{feff}{\r\n\"odata.metadata\": \"value\",\"x\":[{\"value\":[1]}],\r\n\"value\": [{\"а\": \"]}\\\"{\", \
                    \"ряд\":[{\"Ц\":1.10}]},\r\n{}],\"odata.count\":\"2\"}";
        let expected = vec!["{\"а\": \"]}\\\"{\", \"ряд\":[{\"Ц\":1.10}]}".to_owned(), "{}".to_owned()];
        for chunk in [1, 2, 7, 4096] {
            assert_eq!(split(text.as_bytes(), chunk).unwrap(), expected, "{chunk}");
        }
        assert_eq!(split(b"{\"value\":[]}", 1).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_answer_that_is_not_whole_is_never_a_short_list() {
        let text = r#"{"value":[{"a":"x"},{"b":2}]}"#;
        for end in 0..text.len() {
            assert_eq!(split(&text.as_bytes()[..end], 5), Err(Broken::Cut), "{end}");
        }
        for other in ["<html></html>", r#"{"odata.error":{}}"#, "no", "{]}"] {
            assert!(split(other.as_bytes(), 3).is_err(), "{other}");
        }
    }
}
