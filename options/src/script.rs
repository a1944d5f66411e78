//! A text in another language (a transform, a path): places inside it are places in the file.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Value, json};

use crate::{Node, OptionValue, Report, Span};

/// A text whose every byte knows where it stands in the file, whatever quotes and escapes it was written with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The text.
    pub text: String,
    /// The whole value in the file, with its quotes.
    pub span: Span,
    /// For each byte of `text`, and one past its end: the offset in the file. `None` when they could not be matched.
    offsets: Option<Vec<usize>>,
}

impl Script {
    /// The span in the file of a range of bytes of `text`.
    pub fn span_of(&self, range: Range<usize>) -> Span {
        let Some(offsets) = &self.offsets else { return self.span.clone() };
        let last = offsets.len() - 1;
        let (start, end) = (offsets[range.start.min(last)], offsets[range.end.min(last)]);
        Span { file: self.span.file, range: start..end.max(start) }
    }
}

impl OptionValue for Script {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let text = node.text("a text", report)?.to_owned();
        let span = node.span();
        let offsets = decode(node.raw(), span.range.start).filter(|(decoded, _)| *decoded == text).map(|(_, map)| map);
        Some(Self { text, span, offsets })
    }
    fn kind() -> Cow<'static, str> {
        "text".into()
    }
    fn schema() -> Value {
        json!({"type": "string"})
    }
}

/// Decodes a TOML string once more, this time keeping the offset of each byte. `None` where it does not look like one.
fn decode(raw: &str, start: usize) -> Option<(String, Vec<usize>)> {
    let (quote, escapes) = match raw.get(..3) {
        Some("'''") => (3, false),
        Some("\"\"\"") => (3, true),
        _ => (1, raw.starts_with('"')),
    };
    let body = raw.get(quote..raw.len().checked_sub(quote)?)?;
    let mut at = quote;
    let mut rest = body;
    if quote == 3 {
        // A line end right after the opening quotes is not part of the text.
        let cut = rest.strip_prefix("\r\n").or_else(|| rest.strip_prefix('\n')).unwrap_or(rest);
        at += rest.len() - cut.len();
        rest = cut;
    }
    let (mut text, mut offsets) = (String::new(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let (length, decoded) = match first {
            '\\' if escapes => escape(rest)?,
            other => (other.len_utf8(), Some(other)),
        };
        if let Some(decoded) = decoded {
            text.push(decoded);
            // Bytes within one character all stand where it begins, shifted by what it has been read from.
            offsets.extend((0..decoded.len_utf8()).map(|byte| start + at + byte.min(length - 1)));
        }
        at += length;
        rest = &rest[length..];
    }
    offsets.push(start + at);
    Some((text, offsets))
}

/// Length and meaning of the escape at the start of `rest`; an escaped line end means nothing.
fn escape(rest: &str) -> Option<(usize, Option<char>)> {
    let letter = rest.chars().nth(1)?;
    let hexadecimal = |digits: usize| {
        let code = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
        Some((2 + digits, Some(char::from_u32(code)?)))
    };
    let simple = |meaning| Some((2, Some(meaning)));
    match letter {
        'n' => simple('\n'),
        't' => simple('\t'),
        'r' => simple('\r'),
        'b' => simple('\u{8}'),
        'f' => simple('\u{c}'),
        'e' => simple('\u{1b}'),
        '"' | '\\' => simple(letter),
        'x' => hexadecimal(2),
        'u' => hexadecimal(4),
        'U' => hexadecimal(8),
        _ => {
            let trimmed = rest[1..].trim_start_matches([' ', '\t', '\r', '\n']);
            Some((rest.len() - trimmed.len(), None))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::Sources;
    use toml::de::DeTable;

    /// Reads `a = …` and returns what stands in the file where `needle` stands in the text.
    fn in_file(toml: &str, needle: &str) -> String {
        let file = Sources::default().add("x", toml);
        let table = DeTable::parse(toml).unwrap();
        let node = Node::new(table.get_ref().get("a").unwrap(), toml, file);
        let script = Script::read(node, &mut Report::default()).unwrap();
        let at = script.text.find(needle).unwrap();
        toml[script.span_of(at..at + needle.len()).range].to_owned()
    }

    #[test]
    fn places_survive_every_kind_of_quotes() {
        assert_eq!(in_file("a = '.Имя == 1'", "=="), "==");
        assert_eq!(in_file("a = '''\n.x\n.Имя == 1\n'''", "Имя"), "Имя");
        assert_eq!(in_file("a = '''\r\n.x\r\n.y\r\n'''", ".y"), ".y");
        assert_eq!(in_file(r#"a = ".\"Имя\" == 1""#, "=="), "==");
        assert_eq!(in_file("a = \"\"\"x \\\n   .y \\u042F .z\"\"\"", ".z"), ".z");
        assert_eq!(in_file("a = \"\"\"x \\\n   .y \\u042F .z\"\"\"", "Я ."), "\\u042F .");
    }
}
