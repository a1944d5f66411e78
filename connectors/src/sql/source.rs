//! The `Source` over a SELECT: checks what was configured, and hands over to PostgreSQL or SQLite.

use async_trait::async_trait;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, Part, ScanPage, Source, SourceError, SystemReport};
use bus_core::vocabulary::{Cursor, Identity, Key, StreamName};

use super::asked::{Asked, KEYS_AT_ONCE, misconfigured, unknown_address};
use super::position::{Position, is_after};
use super::postgres::Postgres;
use super::sqlite::{Place, Sqlite};
use super::{CursorColumn, Options};
use crate::closed;
use bus_core::policy::select::{Dialect, Select};

/// Reads the streams of one feed by SQL. Holds at most two connections: one to poll, one for a scan under way.
pub struct SqlSource {
    options: Options,
    query: Select,
    system: System,
}

enum System {
    Postgres(Postgres),
    Sqlite(Sqlite),
}

impl SqlSource {
    /// Checks the query and the address; connects to nothing.
    pub fn new(options: Options) -> Result<Self, SourceError> {
        let dialect = Dialect::of_url(options.url.expose()).ok_or_else(unknown_address)?;
        let query = Select::parse(&options.query, dialect).map_err(|error| misconfigured(error.to_string()))?;
        match (&options.cursor, query.takes_cursor()) {
            (Some(column), false) => {
                let column = &column.column;
                return Err(misconfigured(format!(
                    "the query has no :cursor, so every poll would read everything: \
                     add WHERE {column} >= :cursor ORDER BY {column}"
                )));
            }
            (Some(_), true) if query.limited.is_some() => {
                return Err(misconfigured(
                    "the query has a LIMIT (or OFFSET, or FETCH): rows beyond it whose cursor is not above the last one's \
                     would never be read; leave it out, the bus reads in pages"
                        .to_owned(),
                ));
            }
            (None, true) => {
                return Err(misconfigured("the query has :cursor, but changes.cursor names no column".to_owned()));
            }
            _ => {}
        }
        if options.serves.all().any(|served| served.key.is_empty()) {
            return Err(misconfigured("the stream has no key".to_owned()));
        }
        let system = match dialect {
            Dialect::Postgres => System::Postgres(Postgres::new()),
            Dialect::Sqlite => System::Sqlite(Sqlite::new(&options)),
        };
        Ok(Self { options, query, system })
    }

    fn cursor(&self) -> Result<&CursorColumn, SourceError> {
        self.options.cursor.as_ref().ok_or_else(|| {
            misconfigured("the stream has no cursor column; it can only be compared as a whole".to_owned())
        })
    }
}

