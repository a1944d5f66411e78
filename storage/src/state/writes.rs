//! [`SqliteWrites`]: what routes have written, for the routes that carry the same entity back.

use std::sync::{Arc, Mutex, PoisonError};

use bus_core::policy::echo::{End, Write};
use bus_core::ports::echo::WriteLog;
use bus_core::ports::state::{Applied, StateError};
use bus_core::vocabulary::{ContentHash, Moment, RouteName};
use rusqlite::Connection;

use crate::database::Database;
use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};

/// Writes kept of a key: more than a source can show of it between two of our looks. The oldest goes first, and its echo
/// would then be sent on, which loses nothing.
const KEPT: i64 = 16;

/// [`WriteLog`] on a [`Database`].
#[derive(Clone)]
pub struct SqliteWrites(Arc<Mutex<Connection>>);

impl SqliteWrites {
    /// The log of an open database.
    pub fn open(database: &Database) -> Result<Self, StateError> {
        let reader = database.reader().map_err(|error| StateError::Failed(error.to_string()))?;
        Ok(Self(Arc::new(Mutex::new(reader))))
    }
}

impl WriteLog for SqliteWrites {
    fn writes(&self, reader: &RouteName, key: &str) -> Result<Vec<Write>, StateError> {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        read(&connection, reader, key).map_err(|failure| failure.0)
    }
}

fn read(connection: &Connection, reader: &RouteName, key: &str) -> Result<Vec<Write>, Failure> {
    let Some(route) = names::find(connection, Kind::Route, reader.as_str())? else { return Ok(Vec::new()) };
    let mut select = connection
        .prepare_cached("SELECT print, began, in_doubt FROM writes WHERE route = ?1 AND key = ?2 ORDER BY began")?;
    let mut rows = select.query((route, key))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let print: Vec<u8> = row.get(0)?;
        let print = print.try_into().map_err(|_| damaged("a stored print has a wrong length"))?;
        let end = if row.get(2)? { End::InDoubt } else { End::Taken };
        found.push(Write { print: ContentHash::from_bytes(print), began: Moment(row.get(1)?), end });
    }
    Ok(found)
}

/// In the transaction of the write's outcome.
pub(crate) fn wrote(connection: &Connection, reader: &RouteName, key: &str, write: &Write) -> Result<Applied, Failure> {
    let route = names::intern(connection, Kind::Route, reader.as_str())?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO writes (route, key, began, print, in_doubt) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (route, key, began) DO UPDATE SET print = excluded.print, in_doubt = excluded.in_doubt",
    )?;
    let in_doubt = write.end != End::Taken;
    insert.execute((route, key, write.began.0, write.print.as_bytes().as_slice(), in_doubt))?;
    let mut prune = connection.prepare_cached(
        "DELETE FROM writes WHERE route = ?1 AND key = ?2 AND began <=
             (SELECT began FROM writes WHERE route = ?1 AND key = ?2 ORDER BY began DESC LIMIT 1 OFFSET ?3)",
    )?;
    prune.execute((route, key, KEPT))?;
    Ok(Applied::Yes)
}

/// In the transaction of the reading's outcome.
pub(crate) fn forget(connection: &Connection, route: i64, key: &str, before: Moment) -> Result<Applied, Failure> {
    let mut delete = connection.prepare_cached("DELETE FROM writes WHERE route = ?1 AND key = ?2 AND began < ?3")?;
    let gone = delete.execute((route, key, before.0))? > 0;
    Ok(if gone { Applied::Yes } else { Applied::Ignored })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SqliteState;
    use bus_core::ports::state::{Change, StateStore};
    use bus_core::vocabulary::Operation;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writes_are_kept_per_reader_and_key_and_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let (state, log) = (SqliteState::new(database.clone()), SqliteWrites::open(&database).unwrap());
        let (writer, reader) = (RouteName::new("туда").unwrap(), RouteName::new("обратно").unwrap());
        let print = ContentHash::of(Operation::Upsert, b"x");
        let wrote = |key: &str, began| {
            let (reader, key, began) = (reader.clone(), key.to_owned(), Moment(began));
            Change::Wrote { reader, key, print, began, in_doubt: began == Moment(19) }
        };
        assert_eq!(log.writes(&reader, "a"), Ok(vec![]));
        state.commit(&writer, (1..=20).map(|began| wrote("a", began)).chain([wrote("b", 7)]).collect()).await.unwrap();
        let kept: Vec<i64> = log.writes(&reader, "a").unwrap().iter().map(|write| write.began.0).collect();
        assert_eq!(kept, (5..=20).collect::<Vec<i64>>());
        let forget = Change::ForgetWrites { key: "a".into(), before: Moment(19) };
        state.commit(&reader, vec![forget]).await.unwrap();
        let left = |began, end| Write { print, began: Moment(began), end };
        assert_eq!(log.writes(&reader, "a").unwrap(), [left(19, End::InDoubt), left(20, End::Taken)]);
        let known =
            Change::Wrote { reader: reader.clone(), key: "a".into(), print, began: Moment(19), in_doubt: false };
        state.commit(&writer, vec![known]).await.unwrap();
        assert_eq!(log.writes(&reader, "a").unwrap()[0], left(19, End::Taken));
        assert_eq!((log.writes(&reader, "b").unwrap().len(), log.writes(&writer, "a").unwrap().len()), (1, 0));
    }
}
