//! Comparing by `DataVersion`: a light list of references and versions, and only the records whose version is another.
//!
//! 1C gives a record another `DataVersion` with every write, and says of no two which is the later; so versions are compared for being
//! the same, and kept in memory only. The first comparison of a process reads everything. A version counts once the record that it was
//! read with has been published, and is never newer than that record: what is written in between is read again.

use std::collections::{HashMap, VecDeque};

use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, ScanPage, SourceError};
use bus_core::vocabulary::Key;
use reqwest::Method;
use sha2::{Digest, Sha256};

use super::base::{Base, Failed};
use super::pages::{self, Pages, Size};
use super::rows::Rows;
use super::table::{Made, Table};
use crate::closed;

/// Records whose versions are remembered: some 50 bytes each. Those beyond are read in every comparison.
const MOST: usize = 2_000_000;
/// Records that are asked for by key in one address.
const BY_KEY: usize = 25;

type Id = [u8; 16];

/// What was published, by its version.
#[derive(Default)]
pub struct Versions {
    known: HashMap<Id, Known>,
    /// Handed out, and not known to be published.
    handed: Vec<(Id, u64)>,
    /// Of this comparison.
    round: u32,
    under_way: Option<Way>,
}

struct Known {
    version: u64,
    /// When it was last in the list.
    round: u32,
}

/// A comparison under way.
struct Way {
    /// Everything is read, because nothing is known.
    whole: bool,
    pages: Pages,
    /// The list has ended.
    last: bool,
    /// To be read by key, with the version that the list had.
    wanted: VecDeque<(Key, u64)>,
    size: Size,
}

impl Versions {
    /// The next page of a comparison; as [`Source::compare`](bus_core::ports::source::Source::compare). `light` lists keys and versions of
    /// `table`'s records.
    pub async fn compare(
        &mut self,
        restart: bool,
        base: &Base,
        (table, light): (&Table, &Table),
        (limit, permits): (BatchLimit, &Permits),
    ) -> Result<ScanPage, SourceError> {
        if restart {
            self.begin();
        } else {
            self.published();
        }
        // Taken out while it works: a dropped wait leaves no half of a page behind.
        let Some(mut way) = self.under_way.take() else { return Err(pages::cut()) };
        let mut page = ScanPage::default();
        if way.wanted.is_empty() {
            if way.last {
                // The last records were published: what was not in the list is forgotten.
                let round = self.round;
                self.known.retain(|_, known| known.round == round);
                page.complete = true;
                return Ok(page);
            }
            let of = if way.whole { table } else { light };
            let (rows, last) = way.pages.next(base, of, limit, permits).await?;
            way.last = last;
            for (fields, _) in rows {
                let (key, version) = (table.key(&fields), table.version(&fields).map(hash));
                match (way.whole, key, version) {
                    (false, Ok(key), Some(version)) if self.is_known(&key, version) => {
                        page.unchanged.push((table.read.stream.clone(), key));
                    }
                    (false, Ok(key), version) => way.wanted.push_back((key, version.unwrap_or_default())),
                    (_, key, version) => {
                        if let (Ok(key), Some(version)) = (&key, version) {
                            self.handed.push((id(key), version));
                        }
                        made(table, fields, &mut page);
                    }
                }
            }
        }
        let mut bytes = 0;
        while !way.wanted.is_empty() && bytes < limit.bytes && page.records.len() < limit.records {
            let count = way.size.top(limit).min(BY_KEY).min(way.wanted.len());
            let keys: Vec<Key> = way.wanted.iter().take(count).map(|(key, _)| key.clone()).collect();
            match read(base, table, &keys, permits).await {
                Ok(rows) => {
                    let read: usize = rows.iter().map(|row| row.1).sum();
                    way.size.learn(rows.len(), read, limit);
                    bytes += read;
                    let listed: HashMap<Key, u64> = way.wanted.drain(..count).collect();
                    for (fields, _) in rows {
                        // Only of what came: the engine takes what did not for deleted, and it may come back as it was.
                        let key = table.key(&fields).ok();
                        let version = key.as_ref().and_then(|key| Some((id(key), *listed.get(key)?)));
                        self.handed.extend(version);
                        made(table, fields, &mut page);
                    }
                }
                Err(Asked::Failed(failed)) if failed.less_may_help() && way.size.divide() => {}
                Err(Asked::Failed(failed)) => return Err(failed.error()),
                Err(Asked::Wrong(error)) => return Err(error),
            }
        }
        self.under_way = Some(way);
        Ok(page)
    }

    fn begin(&mut self) {
        self.handed.clear();
        self.round += 1;
        self.under_way = Some(Way {
            whole: self.known.is_empty(),
            pages: Pages::default(),
            last: false,
            wanted: VecDeque::new(),
            size: Size::default(),
        });
    }

    /// The engine has come back, so all that was handed out was published.
    fn published(&mut self) {
        for (id, version) in self.handed.drain(..) {
            if self.known.len() < MOST || self.known.contains_key(&id) {
                self.known.insert(id, Known { version, round: self.round });
            }
        }
    }

    fn is_known(&mut self, key: &Key, version: u64) -> bool {
        let known = self.known.get_mut(&id(key)).filter(|known| known.version == version);
        let round = self.round;
        known.map(|known| known.round = round).is_some()
    }
}

enum Asked {
    Failed(Failed),
    Wrong(SourceError),
}

async fn read(base: &Base, table: &Table, keys: &[Key], permits: &Permits) -> Result<Vec<super::rows::Row>, Asked> {
    let mut all = Vec::new();
    for (question, _) in table.those(keys).map_err(Asked::Wrong)? {
        let _permit = permits.take().await.map_err(|error| Asked::Wrong(closed::unread(error)))?;
        let answer = base.ask(Method::GET, &question, !table.read.atom).await.map_err(Asked::Failed)?;
        let mut rows = Rows::new(answer);
        while let Some(row) = rows.next().await.map_err(Asked::Failed)? {
            all.push(row);
        }
    }
    Ok(all)
}

fn made(table: &Table, fields: serde_json::Map<String, serde_json::Value>, page: &mut ScanPage) {
    match table.record(fields) {
        Made::Record(record) => page.records.push(record),
        Made::Unreadable(row) => page.unreadable.push(row),
    }
}

fn id(key: &Key) -> Id {
    let digest: [u8; 32] = Sha256::digest(key.as_str().as_bytes()).into();
    let mut id = [0; 16];
    id.copy_from_slice(&digest[..16]);
    id
}

fn hash(version: &str) -> u64 {
    let digest: [u8; 32] = Sha256::digest(version.as_bytes()).into();
    u64::from_be_bytes([digest[0], digest[1], digest[2], digest[3], digest[4], digest[5], digest[6], digest[7]])
}
