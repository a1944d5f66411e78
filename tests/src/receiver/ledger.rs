//! What a receiver wrote down: one JSON line per request, written before the answer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
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
    pub entries: Arc<Vec<Entry>>,
}

/// Reads the file of a ledger that grows: each time only what has come since, because tests ask many times a second.
#[derive(Default)]
pub(super) struct Reader {
    known: Ledger,
    /// Bytes of the file that are known.
    read: u64,
}

impl Reader {
    /// All that is there; a last line that is still being written is left out.
    pub(super) fn read(&mut self, path: &Path) -> Result<Ledger> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Ledger::default()),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        file.seek(SeekFrom::Start(self.read))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let complete = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
        let lines = bytes[..complete].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let fresh: Vec<Entry> = lines.map(serde_json::from_slice).collect::<Result<_, _>>().context("a broken line")?;
        Arc::make_mut(&mut self.known.entries).extend(fresh);
        self.read += complete as u64;
        Ok(self.known.clone())
    }
}

impl Ledger {
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
        Ledger { entries: Arc::new(times.iter().map(entry).collect()) }
    }

    #[test]
    fn the_fullest_window_is_half_open() {
        let cases: [(&[u64], usize); 5] =
            [(&[], 0), (&[5], 1), (&[0, 1_000_000], 1), (&[0, 999_999], 2), (&[0, 500_000, 900_000, 1_100_000], 3)];
        for (times, most) in cases {
            assert_eq!(ledger(times).most_within(Duration::from_secs(1)), most, "{times:?}");
        }
    }

    #[test]
    fn what_has_come_since_is_read_and_half_a_line_is_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ledger.jsonl");
        let mut reader = Reader::default();
        let mut times =
            || -> Vec<u64> { reader.read(&path).expect("a ledger").entries.iter().map(|entry| entry.at_us).collect() };
        assert_eq!(times(), [] as [u64; 0], "there is no file yet");
        let line = |at: u64| serde_json::to_string(&ledger(&[at]).entries[0]).expect("a line") + "\n";
        let (first, second) = (line(1), line(2));
        let (begun, rest) = second.split_at(second.len() / 2);
        std::fs::write(&path, format!("{first}{begun}")).expect("written");
        assert_eq!(times(), [1]);
        std::fs::write(&path, format!("{first}{begun}{rest}{}", line(3))).expect("written");
        assert_eq!(times(), [1, 2, 3]);
        assert_eq!(times(), [1, 2, 3]);
    }
}
