//! The `Source` over a base of 1C.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, Part, ScanPage, Source, SourceError, SourceFault, SystemReport};
use bus_core::vocabulary::{Cursor, Identity, Key, StreamName};
use reqwest::Method;

use super::base::{Base, Failed};
use super::drift::Drift;
use super::identity;
use super::model::Model;
use super::node;
use super::options::{Changes, Options};
use super::pages::{self, Pages, Size};
use super::plan::Reader;
use super::position::{self, Position};
use super::question::Part as ListPart;
use super::rows::{Row, Rows};
use super::table::{Made, Table};
use super::versions::Versions;
use crate::{Tape, closed};

/// Reads the streams of one feed. Holds no session between requests, but for a virtual table that is being read.
pub struct OdataSource {
    options: Options,
    base: Base,
    size: Size,
    scan: Option<Scan>,
    plan: Option<Reader>,
    drift: Option<Drift>,
    versions: Option<Versions>,
    /// Of a comparison of versions: the table, and the light one.
    versioned: Option<(Table, Table)>,
}

/// A scan under way.
struct Scan {
    tables: Vec<Table>,
    /// Which tables, and the one that is read.
    range: Range<usize>,
    at: usize,
    pages: Pages,
}

impl OdataSource {
    /// Connects to nothing.
    pub fn new(options: Options) -> Result<Self, SourceError> {
        let base = Base::new(&options.base)?;
        let plan = match &options.changes {
            Changes::Plan(plan) => Some(Reader::new(plan.clone())?),
            Changes::Diff | Changes::Versions | Changes::Cursor { .. } => None,
        };
        let versions = (options.changes == Changes::Versions).then(Versions::default);
        let drift = options.seen.clone().map(Drift::new);
        Ok(Self { options, base, size: Size::default(), scan: None, plan, drift, versions, versioned: None })
    }

    /// Notes from now on what is asked and answered.
    pub fn recorded(mut self, tape: Tape) -> Self {
        self.base.record(tape);
        self
    }

    async fn tables(&mut self, permits: &Permits, fresh: bool) -> Result<Vec<Table>, SourceError> {
        self.prepare()?;
        let model = self.base.model(fresh, permits).await.map_err(Failed::error)?;
        self.made_for(&model)
    }

    /// Before anything is asked, so that there is a place for what 1C says.
    fn prepare(&self) -> Result<(), SourceError> {
        self.drift.as_ref().map_or(Ok(()), Drift::prepare)
    }

    /// What each stream reads, where 1C has not changed it.
    fn made_for(&mut self, model: &Arc<Model>) -> Result<Vec<Table>, SourceError> {
        if let Some(drift) = &mut self.drift {
            drift.check(self.options.reads.iter().zip(self.options.serves.all()), model)?;
        }
        tables(&self.options, model)
    }

    /// Whether records that came fit what is known of them, and the base was not updated just before. If not, 1C is asked what it
    /// publishes now, before anybody sees them.
    async fn fits(&mut self, tables: &[Table], permits: &Permits) -> Result<(), SourceError> {
        let updated = self.base.may_be_updated();
        let doubtful = tables.iter().find(|table| updated || table.is_strange()).filter(|_| self.drift.is_some());
        let Some(doubtful) = doubtful else { return Ok(()) };
        let _permit = permits.take().await.map_err(closed::unread)?;
        let model = self.base.doubted(doubtful.model()).await.map_err(Failed::error)?;
        self.made_for(&model).map(drop)
    }

    fn cursor(&self) -> Result<(&str, std::time::Duration), SourceError> {
        match &self.options.changes {
            Changes::Cursor { column, overlap } => Ok((column, *overlap)),
            Changes::Diff | Changes::Versions | Changes::Plan(_) => {
                Err(misconfigured("the stream has no cursor; it can only be compared as a whole".to_owned()))
            }
        }
    }

    /// The next page of the scan under way.
    async fn page(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        if let Some(plan) = &mut self.plan
            && let Some(scan) = &self.scan
            && scan.at == scan.range.start
            && scan.pages.offset() == 0
        {
            let model = self.base.model(false, permits).await.map_err(Failed::error)?;
            if let Some(page) = plan.compare(restart, (&scan.tables, &self.options.serves, &model), limit)? {
                return Ok(page);
            }
        }
        // Taken out while it works: a dropped wait leaves no half of a page behind.
        let mut scan = self.scan.take().ok_or_else(pages::cut)?;
        let Some(table) = scan.tables.get(scan.at).filter(|_| scan.at < scan.range.end) else {
            return Ok(ScanPage { complete: true, ..ScanPage::default() });
        };
        let (rows, last) = match scan.pages.next(&self.base, table, limit, permits).await {
            Ok(page) => page,
            Err(error) => return Err(self.forget(error, permits).await),
        };
        let mut page = made(table, rows);
        if table.is_virtual() && !last && self.drift.is_some() && self.base.may_be_updated() {
            // The answer under way holds a session, and `$metadata` may wait for it.
            drop(scan.pages);
            self.fits(&scan.tables, permits).await?;
            let why = "the base was closed or away before it computed this; it is asked again";
            return Err(SourceError::new(SourceFault::Unavailable, why));
        }
        self.fits(&scan.tables, permits).await?;
        if last {
            (scan.at, scan.pages) = (scan.at + 1, Pages::default());
        }
        page.complete = scan.at == scan.range.end;
        if !page.complete {
            self.scan = Some(scan);
        }
        Ok(page)
    }

