//! A block's row, unpacked, and the rows that name it.

use bus_core::vocabulary::{Moment, StreamName};
use rusqlite::{Connection, OptionalExtension, Row};

use super::block::{self, Entry};
use crate::failure::{Failure, damaged};
use crate::number::unsigned;

/// By label: the query of the million, explained in a test.
pub(super) const BY_LABEL: &str = "SELECT at FROM journal_labels WHERE label = ?1 ORDER BY at DESC LIMIT ?2";
/// By key.
pub(super) const BY_KEY: &str = "SELECT at FROM journal_keys WHERE key = ?1 ORDER BY at DESC LIMIT ?2";

/// See the module's comment.
pub(super) struct Block {
    pub id: i64,
    pub stream: i64,
    pub stream_name: StreamName,
    pub epoch: u64,
    pub first: u64,
    pub feed: i64,
    pub run: u64,
    pub read_at: Moment,
    pub published_at: Option<Moment>,
    pub entries: Vec<Entry>,
}

/// All its columns, to which a condition is added.
pub(super) const BLOCK: &str =
    "SELECT j.id, j.stream, n.name, j.epoch, j.first, j.feed, j.run, j.read_at, j.published_at, j.entries
                     FROM journal j JOIN names n ON n.id = j.stream";

impl Block {
    /// `None`: it has been trimmed meanwhile.
    pub fn load(connection: &Connection, id: i64) -> Result<Option<Self>, Failure> {
        let mut select = connection.prepare_cached(&format!("{BLOCK} WHERE j.id = ?1"))?;
        select.query_row([id], |row| Ok(Self::read(row))).optional()?.transpose()
    }

    pub fn read(row: &Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            id: row.get(0)?,
            stream: row.get(1)?,
            stream_name: StreamName::new(&row.get::<_, String>(2)?).map_err(damaged)?,
            epoch: unsigned(row.get(3)?),
            first: unsigned(row.get(4)?),
            feed: row.get(5)?,
            run: unsigned(row.get(6)?),
            read_at: Moment(row.get(7)?),
            published_at: row.get::<_, Option<i64>>(8)?.map(Moment),
            entries: block::entries(row.get(9)?)?,
        })
    }
}
