//! Pauses, one row each.

use async_trait::async_trait;
use bus_core::ports::pauses::{Pause, PauseStore, Subject};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::Moment;
use rusqlite::Connection;

use crate::SqliteState;
use crate::failure::{Failure, damaged};

#[async_trait]
impl PauseStore for SqliteState {
    async fn pauses(&self) -> Result<Vec<Pause>, StateError> {
        self.database().read(list).await
    }

    async fn keep_pause(&self, pause: &Pause) -> Result<(), StateError> {
        let pause = pause.clone();
        let upsert = "INSERT INTO pauses (kind, name, who, why, since) VALUES (?1, ?2, ?3, ?4, ?5)
                      ON CONFLICT (kind, name) DO UPDATE SET who = excluded.who, why = excluded.why,
                          since = excluded.since";
        let work = move |connection: &Connection| {
            let Pause { subject, who, why, since } = &pause;
            connection.prepare_cached(upsert)?.execute((subject.kind(), subject.name(), who, why, since.0))?;
            Ok(())
        };
        self.database().write(0, work).await
    }

    async fn end_pause(&self, subject: &Subject) -> Result<bool, StateError> {
        let subject = subject.clone();
        let delete = "DELETE FROM pauses WHERE kind = ?1 AND name = ?2";
        let work = move |connection: &Connection| Ok(connection.execute(delete, (subject.kind(), subject.name()))? > 0);
        self.database().write(0, work).await
    }
}

fn list(connection: &Connection) -> Result<Vec<Pause>, Failure> {
    let mut select = connection.prepare_cached("SELECT kind, name, who, why, since FROM pauses ORDER BY kind, name")?;
    let mut rows = select.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        let subject = Subject::parse(&kind, &name).ok_or_else(|| damaged("a stored pause is of an unknown kind"))?;
        found.push(Pause {
            subject: subject.map_err(damaged)?,
            who: row.get(2)?,
            why: row.get(3)?,
            since: Moment(row.get(4)?),
        });
    }
    Ok(found)
}
