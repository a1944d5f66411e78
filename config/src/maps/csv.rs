//! A map in a CSV file: columns `key` and `value`; read again when the file changes.

use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use bus_core::ports::map::{Answer, Map};
use serde_json::Value;

use super::table::{Entries, Table};

/// More is a table in a database, not a dictionary. In memory it takes about three times as much.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

bus_options::choices! {
    /// How a file's letters are written.
    pub enum Encoding {
        /// UTF-8, with or without a byte order mark.
        Utf8 = "utf-8",
        /// As programs on Windows save Cyrillic.
        Windows1251 = "windows-1251",
    }
}

/// A file and the map that was read from it.
pub struct CsvFile {
    path: PathBuf,
    encoding: Encoding,
    read: Mutex<Option<Stamp>>,
    table: Table,
}

/// Tells one state of a file from the next, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(u64, Option<SystemTime>);

impl CsvFile {
    /// Reads the file.
    pub fn open(path: PathBuf, encoding: Encoding) -> Result<Self, String> {
        let file = Self { path, encoding, read: Mutex::default(), table: Table::default() };
        file.refresh().map(|_| file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How many values were read last.
    pub fn count(&self) -> Option<usize> {
        self.table.count()
    }

    /// Reads the file again if it has changed; `true` if it had. After an error the map stays as it was, and the next
    /// call tries again. Blocking.
    pub fn refresh(&self) -> Result<bool, String> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let about = |error: std::io::Error| format!("{} cannot be read: {error}", self.path.display());
        let found = fs::metadata(&self.path).map_err(about)?;
        // Taken before the reading: a change during it is read by the next call.
        let stamp = Stamp(found.len(), found.modified().ok());
        if *read == Some(stamp) {
            return Ok(false);
        }
        if found.len() > MAX_BYTES {
            return Err(format!("{} has more than 64 MiB", self.path.display()));
        }
        let bytes = fs::read(&self.path).map_err(about)?;
        let entries = parse(&bytes, self.encoding).map_err(|what| format!("{}: {what}", self.path.display()))?;
        self.table.set(entries);
        *read = Some(stamp);
        Ok(true)
    }
}

/// What was read last.
impl Map for CsvFile {
    fn get(&self, key: &str) -> Answer {
        self.table.get(key)
    }
}

/// The same file, read in the same way.
impl PartialEq for CsvFile {
    fn eq(&self, other: &Self) -> bool {
        (&self.path, self.encoding) == (&other.path, other.encoding)
    }
}

impl std::fmt::Debug for CsvFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CsvFile({})", self.path.display())
    }
}

/// Errors name lines, never values.
fn parse(bytes: &[u8], encoding: Encoding) -> Result<Entries, String> {
    let text = decode(bytes, encoding)?;
    let head = text.lines().next().unwrap_or("");
    // Excel writes semicolons where the comma is the decimal sign.
    let delimiter = [b';', b'\t', b','].into_iter().find(|mark| head.as_bytes().contains(mark)).unwrap_or(b',');
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let columns = reader.headers().map_err(|error| plain(&error))?;
    let place = |name: &str| columns.iter().position(|column| column.trim().eq_ignore_ascii_case(name));
    let (Some(key), Some(value)) = (place("key"), place("value")) else {
        return Err("the first line must name the columns `key` and `value`".into());
    };
    let mut entries = Entries::new();
    for row in reader.records() {
        let row = row.map_err(|error| plain(&error))?;
        let line = row.position().map_or(0, csv::Position::line);
        let (key, value) = (row.get(key).unwrap_or("").trim(), row.get(value).unwrap_or("").trim());
        if key.is_empty() {
            return Err(format!("line {line}: the key is empty"));
        }
        match entries.entry(key.into()) {
            Entry::Vacant(entry) => drop(entry.insert(Value::from(value))),
            Entry::Occupied(entry) if entry.get() == value => {}
            Entry::Occupied(_) => return Err(format!("line {line}: the key has another value further up")),
        }
    }
    Ok(entries)
}

fn plain(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} columns, the first line {expected_len}")
        }
        _ => format!("this is not CSV: {error}"),
    }
}

