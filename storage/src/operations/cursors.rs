//! Cursors, for people.

use async_trait::async_trait;
use bus_core::ports::cursors::{CursorStore, Moved, Standing};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{Cursor, FeedName};
use rusqlite::{Connection, OptionalExtension};

use crate::SqliteState;
use crate::failure::{Failure, damaged};
use crate::names::Kind;
use crate::queue::log::unsigned;

#[async_trait]
impl CursorStore for SqliteState {
    async fn standings(&self) -> Result<Vec<Standing>, StateError> {
        self.database().read(standings).await
    }

    async fn move_cursor(&self, feed: &FeedName, cursor: &Cursor) -> Result<Moved, StateError> {
        let Some(feed) = self.database().known_number(Kind::Feed, feed.as_str()).await? else {
            return Ok(Moved::Unknown);
        };
        let cursor = cursor.clone();
        self.database().write(0, move |connection| move_cursor(connection, feed, &cursor)).await
    }
}

fn standings(connection: &Connection) -> Result<Vec<Standing>, Failure> {
    let mut select = connection.prepare_cached(
        "SELECT n.name, f.epoch, f.cursor, f.sealed IS NOT NULL FROM feeds f JOIN names n ON n.id = f.id ORDER BY n.name",
    )?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Standing {
            feed: FeedName::new(&row.get::<_, String>(0)?).map_err(damaged)?,
            epoch: unsigned(row.get(1)?),
            cursor: row.get::<_, Option<String>>(2)?.map(Cursor::new),
            sealed: row.get(3)?,
        });
    }
    Ok(found)
}

fn move_cursor(connection: &Connection, feed: i64, cursor: &Cursor) -> Result<Moved, Failure> {
    let sealed: Option<bool> = connection
        .prepare_cached("SELECT sealed IS NOT NULL FROM feeds WHERE id = ?1")?
        .query_row([feed], |row| row.get(0))
        .optional()?;
    Ok(match sealed {
        None => Moved::Unknown,
        Some(true) => Moved::Sealed,
        Some(false) => {
            let update = "UPDATE feeds SET cursor = ?2, epoch = epoch + 1 WHERE id = ?1";
            connection.execute(update, (feed, cursor.as_str()))?;
            Moved::Yes
        }
    })
}