#[async_trait]
impl Source for SqlSource {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        let asked = Asked { options: &self.options, query: &self.query };
        match &mut self.system {
            System::Postgres(postgres) => postgres.check(asked).await,
            System::Sqlite(sqlite) => sqlite.check(asked).await,
        }
    }

    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<Batch, SourceError> {
        let column = self.cursor()?.clone();
        let _permit = permits.take().await.map_err(closed::unread)?;
        let asked = Asked { options: &self.options, query: &self.query };
        match &mut self.system {
            System::Postgres(postgres) => postgres.fetch(asked, &column, after, limit).await,
            System::Sqlite(sqlite) => sqlite.fetch(asked, &column, after, limit).await,
        }
    }

    async fn scan(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        let _permit = permits.take().await.map_err(closed::unread)?;
        let asked = Asked { options: &self.options, query: &self.query };
        match &mut self.system {
            System::Postgres(postgres) => postgres.scan(asked, restart, limit).await,
            System::Sqlite(sqlite) => sqlite.scan(asked, restart, limit).await,
        }
    }

    async fn begin_part(&mut self, part: &Part, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        let served = self.options.serves.find(&part.stream);
        let (_, entity) =
            served.ok_or_else(|| misconfigured(format!("the query does not serve stream {}", part.stream)))?;
        let entity = entity.map(str::to_owned);
        let _permit = permits.take().await.map_err(closed::unread)?;
        let asked = Asked { options: &self.options, query: &self.query };
        match &mut self.system {
            System::Postgres(postgres) => postgres.begin_part(asked, (part, entity.as_deref()), limit).await,
            System::Sqlite(sqlite) => sqlite.begin_part(asked, (part, entity.as_deref()), limit).await,
        }
    }

    async fn present(
        &mut self,
        stream: &StreamName,
        keys: &[Key],
        permits: &Permits,
    ) -> Result<Vec<bool>, SourceError> {
        let served = self.options.serves.find(stream);
        let served = served.ok_or_else(|| misconfigured(format!("the query does not serve stream {stream}")))?;
        let mut present = Vec::with_capacity(keys.len());
        for group in keys.chunks(KEYS_AT_ONCE) {
            let _permit = permits.take().await.map_err(closed::unread)?;
            let asked = Asked { options: &self.options, query: &self.query };
            present.extend(match &mut self.system {
                System::Postgres(postgres) => postgres.present(asked, served, group).await?,
                System::Sqlite(sqlite) => sqlite.present(asked, served, group).await?,
            });
        }
        Ok(present)
    }

    fn cursor_at(&self, value: &str) -> Result<Cursor, SourceError> {
        let column = &self.cursor()?.column;
        match &self.system {
            System::Postgres(_) => Ok(Position::at(column, value.to_owned()).write()),
            System::Sqlite(_) => Ok(Position::at(column, Place::named(value)).write()),
        }
    }

    fn skips(&self, present: &Cursor, named: &Cursor) -> Result<bool, SourceError> {
        let column = &self.cursor()?.column;
        let place = |cursor: &Cursor| match &self.system {
            System::Postgres(_) => Position::<String>::read(cursor, column).map(|position| position.high),
            System::Sqlite(_) => Position::<Place>::read(cursor, column).map(|position| position.high.to_string()),
        };
        let (present, named) = (place(present)?, place(named)?);
        let fits = is_after(&named, &present);
        fits.ok_or_else(|| misconfigured(format!("column {column:?} holds values like {present}, and {named} is none")))
    }

    /// An SQLite file has no name of its own, so only PostgreSQL can say.
    async fn identity(&mut self, permits: &Permits) -> Result<Option<Identity>, SourceError> {
        let System::Postgres(postgres) = &mut self.system else { return Ok(None) };
        let _permit = permits.take().await.map_err(closed::unread)?;
        postgres.identity(Asked { options: &self.options, query: &self.query }).await
    }

    /// A query changes nothing at its system, so there is nothing to acknowledge.
    async fn committed(&mut self, _cursor: Option<&Cursor>, _: &Permits) -> Result<(), SourceError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::sql::Overlap;
    use crate::sql::asked::columns_fit;
    use crate::{Served, Serves};
    use bus_core::ports::source::SourceFault;
    use bus_core::vocabulary::Secret;
    use std::time::Duration;

    fn served() -> Served {
        Served { stream: StreamName::new("заказы").unwrap(), key: vec!["id".into()], label: None, date: None }
    }

    fn options() -> Options {
        Options {
            url: Secret::new("postgres://u:hunter2@h/b"),
            ca_pem: None,
            serves: Serves::One(served()),
            query: "SELECT id, at FROM t WHERE at >= :cursor ORDER BY at".into(),
            cursor: Some(CursorColumn { column: "at".into(), overlap: Overlap::None }),
            timeout: Duration::from_secs(5),
            tape: None,
        }
    }

    #[test]
    fn what_cannot_work_is_refused_without_connecting() {
        type Spoil = fn(&mut Options);
        let cases: [(&str, Spoil, &str); 5] = [
            ("address", |o| o.url = Secret::new("oracle://u:hunter2@h"), "must begin with"),
            ("no :cursor", |o| o.query = "SELECT id, at FROM t".into(), "has no :cursor"),
            ("a limit", |o| o.query.push_str(" LIMIT 500"), "has a LIMIT"),
            ("no column", |o| o.cursor = None, "names no column"),
            ("no key", |o| o.serves = Serves::One(Served { key: vec![], ..served() }), "has no key"),
        ];
        for (name, spoil, expected) in cases {
            let mut options = options();
            spoil(&mut options);
            let error = SqlSource::new(options).err().unwrap();
            assert!(error.message.contains(expected) && !error.message.contains("hunter2"), "{name}: {error}");
            assert_eq!(error.fault, SourceFault::Misconfigured);
        }
        assert!(SqlSource::new(options()).is_ok());
    }

    #[test]
    fn a_missing_column_is_named_with_its_neighbour() {
        for (names, expected) in [
            (vec!["id", "att"], "did you mean \"att\"?"),
            (vec!["id", "сумма"], "it returns id, сумма"),
            (vec!["id", "at", "id"], "two columns named \"id\""),
        ] {
            let error = columns_fit(&names, &options()).unwrap_err();
            assert!(error.message.contains(expected), "{error}");
        }
    }
}
