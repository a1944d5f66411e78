//! One joined record from the rows of its parts.

use bus_core::vocabulary::{Fields, Key, Operation, Record, StreamName, UnreadableRecord};
use bytes::Bytes;
use rusqlite::{Connection, params};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// Records of one part in one joined record; more is no document any more, and would be one in memory.
const MOST: usize = 10_000;
/// Bytes of all parts of one joined record.
const BYTES: usize = 16 * 1024 * 1024;
/// Of a record that cannot be put together, this much is kept for a person.
const RAW: usize = 64 * 1024;

/// What a joined stream is put together from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinPlan {
    /// The joined stream.
    pub stream: StreamName,
    /// The fields of the main part's records that hold the key.
    pub key: Vec<String>,
    /// The field that people search for.
    pub label: Option<String>,
    /// The part whose fields stand at the top, and without which there is no record.
    pub main: StreamName,
    /// The others.
    pub with: Vec<JoinedPart>,
}

/// A part beside the main one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedPart {
    /// Its stream.
    pub stream: StreamName,
    /// The field of the joined record in which it stands.
    pub name: String,
    /// Several belong to one joined record: they are a list, in the order of their keys.
    pub many: bool,
}

/// A joined record as it is now.
pub(super) enum Composed {
    Record(Record),
    /// It cannot be put together; the words say why.
    Unreadable(UnreadableRecord),
}

/// The plan with its streams as the numbers that rows hold.
pub(super) struct Numbered<'a> {
    pub plan: &'a JoinPlan,
    pub joined: i64,
    pub main: i64,
    /// In the order of `plan.with`.
    pub with: Vec<i64>,
}

impl Numbered<'_> {
    /// Puts a record together; one whose main part is gone is a deletion.
    pub fn compose(&self, connection: &Connection, key: &str) -> Result<Composed, Failure> {
        let mut bytes = 0;
        let mains = match self.bodies(connection, self.main, key, &mut bytes)? {
            Ok(mains) => mains,
            Err(reason) => return Ok(self.unreadable(&[], reason)),
        };
        let Some(first) = mains.first() else {
            let record = Record::deletion(self.plan.stream.clone(), &self.plan.key, Key::from_stored(key));
            return Ok(Composed::Record(record));
        };
        if mains.len() > 1 {
            let reason =
                format!("{} records of {} have this key, and there is one joined record", mains.len(), self.plan.main);
            return Ok(self.unreadable(first, reason));
        }
        let Ok(mut whole) = serde_json::from_slice::<Map<String, Value>>(first) else {
            return Ok(self.unreadable(first, format!("the record of {} is no JSON object", self.plan.main)));
        };
        for (part, number) in self.plan.with.iter().zip(&self.with) {
            let value = match self.bodies(connection, *number, key, &mut bytes)? {
                Ok(bodies) => value(part, &bodies),
                Err(reason) => Err(reason),
            };
            match value {
                Ok(value) => drop(whole.insert(part.name.clone(), value)),
                Err(reason) => return Ok(self.unreadable(first, reason)),
            }
        }
        let label = self.plan.label.as_ref().and_then(|name| Fields::of(first)?.text(name).ok().flatten());
        Ok(Composed::Record(Record {
            stream: self.plan.stream.clone(),
            key: Key::from_stored(key),
            operation: Operation::Upsert,
            label,
            body: Value::Object(whole).to_string().into(),
        }))
    }

    /// The records of one part, in the order of their keys; or why they are too much.
    fn bodies(
        &self,
        connection: &Connection,
        part: i64,
        key: &str,
        bytes: &mut usize,
    ) -> Result<Result<Vec<Vec<u8>>, String>, Failure> {
        let mut select = connection
            .prepare_cached("SELECT body FROM join_parts WHERE (joined, part, key) = (?1, ?2, ?3) ORDER BY member")?;
        let mut rows = select.query(params![self.joined, part, key])?;
        let mut bodies: Vec<Vec<u8>> = Vec::new();
        while let Some(row) = rows.next()? {
            let body: Vec<u8> = row.get(0)?;
            *bytes += body.len();
            if *bytes > BYTES || bodies.len() == MOST {
                return Ok(Err(format!("its parts are more than {MOST} records of one kind, or more than 16 MiB")));
            }
            bodies.push(body);
        }
        Ok(Ok(bodies))
    }

    fn unreadable(&self, raw: &[u8], reason: String) -> Composed {
        let raw = Bytes::copy_from_slice(&raw[..raw.len().min(RAW)]);
        Composed::Unreadable(UnreadableRecord { stream: self.plan.stream.clone(), raw, reason, key: None, label: None })
    }
}

/// What stands in the joined record for a part.
fn value(part: &JoinedPart, bodies: &[Vec<u8>]) -> Result<Value, String> {
    let read =
        |body: &Vec<u8>| serde_json::from_slice(body).map_err(|_| format!("a record of {} is no JSON", part.stream));
    if part.many {
        return bodies.iter().map(read).collect::<Result<_, _>>().map(Value::Array);
    }
    match bodies {
        [] => Ok(Value::Null),
        [one] => read(one),
        several => Err(format!(
            "{} records of {} belong to it, and one was expected: say many = true in `with`",
            several.len(),
            part.stream
        )),
    }
}
