//! The state of a receiver, and the ledger file that every request is written to before it is answered.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Write;

use anyhow::Result;
use bytes::Bytes;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::ledger::{Entry, Outcome};
use super::script::{Answer, Running, Script};

/// A request whose body has come.
pub(super) struct Request {
    pub(super) at_us: u64,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Bytes,
}

/// What is to be done on the connection, after the request was written down.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    Answer { status: u16, body: Bytes, retry_after: Option<u64>, delay_ms: u64 },
    Hang,
    Reset,
}

/// One lock holds all of it: the order of the ledger is the order of the effects.
pub(super) struct Store {
    pub(super) running: Running,
    ledger: File,
    state: BTreeMap<String, Bytes>,
    ids: HashMap<String, u64>,
    seen: HashSet<String>,
}

impl Store {
    pub(super) fn new(ledger: File, script: Script) -> Self {
        Self {
            running: Running::new(script),
            ledger,
            state: BTreeMap::new(),
            ids: HashMap::new(),
            seen: HashSet::new(),
        }
    }

    /// Decides, applies, writes the ledger, in this order.
    pub(super) fn handle(&mut self, request: Request) -> Result<Reaction> {
        let key = key_of(&request.path);
        let answer = self.running.answer(&request.method, &request.path, &key);
        let (outcome, reaction) = match answer {
            Some(Answer::Status { code, retry_after }) => {
                let body = Bytes::from(format!("{{\"error\":\"the script answers {code}\"}}"));
                (Outcome::Nothing, Reaction::Answer { status: code, body, retry_after, delay_ms: 0 })
            }
            Some(Answer::Reset { applied: false }) => (Outcome::Nothing, Reaction::Reset),
            applied => {
                let (outcome, status, body) = match several(&request) {
                    Some(records) => {
                        let answered = !matches!(applied, Some(Answer::Hang | Answer::Reset { .. }));
                        self.apply_each(&request, records, answered)?
                    }
                    None => self.apply(&request),
                };
                let answer = |status, delay_ms| Reaction::Answer { status, body, retry_after: None, delay_ms };
                let reaction = match applied {
                    Some(Answer::Hang) => Reaction::Hang,
                    Some(Answer::Reset { .. }) => Reaction::Reset,
                    Some(Answer::Slow { ms }) => answer(status, ms),
                    Some(Answer::AppliedStatus { code }) => answer(code, 0),
                    Some(Answer::Status { .. }) | None => answer(status, 0),
                };
                (outcome, reaction)
            }
        };
        let status = if let Reaction::Answer { status, .. } = &reaction { Some(*status) } else { None };
        self.write_down(request, key, outcome, status)?;
        Ok(reaction)
    }

    /// Each record of a request to `…/bulk`, and a list of what became of them. The ledger has a line for each, and one for
    /// the request.
    fn apply_each(&mut self, request: &Request, records: Vec<Value>, answered: bool) -> Result<(Outcome, u16, Bytes)> {
        let mut items = Vec::with_capacity(records.len());
        for record in records {
            let key = record["key"].as_str().map_or_else(|| record["key"].to_string(), str::to_owned);
            let one = Request {
                path: format!("{}/{key}", request.path),
                body: record.to_string().into(),
                method: request.method.clone(),
                headers: request.headers.clone(),
                at_us: request.at_us,
            };
            let (outcome, status, body) = match self.running.answer_of_one(&one.method, &one.path, &key) {
                Some(Answer::Status { code, .. }) => (Outcome::Nothing, code, Bytes::new()),
                _ => self.apply(&one),
            };
            let said: Value = serde_json::from_slice(&body).unwrap_or_default();
            items.push(json!({"key": key, "status": status, "id": said["id"]}));
            self.write_down(one, key, outcome, answered.then_some(status))?;
        }
        Ok((Outcome::Nothing, 200, json!({ "items": items }).to_string().into()))
    }

