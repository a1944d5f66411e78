//! The files of a configuration and places in them.

use std::ops::Range;

/// One of the files in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(usize);

impl FileId {
    /// No file: for values that nobody wrote. Never shown.
    pub const NONE: FileId = FileId(usize::MAX);
}

/// A range of bytes in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Which file.
    pub file: FileId,
    /// Bytes from the start of that file.
    pub range: Range<usize>,
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

/// A place as people count: lines and characters from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name as the operator gave it, or as the include pattern found it.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Character (not byte) in the line, from 1.
    pub column: usize,
    /// The whole line, without its end.
    pub text: String,
    /// The marked bytes within `text`; a span over several lines is marked up to the end of its first.
    pub marked: Range<usize>,
}

/// Names and texts of all files read.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<(String, String)>,
}

impl Sources {
    /// Adds a file under the name that messages will show.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        self.files.push((name.into(), text.into()));
        FileId(self.files.len() - 1)
    }

    /// The text of a file.
    pub fn text(&self, file: FileId) -> &str {
        &self.files[file.0].1
    }

    /// The name of a file.
    pub fn name(&self, file: FileId) -> &str {
        &self.files[file.0].0
    }

    /// Like [`Sources::place`], with every character of the secrets in that line shown as `*`.
    pub fn place_without(&self, span: &Span, secrets: &[Span]) -> Place {
        let place = self.place(span);
        let whole = self.text(span.file);
        let start = floor_char(whole, span.range.start);
        let line_start = whole[..start].rfind('\n').map_or(0, |at| at + 1);
        let hidden = |at: usize| secrets.iter().any(|s| s.file == span.file && s.range.contains(&(line_start + at)));
        let (mut text, mut marked) = (String::new(), place.marked.clone());
        for (at, c) in place.text.char_indices() {
            // The mask is one byte, the character may have been more: the marks move with it.
            if at == place.marked.start {
                marked.start = text.len();
            }
            if at == place.marked.end {
                marked.end = text.len();
            }
            text.push(if hidden(at) && !matches!(c, '"' | '\'') { '*' } else { c });
        }
        if place.marked.start == place.text.len() {
            marked.start = text.len();
        }
        if place.marked.end == place.text.len() {
            marked.end = text.len();
        }
        Place { text, marked, ..place }
    }

    /// Finds line and column of a span's start. Offsets past the end mean the end of the file.
    pub fn place(&self, span: &Span) -> Place {
        let text = self.text(span.file);
        let start = floor_char(text, span.range.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let line = text[line_start..line_end].trim_end_matches('\r');
        let end = floor_char(text, span.range.end).clamp(start, line_start + line.len().max(start - line_start));
        Place {
            file: self.name(span.file).to_owned(),
            line: text[..start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            text: line.to_owned(),
            marked: (start - line_start).min(line.len())..(end - line_start).min(line.len()),
        }
    }
}

fn floor_char(text: &str, offset: usize) -> usize {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    offset
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn secrets_are_masked_and_marks_move_with_them() {
        let mut sources = Sources::default();
        let text = "a = \"пароль\", b = \"Я\"";
        let file = sources.add("routes.toml", text);
        let at = |needle: &str| text.find(needle).unwrap()..text.find(needle).unwrap() + needle.len();
        let secret = [Span { file, range: at("\"пароль\"") }];
        let place = sources.place_without(&Span { file, range: at("\"Я\"") }, &secret);
        assert_eq!((place.text.as_str(), &place.text[place.marked.clone()]), ("a = \"******\", b = \"Я\"", "\"Я\""));
        let place = sources.place_without(&secret[0], &secret);
        assert_eq!(&place.text[place.marked.clone()], "\"******\"");
    }

    #[test]
    fn columns_count_characters_and_spans_end_with_their_line() {
        let mut sources = Sources::default();
        let text = "a = 1\r\n\"Имя\" = '''x\ny'''\n";
        let file = sources.add("routes.toml", text);
        let start = text.find("'''").unwrap();
        let place = sources.place(&Span { file, range: start..text.len() });
        assert_eq!((place.line, place.column, place.text.as_str()), (2, 9, "\"Имя\" = '''x"));
        assert_eq!(&place.text[place.marked], "'''x");
        let end = sources.place(&Span { file, range: 999..1000 });
        assert_eq!((end.line, end.column, end.marked), (4, 1, 0..0));
    }
}
