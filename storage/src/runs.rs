//! [`SqliteRuns`]: the last run of each route with a schedule, and the last recheck of each feed.

use async_trait::async_trait;
use bus_core::ports::runs::{Run, Runs};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{FeedName, Moment, RouteName};
use rusqlite::OptionalExtension;

use crate::database::Database;
use crate::names::Kind;

/// [`Runs`] on a [`Database`].
#[derive(Clone)]
pub struct SqliteRuns(Database);

impl SqliteRuns {
    /// On an open database.
    pub fn new(database: Database) -> Self {
        Self(database)
    }
}

#[async_trait]
impl Runs for SqliteRuns {
    async fn last_run(&self, route: &RouteName) -> Result<Option<Run>, StateError> {
        let Some(route) = self.0.known_number(Kind::Route, route.as_str()).await? else { return Ok(None) };
        let select = "SELECT since, over FROM runs WHERE route = ?1";
        let work = move |connection: &rusqlite::Connection| {
            let row =
                connection.query_row(select, [route], |row| Ok(Run { since: Moment(row.get(0)?), over: row.get(1)? }));
            Ok(row.optional()?)
        };
        self.0.read(work).await
    }

    async fn keep_run(&self, route: &RouteName, run: Run) -> Result<(), StateError> {
        let route = self.0.number(Kind::Route, route.as_str()).await?;
        let upsert = "INSERT INTO runs (route, since, over) VALUES (?1, ?2, ?3)
                      ON CONFLICT (route) DO UPDATE SET since = excluded.since, over = excluded.over";
        let work = move |connection: &rusqlite::Connection| {
            connection.prepare_cached(upsert)?.execute((route, run.since.0, run.over))?;
            Ok(())
        };
        self.0.write(0, work).await
    }

    async fn last_recheck(&self, feed: &FeedName) -> Result<Option<Moment>, StateError> {
        let Some(feed) = self.0.known_number(Kind::Feed, feed.as_str()).await? else { return Ok(None) };
        let work = move |connection: &rusqlite::Connection| {
            let select = "SELECT began FROM rechecks WHERE feed = ?1";
            Ok(connection.query_row(select, [feed], |row| Ok(Moment(row.get(0)?))).optional()?)
        };
        self.0.read(work).await
    }

    async fn keep_recheck(&self, feed: &FeedName, began: Moment) -> Result<(), StateError> {
        let feed = self.0.number(Kind::Feed, feed.as_str()).await?;
        let work = move |connection: &rusqlite::Connection| {
            let replace = "INSERT OR REPLACE INTO rechecks (feed, began) VALUES (?1, ?2)";
            connection.prepare_cached(replace)?.execute((feed, began.0))?;
            Ok(())
        };
        self.0.write(0, work).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn the_last_run_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let route = RouteName::new("цены-в-магазин").unwrap();
        let open = || SqliteRuns::new(Database::open(directory.path().join("bus.db")).unwrap());
        let runs = open();
        assert_eq!(runs.last_run(&route).await, Ok(None));
        for run in [Run { since: Moment(5), over: false }, Run { since: Moment(7), over: true }] {
            runs.keep_run(&route, run).await.unwrap();
            assert_eq!(runs.last_run(&route).await, Ok(Some(run)));
        }
        drop(runs);
        assert_eq!(open().last_run(&route).await, Ok(Some(Run { since: Moment(7), over: true })));
    }

    #[tokio::test]
    async fn the_last_recheck_outlives_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let (feed, other) = (FeedName::new("заказы").unwrap(), FeedName::new("цены").unwrap());
        let open = || SqliteRuns::new(Database::open(directory.path().join("bus.db")).unwrap());
        let runs = open();
        assert_eq!(runs.last_recheck(&feed).await, Ok(None));
        runs.keep_recheck(&other, Moment(3)).await.unwrap();
        for began in [Moment(5), Moment(7)] {
            runs.keep_recheck(&feed, began).await.unwrap();
            assert_eq!(runs.last_recheck(&feed).await, Ok(Some(began)));
        }
        drop(runs);
        assert_eq!(open().last_recheck(&feed).await, Ok(Some(Moment(7))));
        assert_eq!(open().last_recheck(&other).await, Ok(Some(Moment(3))));
    }
}
