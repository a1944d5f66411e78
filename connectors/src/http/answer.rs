//! A bounded answer, the receiver's id in it, and error pages made short.

use bytes::BytesMut;

/// More of an answer is not read,
const READ: usize = 1024 * 1024;
/// and so much more for each further record of its request: what a receiver has to say about one.
const READ_EACH: usize = 4 * 1024;
/// More of it is not kept.
const KEPT: usize = 64 * 1024;
/// Of an error page.
const SUMMARY: usize = 2 * 1024;

/// What came back after the status line.
pub(super) struct Answer {
    pub(super) body: BytesMut,
    /// All of it was read.
    pub(super) whole: bool,
}

impl Answer {
    /// Reads up to the bound. The request's own timeout ends it.
    pub(super) async fn read(response: &mut reqwest::Response, records: usize) -> Self {
        let most = READ + READ_EACH * records.saturating_sub(1);
        let mut body = BytesMut::new();
        loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() <= most => body.extend_from_slice(&chunk),
                Ok(Some(chunk)) => {
                    body.extend_from_slice(&chunk[..most - body.len()]);
                    return Self { body, whole: false };
                }
                Ok(None) => return Self { body, whole: true },
                Err(_) => return Self { body, whole: false },
            }
        }
    }

    /// For a dead letter: an error page as its text, anything else as it is, bounded.
    pub(super) fn excerpt(&self) -> String {
        let text = excerpt(&self.body);
        if is_page(&text) { summary(&text) } else { text }
    }
}

/// At most 64 KiB of a body as text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let cut = body.len() > KEPT;
    let mut text = String::from_utf8_lossy(&body[..body.len().min(KEPT)]).into_owned();
    if cut {
        text.push('…');
    }
    text
}

/// Whether a body is a web page.
pub(crate) fn is_page(text: &str) -> bool {
    let begin: String = text.trim_start().chars().take(14).collect::<String>().to_ascii_lowercase();
    begin.starts_with("<!doctype html") || begin.starts_with("<html")
}

/// The text of a page without tags, scripts and runs of blanks.
pub(crate) fn summary(page: &str) -> String {
    let (mut text, mut rest) = (String::new(), page);
    while let Some(begin) = rest.find('<') {
        text.push_str(&rest[..begin]);
        text.push(' ');
        let tag = &rest[begin..];
        let skipped = ["script", "style"]
            .iter()
            .find(|name| tag.get(1..=name.len()).is_some_and(|found| found.eq_ignore_ascii_case(name)));
        let end = match skipped {
            Some(name) => tag.to_ascii_lowercase().find(&format!("</{name}")).unwrap_or(tag.len()),
            None => 0,
        };
        rest = tag.get(end..).and_then(|tag| tag.find('>').map(|close| &tag[close + 1..])).unwrap_or("");
    }
    text.push_str(rest);
    let words: Vec<&str> = text.split_whitespace().collect();
    let text = words.join(" ");
    let short: String = text.chars().take(SUMMARY).collect();
    format!("(a page) {short}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_made_short_and_json_is_not_touched() {
        let page = "<!DOCTYPE html><html><head><title>502 Плохой шлюз</title><style>a{b}</style></head>\
                    <body><h1>502</h1>\n\n<script>let x = '<p>';</script>nginx<br></body></html>";
        for (body, expected) in [
            (page, "(a page) 502 Плохой шлюз 502 nginx"),
            (r#"{"error":"<html>"}"#, r#"{"error":"<html>"}"#),
            ("<html", "(a page)"),
        ] {
            let answer = Answer { body: body.as_bytes().into(), whole: true };
            assert_eq!(answer.excerpt().trim_end(), expected);
        }
    }
}
