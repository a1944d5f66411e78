//! SQLite: each call opens the file read-only on a blocking thread; a scan has a thread and a snapshot of its own.
//!
//! Writers of one file take turns, so nothing commits late under a value that was read; a value that an application
//! assigns long before it writes still needs `overlap`.

mod classify;
mod fetch;
mod file;
mod present;
mod scan;
mod shape;
mod value;

use std::path::PathBuf;
use std::time::Instant;

use bus_core::ports::source::{Batch, BatchLimit, Part, ScanPage, SourceError, SystemReport};
use bus_core::vocabulary::{Cursor, Key};

use self::fetch::fetch;
use self::file::{blocking, path, version};
use self::present::present;
use self::scan::Scan;
use self::shape::Shape;
use super::asked::{Asked, remarks};
use super::position::Position;
use super::{CursorColumn, Options};
use crate::Served;

pub(super) use self::file::reach;
pub(super) use self::value::Place;

/// The reader of one query.
pub(super) struct Sqlite {
    path: PathBuf,
    scan: Option<Scan>,
}

impl Sqlite {
    pub(super) fn new(options: &Options) -> Self {
        Self { path: path(options.url.expose()), scan: None }
    }

    pub(super) async fn check(&mut self, asked: Asked<'_>) -> Result<SystemReport, SourceError> {
        let begun = Instant::now();
        let (options, query) = (asked.options.clone(), asked.query.clone());
        let version = blocking(&self.path, asked.options.timeout, move |connection| {
            let (_, shape) = Shape::prepare(connection, &options, &query)?;
            options.serves.all().flat_map(|served| &served.date).try_for_each(|column| shape.dated(column))?;
            version(connection)
        })
        .await?;
        let (latency, rights) = (begun.elapsed(), vec!["may read what the query asks for".to_owned()]);
        Ok(SystemReport { version, latency, rights, remarks: remarks(asked) })
    }

    pub(super) async fn fetch(
        &mut self,
        asked: Asked<'_>,
        column: &CursorColumn,
        after: Option<&Cursor>,
        limit: BatchLimit,
    ) -> Result<Batch, SourceError> {
        let position = after.map(|cursor| Position::<Place>::read(cursor, &column.column)).transpose()?;
        let (options, query, column) = (asked.options.clone(), asked.query.clone(), column.clone());
        blocking(&self.path, asked.options.timeout, move |connection| {
            fetch(connection, &options, &query, &column, position, limit)
        })
        .await
    }

    pub(super) async fn scan(
        &mut self,
        asked: Asked<'_>,
        restart: bool,
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        if restart {
            self.scan = Some(Scan::begin(&self.path, asked, None)?);
        }
        self.page(asked, limit).await
    }

    pub(super) async fn begin_part(
        &mut self,
        asked: Asked<'_>,
        (part, entity): (&Part, Option<&str>),
        limit: BatchLimit,
    ) -> Result<ScanPage, SourceError> {
        let part = (part.clone(), entity.map(str::to_owned));
        self.scan = Some(Scan::begin(&self.path, asked, Some(part))?);
        self.page(asked, limit).await
    }

    async fn page(&mut self, asked: Asked<'_>, limit: BatchLimit) -> Result<ScanPage, SourceError> {
        let scan = self.scan.as_mut().ok_or_else(scan::cut)?;
        let page = scan.page(limit, asked.options.timeout).await;
        if !matches!(&page, Ok(page) if !page.complete) {
            self.scan = None;
        }
        page
    }

    pub(super) async fn present(
        &mut self,
        asked: Asked<'_>,
        (served, entity): (&Served, Option<&str>),
        keys: &[Key],
    ) -> Result<Vec<bool>, SourceError> {
        let (options, query, keys) = (asked.options.clone(), asked.query.clone(), keys.to_vec());
        let (served, entity) = (served.clone(), entity.map(str::to_owned));
        blocking(&self.path, asked.options.timeout, move |connection| {
            present(connection, &options, &query, (&served, entity.as_deref()), &keys)
        })
        .await
    }
}

#[cfg(test)]
mod tests;
