//! Joined streams: their parts as rows of the state store's own file, and the reader that puts them together.
//!
//! | file | what it is |
//! |---|---|
//! | `mod.rs` | [`StoredPart`]: writes a part, and lines up the joined records that it changes |
//! | `compose.rs` | one joined record from the rows of its parts |
//! | `source.rs` | [`JoinSource`]: the joined records that have changed, as a source of a feed |

mod compose;
mod source;

use async_trait::async_trait;
use bus_core::ports::join::{PartChange, PartWriter};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::StreamName;
use rusqlite::{Connection, OptionalExtension};

use crate::database::Database;
use crate::failure::Failure;
use crate::names::Kind;
pub use compose::{JoinPlan, JoinedPart};
pub use source::JoinSource;

/// One part of a joined stream.
pub struct StoredPart {
    /// Whose file it is kept in.
    pub database: Database,
    /// The joined stream.
    pub joined: StreamName,
    /// The stream whose records these are.
    pub part: StreamName,
    /// The part without which there is no joined record.
    pub main: StreamName,
}

#[async_trait]
impl PartWriter for StoredPart {
    async fn write(&self, changes: Vec<PartChange>) -> Result<(), StateError> {
        let database = &self.database;
        let joined = database.number(Kind::Stream, self.joined.as_str()).await?;
        let part = database.number(Kind::Stream, self.part.as_str()).await?;
        let main = database.number(Kind::Stream, self.main.as_str()).await?;
        let weight = changes.iter().map(|change| 64 + change.now.as_ref().map_or(0, |now| now.body.len())).sum();
        database
            .write(weight, move |connection| {
                let rows = Rows { connection, joined, part, main };
                changes.iter().try_for_each(|change| rows.apply(change))
            })
            .await
    }
}

struct Rows<'a> {
    connection: &'a Connection,
    joined: i64,
    part: i64,
    main: i64,
}

impl Rows<'_> {
    fn apply(&self, change: &PartChange) -> Result<(), Failure> {
        let member = change.member.as_str();
        let mut select = self
            .connection
            .prepare_cached("SELECT key, body FROM join_parts WHERE (joined, part, member) = (?1, ?2, ?3)")?;
        let before: Option<(String, Vec<u8>)> =
            select.query_row((self.joined, self.part, member), |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        if let Some(now) = &change.now {
            if before.as_ref().is_some_and(|(key, body)| key == now.key.as_str() && *body == now.body) {
                return Ok(());
            }
            let mut put = self.connection.prepare_cached(
                "INSERT INTO join_parts (joined, part, member, key, body) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET key = excluded.key, body = excluded.body",
            )?;
            put.execute((self.joined, self.part, member, now.key.as_str(), &now.body[..]))?;
            self.line_up(now.key.as_str())?;
        } else {
            let mut remove =
                self.connection.prepare_cached("DELETE FROM join_parts WHERE (joined, part, member) = (?1, ?2, ?3)")?;
            remove.execute((self.joined, self.part, member))?;
        }
        match before {
            Some((key, _)) if change.now.as_ref().is_none_or(|now| now.key.as_str() != key) => self.line_up(&key),
            _ => Ok(()),
        }
    }

    /// The joined record is another than before: to the end of the line, once. Not if there is none: what came before its
    /// main part is found when that comes.
    fn line_up(&self, key: &str) -> Result<(), Failure> {
        if self.part != self.main {
            let mut exists = self
                .connection
                .prepare_cached("SELECT 1 FROM join_parts WHERE (joined, part, key) = (?1, ?2, ?3) LIMIT 1")?;
            if !exists.exists((self.joined, self.main, key))? {
                return Ok(());
            }
        }
        let mut line =
            self.connection.prepare_cached("INSERT OR REPLACE INTO join_changes (joined, key) VALUES (?1, ?2)")?;
        line.execute((self.joined, key))?;
        Ok(())
    }
}
