//! A list in pages that 1C can bear: sized by bytes, smaller after a failure, and without holes.
//!
//! `$top` counts records and not bytes: a thousand of them have been 5 GB, and the server's disk full. And `$skip` counts
//! from the begin each time: what is deleted meanwhile moves everything behind it up, so a page begins one record
//! before its place, and where that record is not the last one of the page before, reading goes back.

use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, SourceError, SourceFault};
use bus_core::vocabulary::{Key, Period};
use reqwest::Method;

use super::base::{Base, Failed};
use super::question::Part;
use super::rows::{Row, Rows};
use super::table::Table;
use crate::closed;

/// The first page only measures.
const PROBE: usize = 20;
/// More records in one page are asked of no base.
const MOST: usize = 1000;
/// A page that turns out this many times larger than wanted is cut off, and goes on from there.
const TOO_LARGE: usize = 4;
/// A list that moves this often while it is read will be read another time.
const BACK: u32 = 8;
/// How far back, at least: deletions come in dozens.
const BACK_RECORDS: usize = 200;

/// A list that is read no further: nobody knows what it would have held.
pub fn cut() -> SourceError {
    SourceError::new(SourceFault::Unavailable, "the scan was cut: it has to begin again")
}

/// How many records to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    top: usize,
    /// 1C failed with more.
    ceiling: usize,
}

impl Default for Size {
    fn default() -> Self {
        Self { top: PROBE, ceiling: MOST }
    }
}

impl Size {
    /// For the next page.
    pub fn top(&self, limit: BatchLimit) -> usize {
        self.top.min(limit.records).max(1)
    }

    /// After a page of so many records and bytes. Grows in steps: a list begins with small records at times.
    pub fn learn(&mut self, records: usize, bytes: usize, limit: BatchLimit) {
        if let Some(each) = bytes.checked_div(records) {
            let fits = limit.bytes / each.max(1);
            self.top = fits.clamp(1, self.ceiling).min(self.top.saturating_mul(8));
        }
    }

    /// After a failure; `false` where one record already was too much.
    pub fn divide(&mut self) -> bool {
        if self.top <= 1 {
            return false;
        }
        self.ceiling = (self.top / 2).max(1);
        self.top = (self.top / 4).max(1);
        true
    }
}

/// What one request brought.
pub struct Page {
    pub rows: Vec<Row>,
    /// There is nothing behind it.
    pub last: bool,
}

/// One page, asked for in smaller parts until 1C can give it. Takes a permit for each request.
pub async fn page(
    base: &Base,
    table: &Table,
    part: &Part,
    size: &mut Size,
    overlap: usize,
    (limit, permits): (BatchLimit, &Permits),
) -> Result<Page, SourceError> {
    loop {
        let top = size.top(limit) + overlap;
        let _permit = permits.take().await.map_err(closed::unread)?;
        let asked = Part { top: Some(top), ..part.clone() };
        match once(base, table, &asked, limit).await {
            Ok((rows, whole)) => {
                let bytes = rows.iter().map(|row| row.1).sum();
                size.learn(rows.len(), bytes, limit);
                let last = whole && rows.len() < top;
                return Ok(Page { rows, last });
            }
            Err(failed) if failed.less_may_help() && size.divide() => {}
            Err(failed) => return Err(failed.error()),
        }
    }
}

async fn once(base: &Base, table: &Table, part: &Part, limit: BatchLimit) -> Result<(Vec<Row>, bool), Failed> {
    let list = table.list(part).map_err(|error| Failed::Wire { error, sent: false })?;
    let answer = base.ask(Method::GET, &list, !table.read.atom).await?;
    let (mut incoming, mut rows, mut bytes) = (Rows::new(answer), Vec::new(), 0);
    while let Some(row) = incoming.next().await? {
        bytes += row.1;
        rows.push(row);
        // The record one before the page's place alone would not bring it on.
        if bytes > limit.bytes.saturating_mul(TOO_LARGE) && rows.len() > 1 {
            return Ok((rows, false));
        }
    }
    Ok((rows, true))
}

/// A scan of one table.
#[derive(Default)]
pub struct Pages {
    offset: usize,
    size: Size,
    last: Option<Key>,
    back: u32,
    /// A virtual table is one long answer.
    open: Option<Rows>,
    /// Only where a date is in this period.
    within: Option<(String, Period)>,
}

impl Pages {
    /// Goes on behind so many records of a list that was left; some of them are read again, because it may have moved.
    pub fn behind(records: usize) -> Self {
        Self { offset: records.saturating_sub(BACK_RECORDS), ..Self::default() }
    }

    /// Of the records whose date is in a period.
    pub fn within(column: String, period: Period) -> Self {
        Self { within: Some((column, period)), ..Self::default() }
    }

    /// How many records are behind.
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// The next records, and whether they were the last ones.
    pub async fn next(
        &mut self,
        base: &Base,
        table: &Table,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<(Vec<Row>, bool), SourceError> {
        if table.is_virtual() {
            return self.go_on(base, table, limit, permits).await;
        }
        loop {
            let overlap = usize::from(self.last.is_some());
            let skip = self.offset - overlap.min(self.offset);
            let part = Part { skip, within: self.within.clone(), ..Part::default() };
            let mut page = page(base, table, &part, &mut self.size, overlap, (limit, permits)).await?;
            if let Some(last) = &self.last {
                let same = page.rows.first().is_some_and(|row| table.key(&row.0).as_ref() == Ok(last));
                if !same {
                    self.step_back()?;
                    continue;
                }
                page.rows.remove(0);
            }
            self.offset += page.rows.len();
            self.last = page.rows.last().and_then(|row| table.key(&row.0).ok()).or(self.last.take());
            return Ok((page.rows, page.last));
        }
    }

    fn step_back(&mut self) -> Result<(), SourceError> {
        self.back += 1;
        if self.back > BACK {
            let why = "records are deleted faster than the list can be read; it is read again later";
            return Err(SourceError::new(SourceFault::Unavailable, why));
        }
        self.offset = self.offset.saturating_sub(self.size.top.max(BACK_RECORDS));
        self.last = None;
        Ok(())
    }

    async fn go_on(
        &mut self,
        base: &Base,
        table: &Table,
        limit: BatchLimit,
        permits: &Permits,
    ) -> Result<(Vec<Row>, bool), SourceError> {
        let _permit = permits.take().await.map_err(closed::unread)?;
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let list = table.list(&Part::default())?;
                let answer = base.ask(Method::GET, &list, !table.read.atom).await.map_err(Failed::error)?;
                self.open.insert(Rows::new(answer))
            }
        };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while rows.len() < limit.records.max(1) && bytes < limit.bytes.max(1) {
            match open.next().await.map_err(Failed::error)? {
                Some(row) => {
                    bytes += row.1;
                    rows.push(row);
                }
                None => return Ok((rows, true)),
            }
        }
        Ok((rows, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_the_size_of_records_and_what_1c_can_bear() {
        let limit = BatchLimit { records: 1000, bytes: 4_000_000 };
        let mut size = Size::default();
        assert_eq!(size.top(limit), 20);
        size.learn(20, 20_000, limit);
        assert_eq!(size.top(limit), 160);
        size.learn(160, 160_000, limit);
        assert_eq!(size.top(limit), 1000);
        assert!(size.divide());
        assert_eq!(size.top(limit), 250);
        size.learn(250, 250_000, limit);
        assert_eq!(size.top(limit), 500, "not above what failed");
        size.learn(500, 2_000_000_000, limit);
        assert_eq!(size.top(limit), 1);
        assert!(!size.divide());
    }
}
