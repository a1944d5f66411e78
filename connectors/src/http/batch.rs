//! How several records stand in the body of one request, and what its answer says of each. Pure.

use std::collections::HashMap;

use bus_core::ports::target::Parcel;
use bus_core::vocabulary::Fault;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::classify;
use super::template::scalar;

/// Several records in one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// How they stand in the body.
    pub form: Form,
    /// Where in the answer stands what became of each; without it its status is that of all.
    pub results: Option<Results>,
}

/// How records stand in a body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Form {
    /// `[…,…]`
    #[default]
    Array,
    /// The array within objects of these names, the outermost first: `{"items":[…,…]}`.
    Within(Vec<String>),
    /// One a line (NDJSON).
    Lines,
}

/// Where in an answer the results are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Results {
    /// JSON pointer to their list; empty: the answer is the list.
    pub items: String,
    /// Which result is whose; `None`: they stand in the order of the records.
    pub by: Option<Match>,
    /// What in a result decides.
    pub verdict: Decides,
    /// Words in small letters, or numbers, that mean a success.
    pub ok: Vec<String>,
}

/// JSON pointers within a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decides {
    /// A status code, a truth or a word; empty: the result itself.
    Status(String),
    /// Whatever stands here is what was wrong.
    Error(String),
}

/// How a result names its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    /// JSON pointer within a result.
    pub answered: String,
    /// JSON pointer within the record as it was sent; `None`: the record's key.
    pub sent: Option<String>,
}

/// The results of an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Verdicts<'a> {
    /// One for each record, in their order; `None`: the answer does not name it, or twice.
    Of(Vec<Option<&'a Value>>),
    /// The answer is no JSON, or holds no list there.
    NoList,
    /// By position, and not as many as records: which is whose would be a guess.
    OtherCount,
}

/// What a result says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Applied, with this code if it named one.
    Applied(Option<u16>),
    /// Not applied, with the code if it named one.
    Failed(Fault, Option<u16>),
    /// Neither.
    Nothing,
}

impl Form {
    pub(super) fn content_type(&self) -> &'static str {
        match self {
            Self::Array | Self::Within(_) => "application/json",
            Self::Lines => "application/x-ndjson",
        }
    }
}

impl Batch {
    /// The body. Records keep their bytes; only a line break between two values of one becomes a blank where it would be
    /// taken for the end of its line.
    pub(super) fn body(&self, parcels: &[Parcel]) -> Vec<u8> {
        let mut body = Vec::with_capacity(parcels.iter().map(|parcel| parcel.body.len() + 1).sum::<usize>() + 64);
        let names: &[String] = if let Form::Within(names) = &self.form { names } else { &[] };
        for name in names {
            body.push(b'{');
            body.extend_from_slice(Value::from(name.as_str()).to_string().as_bytes());
            body.push(b':');
        }
        if self.form == Form::Lines {
            for parcel in parcels {
                body.extend(parcel.body.iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { *byte }));
                body.push(b'\n');
            }
            return body;
        }
        body.push(b'[');
        for (place, parcel) in parcels.iter().enumerate() {
            if place > 0 {
                body.push(b',');
            }
            body.extend_from_slice(&parcel.body);
        }
        body.push(b']');
        body.resize(body.len() + names.len(), b'}');
        body
    }
}

impl Results {
    /// Whose result is which.
    pub(super) fn find<'a>(&self, document: Option<&'a Value>, parcels: &[Parcel]) -> Verdicts<'a> {
        let list = document.and_then(|document| document.pointer(&self.items)).and_then(Value::as_array);
        let Some(list) = list else { return Verdicts::NoList };
        let Some(by) = &self.by else {
            if list.len() != parcels.len() {
                return Verdicts::OtherCount;
            }
            return Verdicts::Of(list.iter().map(Some).collect());
        };
        let mut named: HashMap<String, Option<&Value>> = HashMap::with_capacity(list.len());
        for result in list {
            if let Some(name) = result.pointer(&by.answered).and_then(text) {
                // Two results of one record: nobody knows which holds.
                named.entry(name).and_modify(|known| *known = None).or_insert(Some(result));
            }
        }
        let result_of = |parcel: &Parcel| {
            let sent = match &by.sent {
                Some(pointer) => scalar(&parcel.body, pointer)?,
                None => parcel.envelope.key.as_str().to_owned(),
            };
            named.get(&sent).copied().flatten()
        };
        Verdicts::Of(parcels.iter().map(result_of).collect())
    }

    /// What a result says of its record. `harms`: the same again would do harm.
    pub(super) fn said(&self, result: &Value, harms: bool) -> Said {
        match &self.verdict {
            Decides::Error(pointer) => {
                if result.pointer(pointer).is_some_and(says_something) {
                    Said::Failed(Fault::Rejected, None)
                } else {
                    Said::Applied(None)
                }
            }
            Decides::Status(pointer) => self.status(result.pointer(pointer), harms),
        }
    }

    fn status(&self, value: Option<&Value>, harms: bool) -> Said {
        let word = match value {
            None | Some(Value::Null) => return Said::Nothing,
            Some(Value::Bool(true)) => return Said::Applied(None),
            Some(value) => text(value).unwrap_or_default(),
        };
        let code: Option<u16> = word.parse().ok();
        if self.ok.contains(&word.to_lowercase()) || matches!(code, Some(200..=299)) {
            return Said::Applied(code.filter(|code| *code >= 200));
        }
        // The request as a whole was answered, so what would concern the system concerns this record only.
        let fault = match code.map(|code| classify::status(code, &HeaderMap::new(), harms, chrono::Utc::now())) {
            Some(Fault::Unavailable | Fault::Throttled { .. }) => Fault::Busy,
            Some(fault @ (Fault::Busy | Fault::Ambiguous)) => fault,
            Some(Fault::Rejected | Fault::Misconfigured) | None => Fault::Rejected,
        };
        Said::Failed(fault, code.filter(|code| (100..=599).contains(code)))
    }
}

/// Not empty, null or false.
fn says_something(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

/// A text or number as text.
pub(super) fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
