//! [`ReceiverIds`]: what a route has learnt of its receiver's own ids, as a map in either direction.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bus_core::ports::map::{Answer, Map};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::RouteName;
use rusqlite::{Connection, OptionalExtension};

use crate::database::Database;
use crate::names::{self, Kind};

/// From what to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gives {
    /// From the receiver's id to our key.
    Key,
    /// From our key to the receiver's id.
    ReceiverId,
}

/// The ids that a route's receiver has given. Always as new as the last durable outcome: nothing is cached.
pub struct ReceiverIds {
    route: RouteName,
    gives: Gives,
    /// The route's number, once it has settled anything.
    number: OnceLock<i64>,
    reader: Arc<Mutex<Connection>>,
}

impl ReceiverIds {
    /// Opens the ids of a route, which need not have delivered anything yet.
    pub fn open(database: &Database, route: RouteName, gives: Gives) -> Result<Self, StateError> {
        let reader = database.reader().map_err(|error| StateError::Failed(error.to_string()))?;
        Ok(Self { route, gives, number: OnceLock::new(), reader: Arc::new(Mutex::new(reader)) })
    }

    fn look_up(&self, asked: &str) -> rusqlite::Result<Option<String>> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match self.number.get() {
            Some(number) => *number,
            None => match names::find(&reader, Kind::Route, self.route.as_str())? {
                Some(number) => *self.number.get_or_init(|| number),
                None => return Ok(None),
            },
        };
        let sql = match self.gives {
            // A receiver that gives an id anew, to another record, means the later one.
            Gives::Key => {
                "SELECT key FROM settled WHERE route = ?1 AND receiver_id = ?2 ORDER BY epoch DESC, number DESC LIMIT 1"
            }
            Gives::ReceiverId => "SELECT receiver_id FROM settled WHERE route = ?1 AND key = ?2",
        };
        let found = reader.prepare_cached(sql)?.query_row((number, asked), |row| row.get(0)).optional()?;
        Ok(found.flatten())
    }
}

impl Map for ReceiverIds {
    fn get(&self, key: &str) -> Answer {
        match self.look_up(key) {
            Ok(Some(found)) => Answer::Value(found.into()),
            Ok(None) => Answer::Unknown,
            Err(_) => Answer::NotReady,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::SqliteState;
    use bus_core::ports::state::{Change, Settlement, StateStore};
    use bus_core::vocabulary::{Key, MessageId, Seq};

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn an_id_leads_to_its_key_and_back() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(directory.path().join("bus.db")).unwrap();
        let state = SqliteState::new(database.clone());
        let route = RouteName::new("заказы").unwrap();
        let open = |gives| ReceiverIds::open(&database, route.clone(), gives).unwrap();
        let (keys, ids) = (open(Gives::Key), open(Gives::ReceiverId));
        assert_eq!((keys.get("R-1"), ids.get("1")), (Answer::Unknown, Answer::Unknown));
        let settle = |key: &str, number: u64, receiver_id: Option<&str>| Change::Settle {
            key: Key::from_stored(key),
            seq: Seq { epoch: 1, number },
            id: MessageId::from_bytes([u8::try_from(number).unwrap(); 16]),
            outcome: Settlement::Delivered { present: true, receiver_id: receiver_id.map(str::to_owned) },
        };
        state.commit(&route, vec![settle("1", 1, Some("R-1")), settle("2", 2, None)]).await.unwrap();
        assert_eq!((keys.get("R-1"), ids.get("1")), (Answer::Value("1".into()), Answer::Value("R-1".into())));
        assert_eq!((keys.get("2"), ids.get("2")), (Answer::Unknown, Answer::Unknown));
        // The id stays when a later answer holds none, and means the later record when it is given anew.
        state.commit(&route, vec![settle("1", 3, None), settle("3", 4, Some("R-1"))]).await.unwrap();
        assert_eq!((keys.get("R-1"), ids.get("1")), (Answer::Value("3".into()), Answer::Value("R-1".into())));
    }
}