    fn apply(&mut self, request: &Request) -> (Outcome, u16, Bytes) {
        if request.method == "GET" {
            return match self.state.get(&request.path) {
                Some(body) => (Outcome::Nothing, 200, body.clone()),
                None => (Outcome::Nothing, 404, Bytes::from_static(b"{}")),
            };
        }
        let repeat_key = self.running.repeats_by().and_then(|header| request.headers.get(header));
        if let Some(repeat_key) = repeat_key
            && !self.seen.insert(repeat_key.clone())
        {
            return (Outcome::Repeat, 200, self.id_of(&request.path));
        }
        let status = if request.method == "DELETE" {
            self.state.remove(&request.path);
            200
        } else if self.state.insert(request.path.clone(), request.body.clone()).is_none() {
            201
        } else {
            200
        };
        (Outcome::Applied, status, self.id_of(&request.path))
    }

    /// The receiver's own id of a path: it stays the same over versions.
    fn id_of(&mut self, path: &str) -> Bytes {
        let next = self.ids.len() as u64 + 1;
        let id = *self.ids.entry(path.to_owned()).or_insert(next);
        Bytes::from(format!("{{\"id\":{id}}}"))
    }

    fn write_down(&mut self, request: Request, key: String, outcome: Outcome, status: Option<u16>) -> Result<()> {
        let entry = Entry {
            at_us: request.at_us,
            method: request.method,
            path: request.path,
            key,
            headers: request.headers,
            sha256: hex::encode(Sha256::digest(&request.body)),
            body: String::from_utf8_lossy(&request.body).into_owned(),
            outcome,
            status,
        };
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        self.ledger.write_all(&line)?;
        Ok(())
    }
}

/// The records of a request that carries several.
fn several(request: &Request) -> Option<Vec<Value>> {
    let bulk = request.path.ends_with("/bulk");
    bulk.then(|| serde_json::from_slice(&request.body).ok()).flatten()
}

fn key_of(path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let segment = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::super::ledger::Reader;
    use super::*;

    fn request(method: &str, path: &str, repeat_key: &str) -> Request {
        let headers = BTreeMap::from([("idempotency-key".to_owned(), repeat_key.to_owned())]);
        Request {
            at_us: 1,
            method: method.into(),
            path: path.into(),
            headers,
            body: Bytes::from_static("{\"ц\":1}".as_bytes()),
        }
    }

    #[test]
    fn what_was_not_answered_is_in_the_ledger_and_in_the_state() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let rules = vec![Rule::times(1, Answer::Hang), Rule::times(1, Answer::Status { code: 503, retry_after: None })];
        let script = Script { rules, repeats_by: Some("idempotency-key".into()) };
        let mut store = Store::new(File::create(&path).unwrap(), script);

        assert_eq!(store.handle(request("PUT", "/orders/%D0%B0", "1")).unwrap(), Reaction::Hang);
        let refused = store.handle(request("PUT", "/orders/%D0%B0", "1")).unwrap();
        assert!(matches!(refused, Reaction::Answer { status: 503, .. }));
        let repeat = store.handle(request("PUT", "/orders/%D0%B0", "1")).unwrap();
        assert!(matches!(repeat, Reaction::Answer { status: 200, .. }));
        let question = store.handle(request("GET", "/orders/%D0%B0", "2")).unwrap();
        assert!(matches!(question, Reaction::Answer { status: 200, body, .. } if body == "{\"ц\":1}"));

        let ledger = Reader::default().read(&path).unwrap();
        let written: Vec<_> = ledger.entries.iter().map(|entry| (entry.outcome, entry.status)).collect();
        let expected = [
            (Outcome::Applied, None),
            (Outcome::Nothing, Some(503)),
            (Outcome::Repeat, Some(200)),
            (Outcome::Nothing, Some(200)),
        ];
        assert_eq!(written, expected);
        assert_eq!(ledger.of_key("а").count(), 4);
        assert_eq!(ledger.applied().count(), 1);
    }
}
