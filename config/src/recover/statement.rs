//! What a text consists of, whether or not it is TOML: headers, and keys with their values.

use std::ops::Range;

/// A header of a table, or a key and its value over as many lines as it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Whole lines.
    pub range: Range<usize>,
    /// Which of the two.
    pub kind: Kind,
    /// Where a text, a list or a table begins that does not end before the next header.
    pub unclosed: Option<usize>,
}

/// What a statement is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `[routes.out]`
    Header,
    /// `to = "shop"`
    Value,
}

/// All statements, in order. `tables` are the names that headers begin with: inside of what is not closed, only those
/// are taken for headers.
pub fn all(text: &str, tables: &[&str]) -> Vec<Statement> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let end = next_line(text, at);
        let line = text[at..end].trim_start();
        if line.is_empty() || line.starts_with('#') {
            at = end;
        } else if line.starts_with('[') {
            found.push(Statement { range: at..end, kind: Kind::Header, unclosed: None });
            at = end;
        } else {
            let (end, unclosed) = value_end(text, at, tables);
            found.push(Statement { range: at..end, kind: Kind::Value, unclosed });
            at = end;
        }
    }
    found
}

/// Where the statement that begins at `at` ends, and what in it does not.
fn value_end(text: &str, mut at: usize, tables: &[&str]) -> (usize, Option<usize>) {
    let mut open: Vec<usize> = Vec::new();
    while let Some(byte) = text.as_bytes().get(at) {
        match byte {
            b'#' => at = line_end(text, at),
            b'"' | b'\'' => match text_end(text, at, tables) {
                Ok(end) => at = end,
                Err(end) => return (end, Some(at)),
            },
            b'[' | b'{' => {
                open.push(at);
                at += 1;
            }
            b']' | b'}' => {
                open.pop();
                at += 1;
            }
            b'\n' => {
                at += 1;
                match open.first() {
                    None => return (at, None),
                    Some(first) if is_header(text, at, tables) => return (at, Some(*first)),
                    Some(_) => {}
                }
            }
            _ => at += 1,
        }
    }
    (text.len(), open.first().copied())
}

/// The end of the text that begins at `at`; the error says where it has to end at the latest.
pub fn text_end(text: &str, at: usize, tables: &[&str]) -> Result<usize, usize> {
    let quote = &text[at..at + 1];
    let three = quote.repeat(3);
    if !text[at..].starts_with(&three) {
        return Ok(short_text_end(text, at).unwrap_or_else(|| line_end(text, at)));
    }
    let close = text[at + 3..].find(&three).map(|close| at + 3 + close);
    let mut line = next_line(text, at);
    while line < text.len() && close.is_none_or(|close| line < close) {
        if is_header(text, line, tables) {
            return Err(line);
        }
        line = next_line(text, line);
    }
    let Some(close) = close else { return Err(text.len()) };
    // One or two quotes more belong to the text.
    let more = text[close + 3..].bytes().take(2).take_while(|byte| *byte == quote.as_bytes()[0]).count();
    Ok(close + 3 + more)
}

/// The end of a text in one line, if its quote comes again.
pub fn short_text_end(text: &str, at: usize) -> Option<usize> {
    let quote = text.as_bytes()[at];
    let end = line_end(text, at);
    let mut at = at + 1;
    while at < end {
        match text.as_bytes()[at] {
            b'\\' if quote == b'"' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
    None
}

fn is_header(text: &str, at: usize, tables: &[&str]) -> bool {
    let line = text[at..line_end(text, at)].trim_start();
    let Some(name) = line.strip_prefix("[[").or_else(|| line.strip_prefix('[')) else { return false };
    tables.iter().any(|table| name.trim_start().strip_prefix(table).is_some_and(|rest| rest.starts_with(['.', ']'])))
}

fn line_end(text: &str, at: usize) -> usize {
    text.as_bytes()[at..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| at + end)
}

fn next_line(text: &str, at: usize) -> usize {
    (line_end(text, at) + 1).min(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each statement as `first line…`, with `!` and its place where something is not closed.
    fn seen(text: &str) -> Vec<String> {
        let told = |statement: Statement| {
            let line = text[statement.range].lines().next().unwrap_or("").trim();
            statement.unclosed.map_or(line.to_owned(), |at| format!("{line} !{at}"))
        };
        all(text, &["routes", "tests"]).into_iter().map(told).collect()
    }

    #[test]
    fn statements_end_where_their_values_end() {
        assert_eq!(
            seen("a = 1\n# [x]\n\n[b] # c\n'c' = [\n  1, # ]\n]\nd = '''\n[e]\n'''\n"),
            ["a = 1", "[b] # c", "'c' = [", "d = '''"]
        );
        assert_eq!(
            seen("a = \"x\\\"y # z\"\nb = '\\'\nc = it's\nd = 1"),
            ["a = \"x\\\"y # z\"", "b = '\\'", "c = it's", "d = 1"]
        );
    }

    #[test]
    fn what_is_not_closed_ends_at_the_next_header() {
        assert_eq!(seen("a = '''\nb = 1\n[routes.\"я\"]\nc = 1"), ["a = ''' !4", "[routes.\"я\"]", "c = 1"]);
        assert_eq!(seen("a = [ { b = 1 }\n[[tests]]\nc = 1"), ["a = [ { b = 1 } !4", "[[tests]]", "c = 1"]);
        assert_eq!(seen("a = [\n [ 1 ],\n [\"routes\"]\n"), ["a = [ !4"]);
    }
}
