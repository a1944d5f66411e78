//! Answers of an exchange plan on disk, from the moment they have arrived until 1C was told so.
//!
//! 1C forgets a change when it is told that it arrived, so an answer is durable here before anybody sees a part of it. One
//! folder per feed:
//!
//! | file | what |
//! |---|---|
//! | `asked.json` | the number of the latest question, written before it is asked; `open` until it was answered |
//! | `answer.part` | an answer that is arriving; worth nothing |
//! | `answer.jsonl` | one that has arrived, whole: one entry a line, with a head and an end |
//! | `read.json` | the answer with this number was published as a whole, beside the cursor |

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bus_core::vocabulary::Moment;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::atom::{Feed, Item};
use crate::private;

const VERSION: u8 = 1;

/// The latest question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The message's number.
    pub number: u64,
    /// When, in milliseconds.
    pub at: i64,
    /// Nobody knows whether it has come to an end in 1C.
    pub open: bool,
}

/// The first line of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    v: u8,
    /// The message's number.
    pub number: u64,
    /// The node's address: an answer for another node is none for us.
    pub node: String,
}

/// A line of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A record as it is.
    Entry {
        /// Its type.
        entity: String,
        /// As it came.
        fields: Map<String, Value>,
    },
    /// The address of one that is gone.
    Deleted(String),
    /// Behind the last one: how many there were.
    End(u64),
}

/// The folder of one feed.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