fn decode(bytes: &[u8], encoding: Encoding) -> Result<String, String> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err("this is UTF-16: save it as CSV UTF-8".into());
    }
    let (body, marked) = match bytes.strip_prefix(&[0xef, 0xbb, 0xbf]) {
        Some(body) => (body, true),
        None => (bytes, false),
    };
    match (encoding, std::str::from_utf8(body)) {
        (Encoding::Utf8, Ok(text)) => Ok(text.to_owned()),
        (Encoding::Utf8, Err(error)) => {
            let line = body[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
            let remedy = "save it as CSV UTF-8, or say encoding = \"windows-1251\" if that is what it is";
            Err(format!("line {line} is not UTF-8: {remedy}"))
        }
        // Read as windows-1251 it would be nonsense that nobody notices.
        (Encoding::Windows1251, Ok(_)) if marked || !body.is_ascii() => {
            Err("this is UTF-8, not windows-1251: remove `encoding`".into())
        }
        (Encoding::Windows1251, _) => Ok(encoding_rs::WINDOWS_1251.decode_without_bom_handling(body).0.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(bytes: &[u8], encoding: Encoding) -> Result<Vec<(String, String)>, String> {
        let mut rows: Vec<_> = parse(bytes, encoding)?
            .into_iter()
            .map(|(key, value)| (key.into(), value.as_str().unwrap().to_owned()))
            .collect();
        rows.sort();
        Ok(rows)
    }

    #[test]
    fn what_excel_saves_is_read() {
        let expected = Ok(vec![("643".to_owned(), "Россия".to_owned()), ("840".to_owned(), "США; штаты".to_owned())]);
        let comma = "key,value\n643,Россия\n840,США; штаты\n";
        let semicolon = "\u{feff}Key;note;Value\r\n643;x;Россия\r\n840;;\"США; штаты\"\r\n";
        let old = encoding_rs::WINDOWS_1251.encode(comma).0.into_owned();
        assert_eq!(read(comma.as_bytes(), Encoding::Utf8), expected);
        assert_eq!(read(semicolon.as_bytes(), Encoding::Utf8), expected);
        assert_eq!(read(&old, Encoding::Windows1251), expected);
    }

    #[test]
    fn what_cannot_be_used_says_why_and_shows_no_value() {
        let old = encoding_rs::WINDOWS_1251.encode("key,value\n1,Россия\n").0.into_owned();
        let cases: [(&[u8], Encoding, &str); 8] = [
            (&old, Encoding::Utf8, "line 2 is not UTF-8"),
            ("key,value\n1,Россия\n".as_bytes(), Encoding::Windows1251, "this is UTF-8"),
            (&[0xff, 0xfe, b'k', 0], Encoding::Utf8, "UTF-16"),
            (b"", Encoding::Utf8, "columns `key` and `value`"),
            (b"code,name\n1,secret\n", Encoding::Utf8, "columns `key` and `value`"),
            (b"key,value\n1,secret\n1,other\n", Encoding::Utf8, "line 3: the key has another value"),
            (b"key,value\n ,secret\n", Encoding::Utf8, "line 2: the key is empty"),
            (b"key,value\n1,secret,3\n", Encoding::Utf8, "line 2 has 3 columns, the first line 2"),
        ];
        for (bytes, encoding, words) in cases {
            let error = read(bytes, encoding).unwrap_err();
            assert!(error.contains(words) && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("страны.csv");
        fs::write(&path, "key,value\n1,a\n").unwrap();
        let file = CsvFile::open(path.clone(), Encoding::Utf8).unwrap();
        assert_eq!(file.refresh(), Ok(false));
        fs::write(&path, "key,value\n1,bb\n").unwrap();
        assert_eq!(file.refresh(), Ok(true));
        assert_eq!(file.get("1"), Answer::Value("bb".into()));
        fs::write(&path, "nonsense").unwrap();
        assert!(file.refresh().is_err() && file.refresh().is_err());
        assert_eq!(file.get("1"), Answer::Value("bb".into()));
        fs::remove_file(&path).unwrap();
        assert!(file.refresh().unwrap_err().contains("cannot be read"));
        assert_eq!((file.get("1"), file.count()), (Answer::Value("bb".into()), Some(1)));
    }
}
