//! How a receiver misbehaves: the first rule that matches a request and is not used up decides its answer.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

/// All rules, and how the receiver treats repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Tried in order.
    pub rules: Vec<Rule>,
    /// A receiver that knows idempotency keys: the header (lower case) by which a repeat is recognised and answered
    /// 200 without being applied again.
    pub repeats_by: Option<String>,
}

/// One misbehaviour. An empty rule matches every request, always.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Only this method.
    #[serde(default)]
    pub method: Option<String>,
    /// Only paths that begin so.
    #[serde(default)]
    pub path: Option<String>,
    /// Only these keys; a request's key is the last segment of its path, or the field `key` of each of several records.
    /// A rule for one of several gives its status, and nothing else can happen to it.
    #[serde(default)]
    pub keys: Option<Vec<String>>,
    /// Only so many requests; then the rule is used up.
    #[serde(default)]
    pub times: Option<u32>,
    /// `times` is counted for each key by itself.
    #[serde(default)]
    pub per_key: bool,
    /// What happens.
    pub answer: Answer,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Answer {
    /// Not applied; this status.
    Status {
        /// For example 503.
        code: u16,
        /// Seconds, sent as `Retry-After`.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// Applied, but answered with this status: the caller cannot know.
    AppliedStatus {
        /// For example 500.
        code: u16,
    },
    /// Applied and never answered; the connection stays open.
    Hang,
    /// The connection is reset after the whole body has come.
    Reset {
        /// Whether the request was applied before.
        applied: bool,
    },
    /// Applied and answered after this many milliseconds.
    Slow {
        /// Milliseconds.
        ms: u64,
    },
}

impl Rule {
    /// Every request, always.
    pub fn always(answer: Answer) -> Self {
        Self { method: None, path: None, keys: None, times: None, per_key: false, answer }
    }

    /// The next `times` requests.
    pub fn times(times: u32, answer: Answer) -> Self {
        Self { times: Some(times), ..Self::always(answer) }
    }

    /// Requests for these keys.
    pub fn keys(keys: &[&str], answer: Answer) -> Self {
        Self { keys: Some(keys.iter().map(|key| (*key).to_owned()).collect()), ..Self::always(answer) }
    }

    fn matches(&self, method: &str, path: &str, key: &str) -> bool {
        self.method.as_ref().is_none_or(|wanted| wanted == method)
            && self.path.as_ref().is_none_or(|wanted| path.starts_with(wanted))
            && self.keys.as_ref().is_none_or(|keys| keys.iter().any(|wanted| wanted == key))
    }
}

/// A script and how often each rule was used.
#[derive(Debug, Default)]
pub(super) struct Running {
    script: Script,
    used: HashMap<(usize, String), u32>,
}

impl Running {
    pub(super) fn new(script: Script) -> Self {
        Self { script, used: HashMap::new() }
    }

    pub(super) fn repeats_by(&self) -> Option<&str> {
        self.script.repeats_by.as_deref()
    }

    /// The answer for one of several records in a request: only rules that name keys.
    pub(super) fn answer_of_one(&mut self, method: &str, path: &str, key: &str) -> Option<Answer> {
        self.first(method, path, key, |rule| rule.keys.is_some())
    }

    /// The answer for a request, counted; `None` means that it is served as usual.
    pub(super) fn answer(&mut self, method: &str, path: &str, key: &str) -> Option<Answer> {
        self.first(method, path, key, |_| true)
    }

    fn first(&mut self, method: &str, path: &str, key: &str, of: impl Fn(&Rule) -> bool) -> Option<Answer> {
        let rules =
            self.script.rules.iter().enumerate().filter(|(_, rule)| of(rule) && rule.matches(method, path, key));
        for (index, rule) in rules {
            let Some(times) = rule.times else { return Some(rule.answer.clone()) };
            let counted_by = if rule.per_key { key } else { "" };
            let used = self.used.entry((index, counted_by.to_owned())).or_default();
            if *used < times {
                *used += 1;
                return Some(rule.answer.clone());
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rule_that_matches_and_is_not_used_up_decides() {
        let busy = Answer::Status { code: 500, retry_after: None };
        let down = Answer::Status { code: 503, retry_after: Some(1) };
        let never = Answer::Status { code: 422, retry_after: None };
        let mut running = Running::new(Script {
            rules: vec![
                Rule { per_key: true, times: Some(2), ..Rule::keys(&["а", "б"], busy.clone()) },
                Rule { method: Some("PUT".into()), ..Rule::times(1, down.clone()) },
                Rule { path: Some("/orders/".into()), ..Rule::keys(&["в"], never.clone()) },
            ],
            repeats_by: None,
        });
        let cases = [
            ("PUT", "а", Some(&busy)),
            ("PUT", "б", Some(&busy)),
            ("PUT", "а", Some(&busy)),
            ("POST", "а", None),
            ("PUT", "а", Some(&down)),
            ("PUT", "а", None),
            ("PUT", "б", Some(&busy)),
            ("PUT", "в", Some(&never)),
            ("PUT", "в", Some(&never)),
        ];
        for (number, (method, key, expected)) in cases.into_iter().enumerate() {
            let answer = running.answer(method, &format!("/orders/{key}"), key);
            assert_eq!(answer.as_ref(), expected, "request {number}: {method} {key}");
        }
    }
}
