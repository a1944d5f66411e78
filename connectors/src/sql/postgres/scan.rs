//! A full scan, or a part of one by date: one snapshot from the first page to the last.

use std::sync::Arc;

use bus_core::ports::source::{BatchLimit, Part, ScanPage, SourceError, SourceFault};
use bus_core::vocabulary::Period;

use super::cursor::{Ahead, Within, declare, fetch_rows};
use super::session::Session;
use super::shape::Shape;
use super::{Postgres, rows};
use crate::sql::asked::{Asked, misconfigured};
use crate::sql::row::quoted;

/// A scan under way: its transaction stays open, and with it its snapshot.
pub(super) struct Scan {
    session: Session,
    shape: Arc<Shape>,
    ahead: Ahead,
}

impl Postgres {
    /// The next page of a scan: one snapshot from the first page to the last.
    pub(in crate::sql) async fn scan(
        &mut self,
        asked: Asked<'_>,
        restart: bool,
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        let scan = match self.scan.take() {
            Some(scan) if !restart => scan,
            None if !restart => {
                return Err(SourceError::new(
                    SourceFault::Unavailable,
                    "the scan was cut and its snapshot with it: it has to begin again",
                ));
            }
            _ => Scan::begin(asked, None).await?,
        };
        self.page(asked, scan, limit).await
    }

    /// The first page of a scan of one stream's part.
    pub(in crate::sql) async fn begin_part(
        &mut self,
        asked: Asked<'_>,
        part: (&Part, Option<&str>),
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        self.scan = None;
        let scan = Scan::begin(asked, Some(part)).await?;
        self.page(asked, scan, limit).await
    }

    async fn page(&mut self, asked: Asked<'_>, mut scan: Scan, limit: BatchLimit) -> Result<ScanPage, SourceError> {
        let mut page = ScanPage::default();
        let mut bytes = 0;
        while page.records.len() + page.unreadable.len() < limit.records.max(1) && bytes < limit.bytes.max(1) {
            let room = limit.records.max(1) - page.records.len() - page.unreadable.len();
            let wanted = scan.ahead.rows(room, limit.bytes.saturating_sub(bytes));
            let rows = fetch_rows(&mut scan.session, wanted).await?;
            for row in &rows {
                let row = rows::take(row, &scan.shape, asked.options)?;
                bytes += row.content.bytes();
                scan.ahead.saw(row.content.bytes());
                row.content.put(&mut page);
            }
            if rows.len() < wanted {
                scan.session.end().await?;
                page.complete = true;
                return Ok(page);
            }
        }
        self.scan = Some(scan);
        Ok(page)
    }
}

impl Scan {
    async fn begin(asked: Asked<'_>, part: Option<(&Part, Option<&str>)>) -> Result<Self, SourceError> {
        let mut session = Session::connect(&asked.options.address()).await?;
        let shape = Arc::new(Shape::ask(&mut session, asked.options, asked.query).await?);
        let start = shape.cursor.as_ref().map_or("", |cursor| cursor.minimum);
        let within = part.map(|(part, entity)| Within::new(asked, &shape, part, entity)).transpose()?;
        session.begin().await?;
        declare(&mut session, asked, &shape, start, within.unwrap_or_default()).await?;
        Ok(Self { session, shape, ahead: Ahead::default() })
    }
}

impl Within {
    /// Rows of a part. What has a zone is compared as a moment, what has none as clocks show it.
    fn new(asked: Asked<'_>, shape: &Shape, part: &Part, entity: Option<&str>) -> Result<Self, SourceError> {
        let cast = dated(shape, &part.column)?;
        let mut values = match cast {
            "timestamptz" => vec![part.from.to_string(), part.to.to_string()],
            _ => vec![Period::write(part.period.from), Period::write(part.period.to)],
        };
        let first = 1 + usize::from(shape.cursor.is_some());
        let column = format!("q.{}", quoted(&part.column));
        let bound = |at: usize| format!("${}::text::{cast}", first + at);
        let mut condition = format!(" WHERE {column} >= {} AND {column} < {}", bound(0), bound(1));
        if let (Some(name), Some(entity)) = (asked.options.serves.entity_column(), entity) {
            condition.push_str(&format!(" AND q.{}::text = ${}", quoted(name), first + 2));
            values.push(entity.to_owned());
        }
        Ok(Self { tail: condition, values })
    }
}

/// The type that bounds of a column of dates are compared as.
pub(super) fn dated(shape: &Shape, column: &str) -> Result<&'static str, SourceError> {
    match shape.type_of(column) {
        "timestamp with time zone" => Ok("timestamptz"),
        "timestamp without time zone" | "date" => Ok("timestamp"),
        other => Err(misconfigured(format!(
            "date column {column:?} is of type {other}: name a column of dates or times, or cast it in the query"
        ))),
    }
}
