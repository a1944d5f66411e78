//! What people write who do not know TOML, and what to write instead.

use std::ops::Range;

use toml::de::DeValue;

use super::secret;
use super::statement::{short_text_end, text_end};

/// A place in a statement, what is wrong there and what to write.
#[derive(Debug, PartialEq, Eq)]
pub struct Advice {
    pub range: Range<usize>,
    pub message: String,
    pub hint: String,
}

/// Quotes of word processors.
const QUOTES: [char; 8] = ['«', '»', '“', '”', '„', '‘', '’', '‚'];

/// Words for yes and no in other languages than TOML.
const WORDS: [(&str, &[&str]); 2] =
    [("true", &["yes", "on", "true", "да", "истина"]), ("false", &["no", "off", "false", "нет", "ложь"])];

/// What a text, list or table needs that does not end.
pub fn unclosed(text: &str, open: usize) -> Advice {
    let quotes = ["'''", "\"\"\""].into_iter().find(|quotes| text[open..].starts_with(quotes));
    let (what, end, length) = match (quotes, &text[open..open + 1]) {
        (Some(quotes), _) => ("text", quotes, 3),
        (None, "[") => ("list", "]", 1),
        _ => ("table", "}", 1),
    };
    let hint = format!("end it with {end} before the next table; what follows up to there was not read");
    Advice { range: open..open + length, message: format!("the {what} that begins here does not end"), hint }
}

/// What is wrong with the values of one statement under this header, as far as it can be told.
pub fn of(statement: &str, header: &str) -> Vec<Advice> {
    let mut found = Vec::new();
    let Some(equals) = statement.find('=') else {
        found.extend(no_equals(statement));
        return found;
    };
    let key = statement[..equals].trim();
    if let Some((at, quote)) = statement[..equals].char_indices().find(|(_, c)| QUOTES.contains(c)) {
        found.push(smart(at, quote));
        return found;
    }
    if statement[equals + 1..].split('#').next().is_some_and(|value| value.trim().is_empty()) {
        let (message, hint) = ("the value is missing".to_owned(), format!("write {key} = \"…\""));
        found.push(Advice { range: equals..equals + 1, message, hint });
        return found;
    }
    let (open, at, key) = (Vec::new(), equals + 1, key.to_owned());
    let mut scan = Scan { statement, at, key, open, value: true, given: None };
    while let Some(token) = scan.next() {
        match token {
            Ok(range) => found.extend(judge(statement, header, range, &scan)),
            Err(advice) => found.push(advice),
        }
    }
    found
}

/// Goes from value to value.
struct Scan<'a> {
    statement: &'a str,
    at: usize,
    /// The key that the next value belongs to.
    key: String,
    open: Vec<u8>,
    /// A value comes next, not a key.
    value: bool,
    /// Where a value has ended: only a comma or a bracket may follow.
    given: Option<usize>,
}