impl Spool {
    /// Makes the folder.
    pub fn open(folder: &Path) -> io::Result<Self> {
        private::folder(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// The latest question, if there was one.
    pub fn asked(&self) -> io::Result<Option<Asked>> {
        self.small("asked.json")
    }

    /// Notes a question before it is asked, or how it ended. Durable when it returns.
    pub fn note(&self, asked: Asked) -> io::Result<()> {
        self.write_small("asked.json", &asked)
    }

    /// The answer that is not settled yet, if there is one.
    pub fn head(&self) -> io::Result<Option<Head>> {
        let file = match File::open(self.path("answer.jsonl")) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut line = String::new();
        BufReader::new(file).read_line(&mut line)?;
        let head: Head = serde_json::from_str(&line).map_err(damaged)?;
        if head.v == VERSION { Ok(Some(head)) } else { Err(damaged("it is of another version of the bus")) }
    }

    /// A file for an answer that arrives.
    pub fn part(&self) -> io::Result<File> {
        private::create(&self.path("answer.part"))
    }

    /// Takes apart what has arrived and makes it the answer: whole and durable, or not at all. Gives how many entries it
    /// has; of none, nothing is kept.
    pub fn keep(&self, number: u64, node: &str) -> io::Result<u64> {
        let part = self.path("answer.part");
        let lines = self.path("answer.lines");
        let mut feed = Feed::new(BufReader::new(File::open(&part)?));
        let mut out = BufWriter::new(private::create(&lines)?);
        write_line(&mut out, &Head { v: VERSION, number, node: node.to_owned() })?;
        let mut count = 0;
        let broken = |error: super::json::Broken| io::Error::new(io::ErrorKind::InvalidData, error.to_string());
        while let Some(item) = feed.next_item().map_err(broken)? {
            count += 1;
            let line = match item {
                Item::Entry { entity, fields } => Line::Entry { entity, fields },
                Item::Deleted(reference) => Line::Deleted(reference),
            };
            write_line(&mut out, &line)?;
        }
        write_line(&mut out, &Line::End(count))?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        if count > 0 {
            fs::rename(&lines, self.path("answer.jsonl"))?;
            self.sync()?;
        } else {
            fs::remove_file(&lines)?;
        }
        fs::remove_file(part)?;
        Ok(count)
    }

    /// Lines of the answer from a place in it, 0 being its first entry; each with the place behind it. The end is
    /// [`Line::End`].
    pub fn lines(&self, at: u64) -> io::Result<impl Iterator<Item = io::Result<(Line, u64)>>> {
        let mut input = BufReader::new(File::open(self.path("answer.jsonl"))?);
        let mut at = at;
        if at == 0 {
            at = input.read_line(&mut String::new())? as u64;
        } else {
            input.seek(SeekFrom::Start(at))?;
        }
        Ok(std::iter::from_fn(move || {
            let mut line = String::new();
            match input.read_line(&mut line) {
                Ok(0) => None,
                Ok(length) => {
                    at += length as u64;
                    Some(serde_json::from_str(&line).map(|line| (line, at)).map_err(damaged))
                }
                Err(error) => Some(Err(error)),
            }
        }))
    }

    /// Whether the answer with this number was published as a whole.
    pub fn is_read(&self, number: u64) -> io::Result<bool> {
        Ok(self.small::<u64>("read.json")? == Some(number))
    }

    /// Notes that it was. Durable when it returns.
    pub fn mark_read(&self, number: u64) -> io::Result<()> {
        self.write_small("read.json", &number)
    }

    /// Forgets the answer: 1C was told that it has arrived.
    pub fn settle(&self) -> io::Result<()> {
        for name in ["answer.jsonl", "read.json"] {
            match fs::remove_file(self.path(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.sync()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn small<T: for<'de> Deserialize<'de>>(&self, name: &str) -> io::Result<Option<T>> {
        match fs::read(self.path(name)) {
            Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(damaged),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn write_small(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let new = self.path(&format!("{name}.new"));
        let mut file = private::create(&new)?;
        file.write_all(&serde_json::to_vec(value)?)?;
        file.sync_all()?;
        fs::rename(new, self.path(name))?;
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

impl Asked {
    /// Asked now.
    pub fn now(number: u64) -> Self {
        Self { number, at: Moment::now().0, open: true }
    }
}

fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

fn damaged(why: impl ToString) -> io::Error {
    // Where in a line a parser stopped says nothing of its content.
    io::Error::new(io::ErrorKind::InvalidData, format!("a file in the spool is damaged: {}", why.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const FEED: &str = "<feed xmlns=\"http://www.w3.org/2005/Atom\" xmlns:at=\"http://purl.org/atompub/tombstones/1.0\" \
        xmlns:d=\"http://schemas.microsoft.com/ado/2007/08/dataservices\" xmlns:m=\"http://schemas.microsoft.com/ado/2007/08/dataservices/metadata\">\
        <entry><category term=\"StandardODATA.A\"/><content><m:properties><d:К>1</d:К></m:properties></content></entry>\
        <at:deleted-entry ref=\"A(guid'1')\"/></feed>";

    fn arrived(spool: &Spool, text: &str, number: u64) -> io::Result<u64> {
        spool.part().unwrap().write_all(text.as_bytes()).unwrap();
        spool.keep(number, "node")
    }

    #[test]
    fn an_answer_is_there_whole_until_it_is_settled() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("лента")).unwrap();
        assert_eq!(spool.head().unwrap(), None);
        assert_eq!(arrived(&spool, FEED, 7).unwrap(), 2);
        let spool = Spool::open(&folder.path().join("лента")).unwrap();
        assert_eq!(spool.head().unwrap().map(|head| (head.number, head.node)), Some((7, "node".to_owned())));
        let lines: Vec<(Line, u64)> = spool.lines(0).unwrap().map(Result::unwrap).collect();
        assert_eq!(lines[1].0, Line::Deleted("A(guid'1')".into()));
        assert_eq!(lines[2].0, Line::End(2));
        let rest: Vec<(Line, u64)> = spool.lines(lines[0].1).unwrap().map(Result::unwrap).collect();
        assert_eq!(rest, lines[1..]);
        spool.mark_read(7).unwrap();
        assert!(spool.is_read(7).unwrap() && !spool.is_read(8).unwrap());
        spool.settle().unwrap();
        assert!(spool.head().unwrap().is_none() && !spool.is_read(7).unwrap());
    }

    #[test]
    fn nobody_else_may_read_what_is_kept() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("данные/лента");
        let spool = Spool::open(&folder).unwrap();
        spool.note(Asked::now(1)).unwrap();
        let part = spool.part().unwrap();
        assert_eq!(part.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        arrived(&spool, FEED, 1).unwrap();
        spool.mark_read(1).unwrap();
        let mut seen = vec![folder.clone(), folder.parent().unwrap().to_owned()];
        seen.extend(fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()));
        assert_eq!(seen.len(), 5, "{seen:?}");
        for path in seen {
            let mode = fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{}", path.display());
        }
    }

    #[test]
    fn half_an_answer_and_an_empty_one_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        assert!(arrived(&spool, &FEED[..FEED.len() - 20], 1).is_err());
        assert_eq!(spool.head().unwrap(), None);
        assert_eq!(arrived(&spool, "<feed xmlns=\"http://www.w3.org/2005/Atom\"/>", 1).unwrap(), 0);
        assert_eq!(spool.head().unwrap(), None);
    }
}