    async fn fetch_planned(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<Batch, SourceError> {
        self.prepare()?;
        let model = self.base.model(false, permits).await.map_err(Failed::error)?;
        let tables = self.made_for(&model)?;
        let Some(plan) = &mut self.plan else { return Ok(Batch::default()) };
        let served = (&tables[..], &self.options.serves, &model);
        match plan.fetch(&self.base, served, after, (limit, permits)).await {
            Ok(batch) => {
                self.fits(&tables, permits).await?;
                Ok(batch)
            }
            Err(error) => Err(self.forget(error, permits).await),
        }
    }

    /// After a failure of a list nobody knows whether it is what the base publishes: `$metadata` is asked for again.
    async fn forget(&mut self, error: SourceError, permits: &Permits) -> SourceError {
        self.scan = None;
        if error.fault == SourceFault::Misconfigured {
            // It says itself what is wrong with it, at the next try.
            let _ = self.base.model(true, permits).await;
        }
        error
    }
}

#[async_trait]
impl Source for OdataSource {
    async fn check(&mut self) -> Result<SystemReport, SourceError> {
        let begun = Instant::now();
        let model = self.base.model(true, &Permits::unbounded()).await.map_err(Failed::error)?;
        let tables = tables(&self.options, &model)?;
        let (mut remarks, mut rights, latency) = (Vec::new(), Vec::new(), begun.elapsed());
        for table in &tables {
            table.served.date.as_deref().map_or(Ok(()), |column| table.dated(column))?;
            if table.is_virtual() {
                remarks.push(format!("{} is computed by 1C as a whole, for seconds: not tried", table.read.entity));
                continue;
            }
            if let Changes::Cursor { column, .. } = &self.options.changes
                && !table.is_moment(column)
            {
                return Err(misconfigured(format!(
                    "cursor {column:?} is no property of {} with a date",
                    table.read.entity
                )));
            }
            let list = table.list(&ListPart { top: Some(1), ..ListPart::default() })?;
            let answer = self.base.ask(Method::GET, &list, !table.read.atom).await;
            let first = match answer {
                Ok(answer) => Rows::new(answer).next().await,
                Err(failed) => Err(failed),
            };
            let named =
                |error: SourceError| SourceError::new(error.fault, format!("{}: {}", table.read.entity, error.message));
            if first.map_err(Failed::error).map_err(named)?.is_none() {
                remarks.push(format!("{} has no record that this user sees", table.read.entity));
            }
            rights.push(format!("may read {}", table.read.entity));
        }
        if let Some(plan) = &self.plan {
            remarks.push(node::check(&self.base, plan.plan()).await?);
        }
        let model = self.base.model(false, &Permits::unbounded()).await.map_err(Failed::error)?;
        let version = format!("1C OData, {} sets published", model.sets().count());
        Ok(SystemReport { version, latency, rights, remarks })
    }

