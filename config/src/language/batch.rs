//! `batch` of a route: several records in one request.

use std::borrow::Cow;

use bus_options::{Bytes, Declaration, Declared, Filled, Located, Millis, Node, OptionValue, Report, Whole, options};
use serde_json::{Value, json};

use super::pointer::JsonPointer;

options! {
    /// Several records in one request, each with its own result. Deletions have requests of their own.
    pub struct Batch("batch") {
        /// Records in one request at most.
        max: Whole<2, 1000>, required;
        /// How long the first one waits for others at most.
        wait: Millis<1, 60_000> = "1s";
        /// Bytes of records in one request at most; a larger record goes alone.
        bytes: Located<Bytes> = "1MB";
        /// How the records stand in the body.
        body: BatchBody = "array";
        /// Where in the answer stands what became of each record. Without it, the status of the answer is that of all.
        results: Located<BatchResults>, optional;
    }
}

options! {
    /// What the answer says of each record.
    pub struct ResultsTable("results") {
        /// Where in the answer (JSON pointer) the list of results stands; without it, the answer is the list.
        items: JsonPointer, optional;
        /// Where in a result its status stands: a code such as 200 or 422, `true` or `false`, or a word. Without it, and
        /// without `error`, the result is the status.
        status: JsonPointer, optional;
        /// Where in a result stands what was wrong; nothing there means that the record was taken.
        error: JsonPointer, optional;
        /// Where in a result its record's key stands. Without it, results stand in the order of the records.
        key: JsonPointer, optional;
        /// Where in the record as it was sent the same value stands, if it is not the record's key.
        sent: JsonPointer, optional;
        /// Words, or numbers below 200, in `status` that mean that the record was taken; capital and small letters are the
        /// same. Without it: ok, success, succeeded, created, updated, accepted, unchanged.
        ok: Vec<Filled>, optional;
    }
}

/// How records stand in a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BatchBody {
    /// As a JSON array.
    Array,
    /// One a line.
    Lines,
    /// As an array within objects of these names.
    Within(Vec<String>),
}

impl OptionValue for BatchBody {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        match node.text("how the records stand in the body", report)? {
            "array" => Some(Self::Array),
            "lines" => Some(Self::Lines),
            pointer if pointer.starts_with('/') => {
                let names = pointer.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~"));
                Some(Self::Within(names.collect()))
            }
            other => {
                let hint = "\"array\", \"lines\" (one a line), or where the array stands, such as \"/items\"";
                node.bad_value(format!("`{other}` is no form of a body"), hint, report);
                None
            }
        }
    }
    fn kind() -> Cow<'static, str> {
        "`\"array\"`, `\"lines\"`, or a JSON pointer such as `\"/items\"`".into()
    }
    fn schema() -> Value {
        json!({"type": "string", "pattern": "^(array|lines|/.*)$"})
    }
}

/// Where results stand: `"/items/*/status"`, or a table.
#[derive(Debug, Clone)]
pub struct BatchResults(pub ResultsTable);

impl OptionValue for BatchResults {
    fn read(node: Node<'_>, report: &mut Report) -> Option<Self> {
        let Some(text) = node.value().as_str() else { return ResultsTable::read(node, report).map(Self) };
        let found = text
            .split_once("/*")
            .filter(|(items, rest)| [items, rest].iter().all(|part| part.is_empty() || part.starts_with('/')));
        let Some((items, status)) = found else {
            let hint = "such as \"/items/*/status\"; `*` stands for the place of the record in the list";
            node.bad_value(format!("`{text}` does not say where each record's result stands"), hint, report);
            return None;
        };
        let pointer = |text: &str| (!text.is_empty()).then(|| JsonPointer(text.to_owned()));
        let (items, status) = (pointer(items), pointer(status));
        Some(Self(ResultsTable { items, status, error: None, key: None, sent: None, ok: None }))
    }
    fn kind() -> Cow<'static, str> {
        "JSON pointer with `*`, such as `\"/items/*/status\"`, or table `results`".into()
    }
    fn schema() -> Value {
        json!({"anyOf": [{"type": "string", "pattern": "^(/.*)?/\\*"}, ResultsTable::schema()]})
    }
    fn tables(out: &mut Vec<Declaration>) {
        out.push(ResultsTable::declaration());
    }
}
