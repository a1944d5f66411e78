//! Cursors, for people.

use async_trait::async_trait;
use bus_core::ports::cursors::{CursorStore, Moved, Standing};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{Cursor, FeedName};
use rusqlite::{Connection, OptionalExtension};

use crate::SqliteState;
use crate::failure::{Failure, damaged};
use crate::names::Kind;
use crate::number::unsigned;
use crate::state::feeds;

#[async_trait]
impl CursorStore for SqliteState {
    async fn standings(&self) -> Result<Vec<Standing>, StateError> {
        self.database().read(standings).await
    }

    async fn move_cursor(&self, feed: &FeedName, cursor: &Cursor, force: bool) -> Result<Moved, StateError> {
        let Some(feed) = self.database().known_number(Kind::Feed, feed.as_str()).await? else {
            return Ok(Moved::Unknown);
        };
        let cursor = cursor.clone();
        self.database().write(0, move |connection| move_cursor(connection, feed, &cursor, force)).await
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

fn move_cursor(connection: &Connection, feed: i64, cursor: &Cursor, force: bool) -> Result<Moved, Failure> {
    let blob: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT sealed FROM feeds WHERE id = ?1")?
        .query_row([feed], |row| row.get(0))
        .optional()?;
    let moved = match blob {
        None => return Ok(Moved::Unknown),
        Some(Some(_)) if !force => return Ok(Moved::Sealed),
        Some(Some(sealed)) => Moved::GivenUp(feeds::give_up(connection, sealed)?),
        Some(None) => Moved::Yes,
    };
    let update = "UPDATE feeds SET cursor = ?2, sealed = NULL, epoch = epoch + 1 WHERE id = ?1";
    connection.execute(update, (feed, cursor.as_str()))?;
    Ok(moved)
}
