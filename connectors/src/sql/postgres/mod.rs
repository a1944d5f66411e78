//! PostgreSQL: pages through a server-side cursor, each in a transaction that sees one snapshot and cannot write.
//!
//! Every page runs the operator's query from its start value, so that no transaction stays open between pages; an
//! index on the cursor column makes that cheap. A scan does hold one snapshot for all its pages.
//!
//! | file | what |
//! |---|---|
//! | `fetch.rs`, `horizon.rs` | a page after a position, and what may still be committed below it |
//! | `scan.rs` | everything, or a part by date |
//! | `present.rs` | which keys are there |
//! | `cursor.rs`, `rows.rs`, `shape.rs` | the statement, its rows and their types |
//! | `session.rs` | one connection |

mod classify;
mod cursor;
mod fetch;
mod horizon;
mod present;
pub(super) mod reach;
mod rows;
mod scan;
mod session;
mod shape;

use std::sync::Arc;

use bus_core::ports::source::{SourceError, SourceFault, SystemReport};
use bus_core::vocabulary::Identity;
use sqlx::postgres::PgArguments;

use self::cursor::minimum;
use self::reach::Greeting;
use self::scan::{Scan, dated};
use self::session::{Session, broken, text};
use self::shape::Shape;
use super::Options;
use super::asked::{Asked, remarks};
use super::row::quoted;

/// The reader of one query.
pub(super) struct Postgres {
    session: Option<Session>,
    shape: Option<Arc<Shape>>,
    scan: Option<Scan>,
}

impl Postgres {
    pub(super) fn new() -> Self {
        Self { session: None, shape: None, scan: None }
    }

    async fn session(&mut self, options: &Options) -> Result<Session, SourceError> {
        match self.session.take() {
            Some(session) => Ok(session),
            None => Session::connect(&options.address()).await,
        }
    }

    pub(super) async fn check(&mut self, asked: Asked<'_>) -> Result<SystemReport, SourceError> {
        let mut session = self.session(asked.options).await?;
        let Greeting { version, latency, replica } = reach::greeting(&mut session).await?;
        let shape = Shape::ask(&mut session, asked.options, asked.query).await?;
        asked
            .options
            .serves
            .all()
            .flat_map(|served| &served.date)
            .try_for_each(|name| dated(&shape, name).map(drop))?;
        let names: Vec<_> = shape.columns.iter().map(|column| quoted(&column.name)).collect();
        let sql = format!("SELECT {} FROM ({}\n) AS q LIMIT 0", names.join(", "), shape.bind(asked.query));
        session.begin().await?;
        session.rows(sql, minimum(&shape, asked.query)?).await?;
        session.end().await?;
        self.session = Some(session);

        let mut remarks = remarks(asked);
        if replica && asked.options.cursor.is_some() {
            remarks.push(
                "this is a replica: a transaction of the primary that began before it wrote is not seen here until it \
                 commits, so set an overlap that is longer than such transactions last"
                    .into(),
            );
        }
        // The server looks at rights when a statement is run, also for no rows.
        let rights = vec!["may read what the query asks for".to_owned()];
        Ok(SystemReport { version, latency, rights, remarks })
    }

    /// The cluster, the database in it (loaded anew from a dump it is another), its timeline, and how far its log is.
    pub(super) async fn identity(&mut self, asked: Asked<'_>) -> Result<Option<Identity>, SourceError> {
        let mut session = self.session(asked.options).await?;
        let sql = "SELECT s.system_identifier::text || '/' || d.oid::text, c.timeline_id::text, \
                          CASE WHEN pg_is_in_recovery() THEN NULL \
                               ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::text END \
                   FROM pg_control_system() s, pg_control_checkpoint() c, pg_database d \
                   WHERE d.datname = current_database()";
        let rows = match session.rows(sql.to_owned(), PgArguments::default()).await {
            Ok(rows) => rows,
            // A managed server that keeps these functions to itself: then nobody can tell, and reading goes on.
            Err(error) if error.fault == SourceFault::Misconfigured => return Ok(None),
            Err(error) => return Err(error),
        };
        let row = rows.first().ok_or_else(|| broken("nothing"))?;
        let number = |index| Ok::<_, SourceError>(text(row, index)?.and_then(|text| text.parse::<u64>().ok()));
        let base = text(row, 0)?.ok_or_else(|| broken("no identifier"))?;
        let identity = Identity { base, timeline: number(1)?.unwrap_or(0), position: number(2)? };
        self.session = Some(session);
        Ok(Some(identity))
    }
}
