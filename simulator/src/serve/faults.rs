//! What goes wrong when it is told to: each as a real base or the web server in front of it was seen doing it.

use serde::{Deserialize, Serialize};

use super::answer::{Answer, JSON};

/// Switches; all off at first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// Only requests whose address contains this; all where it is empty.
    pub only: String,
    /// So many requests, then no more; without end where it is missing.
    pub times: Option<u32>,
    /// A byte order mark before JSON.
    pub bom: bool,
    /// UTF-8 that is labelled windows-1251.
    pub charset_1251: bool,
    /// Answers of more bytes fill the disk of the server: 500 in HTML.
    pub disk_full_above: Option<usize>,
    /// No session is free: 406 after the pool's time.
    pub pool_exhausted: bool,
    /// The base is locked for maintenance: 403.
    pub maintenance: bool,
    /// No licence is free: this status, in words.
    pub no_licence: Option<u16>,
    /// Fewer requests are asked for: this status, 429 or 503.
    pub asks_for_less: Option<u16>,
    /// Its `Retry-After`, in seconds or as a date.
    pub retry_after: String,
    /// The first request of each session takes so many milliseconds.
    pub slow_first_ms: u64,
    /// Each request takes so many milliseconds.
    pub delay_ms: u64,
    /// The connection is cut after so many bytes of the answer.
    pub cut_after: Option<usize>,
    /// Apache has lost the base: 502 in HTML.
    pub gateway: bool,
    /// A login page instead of an answer: 200 in HTML.
    pub login_page: bool,
    /// Refusals in XML, even where JSON was asked for.
    pub xml_errors: bool,
    /// `If-Match` is honoured; most bases ignore it.
    pub if_match: bool,
    /// `$inlinecount` switches paging off, as the manual says.
    pub count_ignores_paging: bool,
    /// `GET` on `Post` and `Unpost` is refused; most bases execute it.
    pub get_is_safe: bool,
    /// Objects that somebody has open: writing one whose key contains such a text is refused.
    pub locked: Vec<String>,
    /// What is written is written, and no answer comes.
    pub lose_answer: bool,
    /// What is written is written, and the web server says 502.
    pub gateway_after_write: bool,
}

impl Faults {
    /// What happens to this request; counts it.
    pub(super) fn for_request(&mut self, address: &str) -> Self {
        let address = crate::query::options::decoded(address).unwrap_or_default();
        if !address.contains(&self.only) {
            return Self::default();
        }
        let now = self.clone();
        if let Some(times) = &mut self.times {
            match times.checked_sub(1) {
                None | Some(0) => *self = Self::default(),
                Some(left) => *times = left,
            }
        }
        now
    }

    /// An answer without the base.
    pub(super) fn instead(&self, method: &str, path: &str) -> Option<Answer> {
        if self.gateway {
            return Some(Answer::gateway());
        }
        if let Some(status) = self.asks_for_less {
            return Some(Answer { retry_after: self.retry_after.clone(), ..Answer::plain(status, "") });
        }
        if self.login_page {
            let body = "<!DOCTYPE html>\n<html><head><title>Вход</title></head><body><form method=\"post\">\
                        <input name=\"login\"><input name=\"password\" type=\"password\"></form></body></html>";
            return Some(Answer::html(200, body));
        }
        if self.maintenance {
            return Some(Answer::new(403, JSON, maintenance(method, path)));
        }
        self.no_licence.map(|status| Answer::plain(status, "Не обнаружено свободной лицензии!"))
    }
}

/// What the platform says by itself has a byte order mark.
fn maintenance(method: &str, path: &str) -> String {
    let inner = "Начало сеанса с информационной базой запрещено.\nВедутся технические работы";
    let outer = format!("HTTP: Forbidden\nОшибка при выполнении запроса {method} к ресурсу /odata/{path}:");
    let body = serde_json::json!({
        "#exception": "{http://v8.1c.ru/8.2/virtual-resource-system}Exception",
        "exception": {
            "reason": 403,
            "descr": outer,
            "inner": { "descr": inner, "inner": { "descr": "Ведутся технические работы" } },
        },
    });
    format!("\u{feff}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_ends() {
        let mut faults = Faults { only: "Catalog_А".into(), times: Some(2), gateway: true, ..Faults::default() };
        assert!(!faults.for_request("Document_Б").gateway);
        assert!(faults.for_request("Catalog_%D0%90").gateway);
        assert!(faults.for_request("Catalog_А").gateway);
        assert_eq!(faults, Faults::default());
    }
}
