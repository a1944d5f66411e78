//! What 1C, or somebody between, says instead of data: JSON, XML, a page or plain text, whatever was asked for.
//!
//! | what came | cause | for a reader |
//! |---|---|---|
//! | «Начало сеанса … запрещено», exclusive mode | maintenance | a quiet pause |
//! | texts about licences | no free licence | throttled |
//! | 406 | no free session | throttled |
//! | 429; 503 with `Retry-After` | somebody asks for less | throttled, for the time that it names |
//! | 401; code 20 | sign-in; rights | misconfigured |
//! | 403 otherwise | rights | misconfigured |
//! | 404 with code 8, or without a body | not published | misconfigured |
//! | other 4xx, 501 | the request | misconfigured |
//! | a page with 2xx or 3xx | a sign-in page of somebody between | misconfigured |
//! | 502, 503 without it, 504 | the way there | unavailable |
//! | other 5xx | 1C itself: may be a page too large for it | unavailable, and asked for less |

use std::time::Duration;

use bus_core::ports::source::{SourceError, SourceFault};
use serde_json::Value;

use super::mask;
use crate::echo::Credentials;

/// Longer texts are cut: an incident is no log.
const MESSAGE: usize = 500;

/// Why there is no data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The base is closed for a while.
    Maintenance,
    /// All licences are in use.
    Licence,
    /// All sessions of the publication's pool are in use.
    Sessions,
    /// Fewer requests are asked for, by 1C's web server or by somebody on the way.
    Less,
    /// The user was not let in.
    SignIn,
    /// The user may not do this.
    Rights,
    /// The object, or the interface, is not published here.
    NotPublished,
    /// 1C does not take the request as it is.
    Request,
    /// Something that is not 1C answered.
    Foreign,
    /// A web server on the way says that 1C does not answer.
    Gateway,
    /// 1C failed; less data may help.
    Failure,
}

/// A refusal, ready to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// HTTP status.
    pub status: u16,
    /// Why.
    pub cause: Cause,
    /// How long nothing is to be asked; only of 429 and 503.
    pub retry_after: Option<Duration>,
    /// 1C's own number, where it gave one.
    pub code: Option<i32>,
    /// In 1C's own words, with values masked.
    pub message: String,
}

impl Trouble {
    /// Reads an answer that is no data. What it repeats of the credentials is masked like other values.
    pub fn read(status: u16, retry_after: Option<Duration>, body: &[u8], credentials: &Credentials) -> Self {
        let retry_after = retry_after.filter(|_| matches!(status, 429 | 503));
        let text = String::from_utf8_lossy(body);
        let text = text.trim_start_matches('\u{feff}').trim();
        let (code, said, page) = match (json(text), xml(text)) {
            (Some((code, said)), _) | (None, Some((code, said))) => (code, said, false),
            _ if crate::http::is_page(text) => (None, crate::http::page_text(text), true),
            _ => (None, text.to_owned(), false),
        };
        let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        let cause = cause(status, retry_after.is_some(), code, &said, page);
        let message = mask::values(&credentials.mask(said)).chars().take(MESSAGE).collect();
        Self { status, cause, retry_after, code, message }
    }

    /// Whether asking for fewer records at once may help.
    pub fn less_may_help(&self) -> bool {
        matches!(self.cause, Cause::Failure | Cause::Gateway)
    }

    /// Whether somebody on the way answered because 1C did not: it may be away, or still at work on the request.
    pub fn may_be_away(&self) -> bool {
        self.cause == Cause::Gateway || (self.cause == Cause::Less && self.status == 503)
    }

    /// As the engine takes it.
    pub fn error(&self) -> SourceError {
        let throttled = SourceFault::Throttled { retry_after: self.retry_after };
        let fault = match self.cause {
            // A base that is closed and names a time is not asked before.
            Cause::Maintenance if self.retry_after.is_some() => throttled,
            Cause::Maintenance => SourceFault::Maintenance,
            Cause::Licence | Cause::Sessions | Cause::Less => throttled,
            Cause::SignIn | Cause::Rights | Cause::NotPublished | Cause::Request | Cause::Foreign => {
                SourceFault::Misconfigured
            }
            Cause::Gateway | Cause::Failure => SourceFault::Unavailable,
        };
        SourceError::new(fault, self.to_string())
    }

