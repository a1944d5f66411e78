//! What of a line may be a secret, by the words in it and above it.

use std::ops::Range;

use super::statement::Statement;
use super::{header_of, line_around};

/// Whether a line may hold a secret. `above` is what it belongs to: the header, or the first line of its value.
pub fn may_be(line: &str, above: &[&str]) -> bool {
    let line = line.to_lowercase();
    named(&line) || above.iter().any(|above| is_of_headers(above)) || (is_address(&line) && beyond_host(&line))
}

/// What may be shown of a text in such a line: of an address the host, of anything else nothing.
pub fn shown(text: &str, line: &str, above: &[&str]) -> String {
    if !may_be(line, above) {
        return text.to_owned();
    }
    let hidden = named(&line.to_lowercase()) || above.iter().any(|above| is_of_headers(above)) || line.contains('@');
    match text.split_once("://").filter(|_| !hidden) {
        Some((scheme, rest)) => format!("{scheme}://{}/…", rest.split(ENDS_HOST).next().unwrap_or("")),
        None => "…".to_owned(),
    }
}

/// What may be a secret in the line of a mistake; else nothing.
pub fn in_line(text: &str, statements: &[Statement], at: usize) -> Range<usize> {
    let range = line_around(text, at.min(text.len()));
    let line = &text[range.clone()];
    let mut above = Vec::new();
    if let Some(statement) = statements.iter().rposition(|statement| statement.range.start <= at) {
        above.extend(header_of(statements, statement).map(|header| &text[statements[header].range.clone()]));
        let value = &statements[statement].range;
        above.extend(value.contains(&at).then(|| text[value.clone()].lines().next().unwrap_or("")));
    }
    if !may_be(line, &above) {
        return range.start..range.start;
    }
    // A line may be the middle of a text: only what is one word stands for a key.
    let key = line.find(['=', ':']).filter(|end| line[..*end].split_whitespace().count() == 1);
    range.start + key.unwrap_or(0)..range.end
}

/// What ends the host of an address.
const ENDS_HOST: [char; 7] = ['/', '?', '#', '\\', ' ', '"', '\''];

fn named(line: &str) -> bool {
    ["pass", "secret", "token", "key", "auth", "header"].iter().any(|word| line.contains(word))
}

/// `[systems.shop.headers]`, or `headers = {`
fn is_of_headers(above: &str) -> bool {
    let first = above.split('=').next().unwrap_or("");
    let mut names = first.split(['.', '[', ']', '"', '\'']);
    names.any(|name| name.trim() == "headers")
}

fn is_address(line: &str) -> bool {
    ["url", "broker", "://"].iter().any(|word| line.contains(word))
}

/// Whether there is more in an address than its host: that may be a password or a key.
fn beyond_host(line: &str) -> bool {
    let value = line.split_once('=').map_or(line, |(_, value)| value);
    let after = value.split_once("://").map_or(value, |(_, rest)| rest);
    let path = after.split_once('/').map_or("", |(_, path)| path);
    line.contains(['@', '?'])
        || path.starts_with(|c: char| !c.is_whitespace() && !['"', '\'', ',', '}', '#'].contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_address_only_the_host_is_shown() {
        let cases = [
            ("url = https://x", "https://x", "https://x"),
            ("url = https://x:80/ # y", "https://x:80/", "https://x:80/"),
            ("url = https://x/bot1:hunter2/send", "https://x/bot1:hunter2/send", "https://x/…"),
            ("url = https://x?a=hunter2", "https://x?a=hunter2", "https://x/…"),
            ("server = smtps://u:hun/ter2@x", "smtps://u:hun/ter2@x", "…"),
            ("url = x/hunter2", "x/hunter2", "…"),
            ("path = /in", "/in", "/in"),
        ];
        for (line, text, expected) in cases {
            assert_eq!(shown(text, line, &["[systems.shop]"]), expected, "{line}");
        }
        assert_eq!(shown("hunter2", "X-Part = hunter2", &["[systems.shop.headers]\n"]), "…");
        assert_eq!(shown("hunter2", "X-Part = hunter2", &["headers = {"]), "…");
    }
}
