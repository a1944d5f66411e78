//! [`Places`] on the state store's file. A route's memory hangs on its number, so that a new name is one row's change.

use async_trait::async_trait;
use bus_core::policy::places::{Place, Step};
use bus_core::ports::places::{Known, Places};
use bus_core::ports::state::StateError;
use bus_core::vocabulary::{QueueName, RouteName, StreamName};
use rusqlite::Connection;

use crate::failure::{Failure, damaged};
use crate::names::{self, Kind};
use crate::state::SqliteState;

/// What is kept under a route's number.
const MEMORY: [&str; 7] = ["settled", "waiting", "marks", "reached", "dead", "letters", "writes"];

#[async_trait]
impl Places for SqliteState {
    async fn places(&self) -> Result<Known, StateError> {
        self.database().read(load).await
    }

    async fn arrange(&self, steps: &[Step]) -> Result<(), StateError> {
        let steps = steps.to_vec();
        let work = move |connection: &Connection| steps.iter().try_for_each(|step| apply(connection, step));
        let outcome = self.database().write(0, work).await;
        // A name may stand for another number now, in doubt too. Who would look up a stale one is not running.
        self.database().names().forget();
        outcome
    }

    async fn queue_removed(&self, queue: &QueueName) -> Result<(), StateError> {
        let queue = queue.to_string();
        let work = move |connection: &Connection| {
            connection.execute("DELETE FROM given_up_queues WHERE queue = ?1", [queue])?;
            Ok(())
        };
        self.database().write(0, work).await
    }
}

fn load(connection: &Connection) -> Result<Known, Failure> {
    let mut known = Known::default();
    let mut select = connection.prepare(
        "SELECT r.name, s.name, p.queue FROM places p JOIN names r ON r.id = p.route JOIN names s ON s.id = p.stream",
    )?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        let queue = row.get::<_, Option<String>>(2)?.map(|queue| QueueName::new(&queue)).transpose();
        known.places.push(Place {
            route: RouteName::new(&row.get::<_, String>(0)?).map_err(damaged)?,
            stream: StreamName::new(&row.get::<_, String>(1)?).map_err(damaged)?,
            queue: queue.map_err(damaged)?,
        });
    }
    let mut select = connection.prepare("SELECT queue FROM given_up_queues")?;
    let mut rows = select.query([])?;
    while let Some(row) = rows.next()? {
        known.given_up.push(QueueName::new(&row.get::<_, String>(0)?).map_err(damaged)?);
    }
    Ok(known)
}

fn apply(connection: &Connection, step: &Step) -> Result<(), Failure> {
    match step {
        Step::Make(queue) => {
            connection.execute("INSERT OR IGNORE INTO given_up_queues (queue) VALUES (?1)", [queue.as_str()])?;
        }
        Step::Forget(route) => {
            let Some(number) = number(connection, route)? else { return Ok(()) };
            give_up_queue(connection, number)?;
            for table in MEMORY {
                connection.execute(&format!("DELETE FROM {table} WHERE route = ?1"), [number])?;
            }
            connection.execute("DELETE FROM places WHERE route = ?1", [number])?;
        }
        Step::Retire(route) => {
            let Some(number) = number(connection, route)? else { return Ok(()) };
            give_up_queue(connection, number)?;
            connection.execute("UPDATE places SET queue = NULL WHERE route = ?1", [number])?;
        }
        Step::Rename { from, to } => {
            let kind = Kind::Route as i64;
            // A number without a place, of a forgotten route whose journal still names it, keeps a name of its own.
            let aside = "UPDATE names SET name = name || '.' || id WHERE kind = ?1 AND name = ?2";
            connection.execute(aside, (kind, to.as_str()))?;
            let rename = "UPDATE names SET name = ?3 WHERE kind = ?1 AND name = ?2";
            connection.execute(rename, (kind, from.as_str(), to.as_str()))?;
        }
        Step::Enter(place) => {
            let route = names::intern(connection, Kind::Route, place.route.as_str())?;
            let stream = names::intern(connection, Kind::Stream, place.stream.as_str())?;
            let queue = place.queue.as_ref().map(QueueName::as_str);
            connection.execute(
                "INSERT INTO places (route, stream, queue) VALUES (?1, ?2, ?3)
                 ON CONFLICT (route) DO UPDATE SET stream = excluded.stream, queue = excluded.queue",
                (route, stream, queue),
            )?;
            connection.execute("DELETE FROM given_up_queues WHERE queue = ?1", [queue])?;
        }
    }
    Ok(())
}

fn number(connection: &Connection, route: &RouteName) -> Result<Option<i64>, Failure> {
    Ok(names::find(connection, Kind::Route, route.as_str())?)
}

fn give_up_queue(connection: &Connection, route: i64) -> Result<(), Failure> {
    connection.execute(
        "INSERT OR IGNORE INTO given_up_queues (queue) SELECT queue FROM places WHERE route = ?1 AND queue IS NOT NULL",
        [route],
    )?;
    Ok(())
}