    fn what(&self) -> &'static str {
        match self.cause {
            Cause::Maintenance => "the base is closed for maintenance; reading goes on when it is open",
            Cause::Licence => "1C has no free licence",
            Cause::Sessions => "1C has no free session in the pool of this publication (default.vrd: poolSize)",
            Cause::Less => "fewer requests are asked for, by the web server of 1C or by somebody on the way",
            Cause::SignIn => "1C did not let the user in: check user and password, and what the web server itself asks",
            Cause::Rights => "the user of 1C has no right to this",
            Cause::NotPublished => "it is not published: check the address and the composition of the OData interface",
            Cause::Request => "1C does not take the request",
            Cause::Foreign => "not 1C but a web page answered: a sign-in page, or a proxy on the way",
            Cause::Gateway => "a web server on the way gets no answer from 1C",
            Cause::Failure => "1C failed",
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (HTTP {}", self.what(), self.status)?;
        if let Some(code) = self.code {
            write!(f, ", code {code}")?;
        }
        write!(f, ")")?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.message) }
    }
}

/// One table; see the module's comment.
fn cause(status: u16, names_a_time: bool, code: Option<i32>, said: &str, page: bool) -> Cause {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().all(|word| lower.contains(word));
    if has(&["начало сеанса", "запрещено"]) || has(&["монопольн"]) || has(&["session", "forbidden", "infobase"])
    {
        return Cause::Maintenance;
    }
    if has(&["не обнаружен", "лицензи"]) || has(&["не найдена", "лицензи"]) || has(&["no free licen"])
    {
        return Cause::Licence;
    }
    match (status, code) {
        (406, _) => Cause::Sessions,
        (429, _) => Cause::Less,
        (503, _) if names_a_time => Cause::Less,
        (_, Some(20)) => Cause::Rights,
        (401, _) => Cause::SignIn,
        (403, _) => Cause::Rights,
        (404, Some(8) | None) => Cause::NotPublished,
        (200..=399, _) if page || status >= 300 => Cause::Foreign,
        (502..=504, _) => Cause::Gateway,
        (501, _) | (400..=499, _) => Cause::Request,
        _ => Cause::Failure,
    }
}

/// `odata.error`, or an exception of the platform with its causes.
fn json(text: &str) -> Option<(Option<i32>, String)> {
    let value: Value = serde_json::from_str(text).ok()?;
    if let Some(error) = value.get("odata.error") {
        let code = error.get("code").and_then(|code| code.as_str()?.parse().ok());
        let said = error.pointer("/message/value").and_then(Value::as_str).unwrap_or_default();
        return Some((code, said.to_owned()));
    }
    let mut said = Vec::new();
    let mut exception = value.get("exception");
    // Causes stand in each other; more than a few say nothing new.
    for _ in 0..8 {
        let Some(inner) = exception else { break };
        let words = inner.get("descr").and_then(Value::as_str).unwrap_or_default();
        if !words.is_empty() && !said.iter().any(|before: &String| before.contains(words)) {
            said.push(words.to_owned());
        }
        exception = inner.get("inner");
    }
    (!said.is_empty()).then(|| (None, said.join("; ")))
}