    async fn fetch(
        &mut self,
        after: Option<&Cursor>,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<Batch, SourceError> {
        if self.plan.is_some() {
            return self.fetch_planned(after, limit, permits).await;
        }
        let (column, overlap) = self.cursor()?;
        let column = column.to_owned();
        let before = after.map(|cursor| Position::read(cursor, &column)).transpose()?;
        let from = before.as_ref().map(|before| before.next(overlap));
        let tables = self.tables(permits, false).await?;
        let Some(table) = tables.first() else { return Ok(Batch::default()) };
        if !table.is_moment(&column) {
            return Err(misconfigured(format!(
                "cursor {column:?} is no property of {} with a date",
                table.read.entity
            )));
        }
        let part = ListPart {
            top: None,
            within: None,
            skip: from.as_ref().map_or(0, |from| from.skip),
            from: Some((column.clone(), from.as_ref().map(|from| from.at.clone()))),
        };
        let page = match pages::page(&self.base, table, &part, &mut self.size, 0, (limit, permits)).await {
            Ok(page) => page,
            Err(error) => return Err(self.forget(error, permits).await),
        };
        let last = page.rows.last().and_then(|row| table.moment(&row.0, &column));
        let next = position::behind(&column, before, from, (last, page.rows.len(), !page.last));
        let mut batch = Batch { next: next.map(|next| next.write()), more: !page.last, ..Batch::default() };
        for (fields, _) in page.rows {
            match table.record(fields) {
                Made::Record(record) => batch.records.push(record),
                Made::Unreadable(row) => batch.unreadable.push(row),
            }
        }
        self.fits(&tables, permits).await?;
        Ok(batch)
    }

    async fn scan(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        if restart {
            let tables = self.tables(permits, false).await?;
            self.scan = Some(Scan { range: 0..tables.len(), tables, at: 0, pages: Pages::default() });
        }
        self.page(restart, limit, permits).await
    }

    async fn begin_part(&mut self, part: &Part, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        let tables = self.tables(permits, false).await?;
        let at = tables.iter().position(|table| table.read.stream == part.stream);
        let at = at.ok_or_else(|| misconfigured(format!("the feed does not serve stream {}", part.stream)))?;
        tables[at].dated(&part.column)?;
        let pages = Pages::within(part.column.clone(), part.period);
        self.scan = Some(Scan { tables, range: at..at + 1, at, pages });
        self.page(true, limit, permits).await
    }

    async fn compare(&mut self, restart: bool, limit: BatchLimit, permits: &Permits) -> Result<ScanPage, SourceError> {
        if self.versions.is_none() {
            return self.scan(restart, limit, permits).await;
        }
        if restart {
            let mut table = self.tables(permits, false).await?.into_iter().next().ok_or_else(pages::cut)?;
            let light = table.versioned()?;
            self.versioned = Some((table, light));
        }
        let (table, light) = self.versioned.take().ok_or_else(pages::cut)?;
        let Some(versions) = &mut self.versions else { return Err(pages::cut()) };
        let page = match versions.compare(restart, &self.base, (&table, &light), (limit, permits)).await {
            Ok(page) => page,
            Err(error) => return Err(self.forget(error, permits).await),
        };
        let whole = [table];
        self.fits(&whole, permits).await?;
        let [table] = whole;
        self.versioned = Some((table, light));
        Ok(page)
    }

    async fn present(
        &mut self,
        stream: &StreamName,
        keys: &[Key],
        permits: &Permits,
    ) -> Result<Vec<bool>, SourceError> {
        let tables = self.tables(permits, false).await?;
        let table = tables.iter().find(|table| table.read.stream == *stream);
        let table = table.ok_or_else(|| misconfigured(format!("the feed does not serve stream {stream}")))?;
        // A key that no filter can name counts as there: nothing is deleted on a guess.
        let mut present = vec![true; keys.len()];
        for (question, asked) in table.presence(keys)? {
            let _permit = permits.take().await.map_err(closed::unread)?;
            let answer = self.base.ask(Method::GET, &question, !table.read.atom).await.map_err(Failed::error)?;
            let (mut rows, mut found) = (Rows::new(answer), HashSet::new());
            while let Some((fields, _)) = rows.next().await.map_err(Failed::error)? {
                found.extend(table.key(&fields));
            }
            for at in asked {
                present[at] = found.contains(&keys[at]);
            }
        }
        Ok(present)
    }

    fn skips(&self, present: &Cursor, named: &Cursor) -> Result<bool, SourceError> {
        if self.plan.is_some() {
            return Ok(false);
        }
        let (column, _) = self.cursor()?;
        Ok(Position::read(named, column)?.high > Position::read(present, column)?.high)
    }

    fn cursor_at(&self, value: &str) -> Result<Cursor, SourceError> {
        if let Some(plan) = &self.plan {
            let first = self.options.reads.first().map(|read| read.entity.as_str());
            return match value {
                "begin" => Ok(plan.the_begin(first)),
                _ => {
                    Err(misconfigured("the only position to name is \"begin\": everything is loaded again".to_owned()))
                }
            };
        }
        let (column, _) = self.cursor()?;
        match value.parse::<chrono::NaiveDateTime>() {
            Ok(_) => Ok(Position::at(column, value.to_owned()).write()),
            Err(_) => Err(misconfigured("a position is a date of the base, such as 2026-11-22T00:00:00".to_owned())),
        }
    }

    async fn identity(&mut self, permits: &Permits) -> Result<Option<Identity>, SourceError> {
        let of_the_plan = match &self.plan {
            Some(plan) => {
                let _permit = permits.take().await.map_err(closed::unread)?;
                Some(node::identity(&self.base, plan.plan()).await?)
            }
            None => None,
        };
        identity::identity(&self.base, &self.options.signs, of_the_plan, permits).await
    }

    /// An exchange plan forgets what it is told has arrived. Other reading changes nothing in the base.
    async fn committed(&mut self, cursor: Option<&Cursor>, permits: &Permits) -> Result<(), SourceError> {
        match &mut self.plan {
            Some(plan) => plan.committed(&self.base, cursor, permits).await,
            None => Ok(()),
        }
    }
}

/// What each stream reads, checked.
fn tables(options: &Options, model: &Arc<Model>) -> Result<Vec<Table>, SourceError> {
    let pairs = options.serves.all().zip(&options.reads);
    pairs.map(|(served, read)| Table::new(read, served, options.base.zone, Arc::clone(model))).collect()
}

fn made(table: &Table, rows: Vec<Row>) -> ScanPage {
    let mut page = ScanPage::default();
    for (fields, _) in rows {
        match table.record(fields) {
            Made::Record(record) => page.records.push(record),
            Made::Unreadable(row) => page.unreadable.push(row),
        }
    }
    page
}

fn misconfigured(message: String) -> SourceError {
    SourceError::new(SourceFault::Misconfigured, message)
}