impl<'a> Scan<'a> {
    /// The place of the next value that is a text or stands bare; the error is what stands between values.
    fn next(&mut self) -> Option<Result<Range<usize>, Advice>> {
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

fn is_long(text: &str) -> bool {
    text.starts_with("'''") || text.starts_with("\"\"\"")
}

fn no_blank(range: Range<usize>) -> Advice {
    let (message, hint) = ("this is no ordinary space".to_owned(), "write a space in its place".to_owned());
    Advice { range, message, hint }
}

fn judge(statement: &str, header: &str, range: Range<usize>, scan: &Scan<'_>) -> Option<Advice> {
    let (token, key) = (&statement[range.clone()], &scan.key);
    let line_start = statement[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let line = statement[line_start..].lines().next().unwrap_or("");
    let first = statement.lines().next().unwrap_or("");
    let shown = |text: &str| secret::shown(text, line, &[header, first]);
    let advice =
        |range: Range<usize>, message: &str, hint: String| Some(Advice { range, message: message.to_owned(), hint });
    if token.starts_with(['"', '\'']) {
        return quoted(token, range, key, &shown);
    }
    if DeValue::parse(token).is_ok() {
        return None;
    }
    if let Some(quote) = token.chars().next().filter(|first| QUOTES.contains(first)) {
        return Some(smart(range.start, quote));
    }
    if let Some((word, _)) = WORDS.iter().find(|(_, words)| words.contains(&token.to_lowercase().as_str())) {
        return advice(range, "true and false are the only words for yes and no", format!("write {key} = {word}"));
    }
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if let Some((whole, part)) = token.split_once(',').filter(|(whole, part)| digits(whole) && digits(part)) {
        let comma = range.start + whole.len();
        return advice(comma..comma + 1, "a number has a point, no comma", format!("write {key} = {whole}.{part}"));
    }
    let example = match token.contains(['"', '\\']) {
        true => format!("{key} = '{}'", shown(token)),
        false => format!("{key} = \"{}\"", shown(token)),
    };
    advice(range, "a text without quotes", format!("texts stand in quotes: {example}"))
}

/// A text that does not end, or in which a backslash means nothing.
fn quoted(token: &str, range: Range<usize>, key: &str, shown: &dyn Fn(&str) -> String) -> Option<Advice> {
    let several = is_long(token);
    if !several && short_text_end(token, 0) != Some(token.len()) {
        let hint = format!("end it with {} in the same line; texts of several lines stand between '''", &token[..1]);
        let message = "the text that begins here does not end".to_owned();
        return Some(Advice { range: range.start..range.start + 1, message, hint });
    }
    let at = token.starts_with('"').then(|| wrong_escape(token)).flatten()?;
    let hint = match several {
        true => "put it between ''' instead, where backslashes are what they are".to_owned(),
        false => {
            let text = shown(&token[1..token.len() - 1]);
            format!("in single quotes it is what it is: {key} = '{text}'; paths may have / instead")
        }
    };
    let message = "in double quotes a backslash begins something special".to_owned();
    Some(Advice { range: range.start + at..range.start + at + 1, message, hint })
}

/// Where a backslash is followed by nothing that it could stand for.
fn wrong_escape(token: &str) -> Option<usize> {
    let mut rest = token.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if c != '\\' {
            continue;
        }
        let letter = rest.next().map_or(' ', |(_, letter)| letter);
        let digits = match letter {
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let known = "btnfre\"\\xuU\n\r".contains(letter) || (letter == ' ' && token.starts_with("\"\"\""));
        let from = at + 1 + letter.len_utf8();
        let hexadecimal =
            token.get(from..from + digits).is_some_and(|code| code.chars().all(|c| c.is_ascii_hexdigit()));
        if !known || !hexadecimal {
            return Some(at);
        }
    }
    None
}

fn smart(at: usize, quote: char) -> Advice {
    Advice {
        range: at..at + quote.len_utf8(),
        message: format!("`{quote}` is no quote here"),
        hint: "quotes are straight: \"…\" or '…'".to_owned(),
    }
}

/// `to: shop`
fn no_equals(statement: &str) -> Option<Advice> {
    let line = statement.lines().next()?;
    let (key, _) = line.split_once(':')?;
    let (at, key) = (key.len(), key.trim());
    let hint = format!("write {key} = …");
    Some(Advice { range: at..at + 1, message: "between a key and its value stands `=`".to_owned(), hint })
}

/// Where a key in other letters than English ones stands without quotes: TOML wants them, and its parser does not say so.
pub fn unquoted_name(statement: &str) -> Option<String> {
    let line = statement.lines().next()?;
    let header = line.trim_start().starts_with('[');
    let keys = if header { line } else { line.split('=').next()? };
    // Inside quotes anything may stand: the even parts are outside.
    let mut outside =
        keys.split(['"', '\'']).step_by(2).flat_map(|part| part.split(['[', ']', '.', ',', '{', ' ', '\t']));
    let name = outside.find(|part| part.chars().any(char::is_alphabetic) && !part.is_ascii())?;
    let example =
        if header { line.trim().replacen(name, &format!("\"{name}\""), 1) } else { format!("\"{name}\" = …") };
    Some(format!("a name in other letters than English ones needs quotes: {example}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_gets_what_to_write_instead() {
        let cases = [
            ("send = { method = \"PUT\" path = \"/{key}\" }", "path", "commas"),
            ("p = { rate = 5 burst = 2 }", "burst", "commas"),
            ("p = [ { a = 1 } { b = 2 } ]", "{", "commas"),
            ("p = [\n  \"a\"\n  \"b\",\n]", "\"", "commas"),
            ("p = [\n  \"a,\n  \"b\",\n]", "\"", "end it with \""),
            ("stream = \"or\"ders\"", "\"", "other quotes: '…'"),
            ("p = [ 'it's' ]", "'", "other quotes: \"…\""),
            ("to =", "=", "write to = \"…\""),
            ("to = # nobody", "=", "write to = \"…\""),
            ("every = \u{a0}\"5s\"", "\u{a0}", "a space"),
            ("every = \"5s\"\u{a0}", "\u{a0}", "a space"),
            ("url = http://x # y", "http://x", "texts stand in quotes: url = \"http://x\""),
            ("path = /in", "/in", "path = \"/in\""),
            ("every = 5s", "5s", "every = \"5s\""),
            ("at = 08:00-22:00", "08:00-22:00", "at = \"08:00-22:00\""),
            ("name = Склад № 1", "Склад № 1", "name = \"Склад № 1\""),
            ("listen = { path = /in/x, key = { env = \"K\" } }", "/in/x", "path = …"),
            ("keys = [a, \"b\"]", "a", "keys = "),
            ("list = [\n  1,\n  two, # 2\n]", "two", "list = \"two\""),
            ("name = «Склад»", "«", "quotes are straight"),
            ("name = “x”", "“", "quotes are straight"),
            ("„name“ = 1", "„", "quotes are straight"),
            ("margin = 1,5", ",", "write margin = 1.5"),
            ("adaptive = yes", "yes", "write adaptive = true"),
            ("adaptive = Нет", "Нет", "write adaptive = false"),
            ("adaptive = True", "True", "write adaptive = true"),
            ("state = \"C:\\data\\bus.db\"", "\\", "state = 'C:\\data\\bus.db'"),
            ("csv = C:\\maps\\a.csv", "C:\\maps\\a.csv", "csv = 'C:\\maps\\a.csv'"),
            ("when = \"\"\"match(.a, r'\\d')\"\"\"", "\\", "between '''"),
            ("name = 'x", "'", "end it with '"),
            ("name = \"x'", "\"", "end it with \""),
            ("to: shop", ":", "write to = …"),
        ];
        for (statement, marked, hint) in cases {
            let found = of(statement, "");
            assert_eq!(found.len(), 1, "{statement}: {found:?}");
            let hint = hint.replace("path = …", "path = \"…\"");
            assert_eq!(
                (&statement[found[0].range.clone()], found[0].hint.contains(&hint)),
                (marked, true),
                "{found:?}"
            );
        }
    }

    #[test]
    fn what_is_toml_gets_no_advice() {
        let good = [
            "a = 1",
            "a = -1.5e3",
            "a = true",
            "a = inf",
            "a = 2026-01-01T00:00:00Z",
            "a = \"\\u042F \\\\ \\\"\"",
            "a = 'C:\\x'",
            "a = { b = \"c\", 'd' = [1, 2.5, { e = false }] } # f",
            "a = '''\nb\n'''",
            // Neither is TOML, but there is nothing to say that the parser does not.
            "a = \"x\" b = \"y\"",
            "a = [1] [2]",
        ];
        for statement in good {
            assert_eq!(of(statement, ""), [], "{statement}");
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for statement in ["password = hunter2", "url = http://bus:hunter2@x", "url = \"C:\\hunter2\" # @"] {
            let found = of(statement, "");
            assert!(found.len() == 1 && !found[0].hint.contains("hunter2"), "{found:?}");
        }
    }
}
