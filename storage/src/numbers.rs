//! The numbers of names, looked up once.

use bus_core::ports::state::StateError;

use crate::database::Database;
use crate::names::{Kind, find, intern};

impl Database {
    /// The number of a name, given to it now if it has none: one flush per name, once.
    pub(crate) async fn number(&self, kind: Kind, name: &str) -> Result<i64, StateError> {
        if let Some(id) = self.names().get(kind, name) {
            return Ok(id);
        }
        let owned = name.to_owned();
        let id = self.write(name.len(), move |connection| intern(connection, kind, &owned)).await?;
        self.names().put(kind, name.to_owned(), id);
        Ok(id)
    }

    /// The number of a name, for lookups: without one there is nothing to find.
    pub(crate) async fn known_number(&self, kind: Kind, name: &str) -> Result<Option<i64>, StateError> {
        if let Some(id) = self.names().get(kind, name) {
            return Ok(Some(id));
        }
        let owned = name.to_owned();
        let id = self.read(move |connection| Ok(find(connection, kind, &owned)?)).await?;
        if let Some(id) = id {
            self.names().put(kind, name.to_owned(), id);
        }
        Ok(id)
    }
}
