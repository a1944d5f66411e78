//! What a receiver wrote down: one JSON line per request, written before the answer.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When its head came, in microseconds since 1970.
    pub at_us: u64,
    /// The method.
    pub method: String,
    /// The path, as sent.
    pub path: String,
    /// The last segment of the path, decoded.
    pub key: String,
    /// Every header except those of the transport, in lower case.
    pub headers: BTreeMap<String, String>,
    /// SHA-256 of the body, hexadecimal.
    pub sha256: String,
    /// The body; what is not UTF-8 is replaced, so compare [`Entry::sha256`].
    pub body: String,
    /// What became of it.
    pub outcome: Outcome,
    /// The status that it was answered with; `None` where no answer was given.
    pub status: Option<u16>,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It changed the receiver's state.
    Applied,
    /// Recognised as a repeat.
    Repeat,
    /// It changed nothing: refused, or only a question.
    Nothing,
}

/// All entries in the order in which they were applied.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// The entries.
    pub entries: Vec<Entry>,
}

impl Ledger {
    /// Reads what is there; a last line that is still being written is left out.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
        let entries = complete.lines().map(serde_json::from_str).collect::<Result<_, _>>().context("a broken line")?;
        Ok(Self { entries })
    }

    /// Those that changed the receiver's state.
    pub fn applied(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.outcome == Outcome::Applied)
    }

    /// Those of one key.
    pub fn of_key(&self, key: &str) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(move |entry| entry.key == key)
    }

    /// The most requests that came within any window of this width.
    pub fn most_within(&self, width: Duration) -> usize {
        let mut times: Vec<u64> = self.entries.iter().map(|entry| entry.at_us).collect();
        times.sort_unstable();
        let width = u64::try_from(width.as_micros()).unwrap_or(u64::MAX);
        let mut first = 0;
        let mut most = 0;
        for (last, time) in times.iter().enumerate() {
            while time - times[first] >= width {
                first += 1;
            }
            most = most.max(last + 1 - first);
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(times: &[u64]) -> Ledger {
        let entry = |at_us: &u64| Entry {
            at_us: *at_us,
            method: "PUT".into(),
            path: "/a".into(),
            key: "a".into(),
            headers: BTreeMap::new(),
            sha256: String::new(),
            body: String::new(),
            outcome: Outcome::Applied,
            status: Some(200),
        };
        Ledger { entries: times.iter().map(entry).collect() }
    }

    #[test]
    fn the_fullest_window_is_half_open() {
        let cases: [(&[u64], usize); 5] =
            [(&[], 0), (&[5], 1), (&[0, 1_000_000], 1), (&[0, 999_999], 2), (&[0, 500_000, 900_000, 1_100_000], 3)];
        for (times, most) in cases {
            assert_eq!(ledger(times).most_within(Duration::from_secs(1)), most, "{times:?}");
        }
    }
}