/// `<m:error>`.
fn xml(text: &str) -> Option<(Option<i32>, String)> {
    use quick_xml::events::Event;
    if !text.starts_with('<') || crate::http::is_page(text) {
        return None;
    }
    let mut reader = quick_xml::Reader::from_str(text);
    let (mut inside, mut code, mut said, mut error) = (Vec::new(), String::new(), String::new(), false);
    while let Ok(event) = reader.read_event() {
        let more = match event {
            Event::Start(element) => {
                inside = element.local_name().as_ref().to_vec();
                error |= inside == b"error";
                continue;
            }
            Event::End(_) => {
                inside.clear();
                continue;
            }
            Event::Text(text) => text.decode().ok()?.into_owned(),
            Event::GeneralRef(name) => {
                let name = name.decode().ok()?.into_owned();
                quick_xml::escape::unescape(&format!("&{name};")).ok()?.into_owned()
            }
            Event::Eof => break,
            _ => continue,
        };
        match inside.as_slice() {
            b"code" => code.push_str(&more),
            b"message" => said.push_str(&more),
            _ => {}
        }
    }
    error.then(|| (code.trim().parse().ok(), said))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_refusal_has_its_cause() {
        let forbidden = "\u{feff}{\"#exception\":\"{x}Exception\",\"exception\":{\"reason\":403,\"descr\":\"HTTP: Forbidden\",\
                         \"inner\":{\"descr\":\"Начало сеанса с информационной базой запрещено.\\nИдут работы\",\
                         \"inner\":{\"descr\":\"Идут работы\"}}}}";
        let compare = "<m:error xmlns:m=\"u\"><m:code>-1</m:code><m:message>{(3, 23)}: Нельзя &quot;так&quot;\r\n сравнивать.</m:message></m:error>";
        let error = |code: &str, text: &str| {
            format!(r#"{{"odata.error":{{"code":"{code}","message":{{"lang":"ru","value":"{text}"}}}}}}"#)
        };
        let full =
            "<!DOCTYPE HTML><html><h2>1C:Enterprise 8 application error:</h2>The device is full '/tmp/v8_x'</html>";
        for (status, body, cause, code, words) in [
            (403, forbidden, Cause::Maintenance, None, "запрещено. Идут работы"),
            (500, compare, Cause::Failure, Some(-1), "{(3, 23)}: Нельзя"),
            (404, &error("8", "не найдена"), Cause::NotPublished, Some(8), "не найдена"),
            (404, &error("9", "не найден"), Cause::Request, Some(9), "не найден"),
            (400, &error("14", "Ошибка разбора"), Cause::Request, Some(14), "Ошибка разбора"),
            (401, &error("20", "Нарушение прав доступа"), Cause::Rights, Some(20), "прав доступа"),
            (401, "", Cause::SignIn, None, ""),
            (403, "", Cause::Rights, None, ""),
            (404, "", Cause::NotPublished, None, ""),
            (406, "", Cause::Sessions, None, ""),
            (500, "Не обнаружено свободной лицензии!", Cause::Licence, None, "лицензии"),
            (400, "There are no free licenses!", Cause::Licence, None, "licenses"),
            (500, full, Cause::Failure, None, "The device is full"),
            (429, "", Cause::Less, None, ""),
            (503, "", Cause::Gateway, None, ""),
            (502, "<html><h1>502 Proxy Error</h1></html>", Cause::Gateway, None, "Proxy Error"),
            (200, "<html><form>Вход</form></html>", Cause::Foreign, None, "Вход"),
            (501, &error("21", "нет"), Cause::Request, Some(21), "нет"),
        ] {
            let trouble = Trouble::read(status, None, body.as_bytes(), &Credentials::default());
            assert_eq!((trouble.cause, trouble.code), (cause, code), "{status} {body}");
            assert!(trouble.message.contains(words), "{}", trouble.message);
        }
    }

    #[test]
    fn a_refusal_is_told_in_1cs_words_without_values() {
        let body = r#"{"odata.error":{"code":"15","message":{"value":"Код \"Иванов И. И.\" уже занят в Catalog_Контрагенты (8d1d7287-0000-1111-2222-333344445555)"}}}"#;
        let told = Trouble::read(400, None, body.as_bytes(), &Credentials::default()).to_string();
        assert!(told.contains("code 15") && told.contains("Catalog_Контрагенты"), "{told}");
        assert!(!told.contains("Иванов") && !told.contains("8d1d7287"), "{told}");
    }

    /// Nobody asks again before the time that was named, whatever else was said.
    #[test]
    fn a_named_time_is_kept_where_it_means_a_wait() {
        let time = Some(Duration::from_secs(3));
        let closed = "Начало сеанса с информационной базой запрещено.";
        for (status, body, cause, retry_after) in [
            (429, "", Cause::Less, time),
            (503, "<html>Service Unavailable</html>", Cause::Less, time),
            (503, closed, Cause::Maintenance, time),
            (503, "Не обнаружено свободной лицензии!", Cause::Licence, time),
            (502, "", Cause::Gateway, None),
            (404, "", Cause::NotPublished, None),
        ] {
            let trouble = Trouble::read(status, time, body.as_bytes(), &Credentials::default());
            assert_eq!((trouble.cause, trouble.retry_after), (cause, retry_after), "{status} {body}");
            let throttled = SourceFault::Throttled { retry_after };
            assert_eq!(trouble.error().fault == throttled, retry_after.is_some(), "{status} {body}");
        }
    }

    /// Somebody between shows what he was sent: no word of it looks like a value.
    #[test]
    fn a_refusal_that_repeats_the_login_is_told_without_it() {
        let login = ("шина".to_owned(), bus_core::vocabulary::Secret::new("секрет"));
        let credentials = Credentials::new(Some(&login), std::iter::empty());
        let body = "<html>denied: Authorization: Basic 0YjQuNC90LA60YHQtdC60YDQtdGC, секрет</html>";
        let told = Trouble::read(401, None, body.as_bytes(), &credentials).message;
        assert_eq!(told, "(a page) denied: Authorization: Basic ***, ***");
    }
}
