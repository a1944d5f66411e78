//! An exchange plan as a feed of several streams.
//!
//! `fetch` hands out the answer in the spool, then pages of the first load, then asks for changes; `committed` tells 1C, once
//! the cursor says that all of an answer was published. Everything happens in one line, so what is read by a page is never
//! older than a change that was published before it, and a change that is made later is registered and comes later.

use std::sync::Arc;

use bus_core::engine::crash::{self, Plant};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{Batch, BatchLimit, ScanPage, SourceError, SourceFault};
use bus_core::vocabulary::{Cursor, UnreadableRecord};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::address;
use super::base::Base;
use super::model::Model;
use super::node::{self, Selected, disk};
use super::options::Plan;
use super::pages::Pages;
use super::spool::{Line, Spool};
use super::table::{Made, Table};
use crate::{Serves, closed};

const VERSION: u8 = 1;
/// Pages of the first load between two questions for changes: changes wait for minutes, not for the load's end.
const PAGES: u32 = 20;

/// Where a feed stands in its plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    v: u8,
    plan: String,
    node: String,
    /// The message that was handed out last.
    message: u64,
    /// How far in it, in bytes of the spool.
    at: u64,
    /// All of it.
    done: bool,
    /// What the first load reads next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    load: Option<Load>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Load {
    entity: String,
    skip: usize,
}

/// The reader of one node.
pub struct Reader {
    plan: Plan,
    spool: Spool,
    /// The first load under way, while nothing interrupts it.
    load: Option<(Load, Pages)>,
    /// Pages since changes were asked for.
    pages: u32,
    /// A comparison hands out the answer with this number: how far, and whether that was all.
    compared: Option<(u64, u64, bool)>,
}

impl Reader {
    pub fn new(plan: Plan) -> Result<Self, SourceError> {
        let spool = Spool::open(&plan.spool).map_err(disk)?;
        // The first thing to do is to ask.
        Ok(Self { plan, spool, load: None, pages: PAGES, compared: None })
    }

    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    pub async fn fetch(
        &mut self,
        base: &Base,
        (tables, serves, model): (&[Table], &Serves, &Arc<Model>),
        after: Option<&Cursor>,
        (limit, permits): (BatchLimit, &Permits),
    ) -> Result<Batch, SourceError> {
        let mut position = match after {
            Some(cursor) => self.position(cursor)?,
            None => self.begin(tables.first().map(|table| table.read.entity.as_str())),
        };
        if self.spool.head().map_err(disk)?.is_none() {
            match position.load.clone().filter(|_| self.pages < PAGES) {
                Some(load) => return self.load_page(base, tables, position, load, (limit, permits)).await,
                None => {
                    self.pages = 0;
                    match node::select(base, &self.plan, &self.spool, position.message, permits).await? {
                        Selected::Changes => {}
                        Selected::Nothing | Selected::NotYet => {
                            let more = position.load.is_some();
                            return Ok(Batch { next: Some(self.write(&position)), more, ..Batch::default() });
                        }
                    }
                }
            }
        }
        let Some(head) = self.spool.head().map_err(disk)? else { return Ok(Batch::default()) };
        if position.message != head.number || position.done {
            (position.message, position.at, position.done) = (head.number, 0, false);
        }
        let mut batch = Batch { more: true, ..Batch::default() };
        if self.spool.is_read(head.number).map_err(disk)? {
            position.done = true;
        } else {
            (position.at, position.done) = self.hand_out(position.at, (tables, serves, model), limit, &mut batch)?;
            if position.done && crash::planted(Plant::NotifyBeforePublish) {
                node::settle(base, &self.spool, head.number, &head.node).await?;
            }
        }
        batch.next = Some(self.write(&position));
        Ok(batch)
    }

    /// 1C is told only what the cursor says: everything of the message in the spool was published.
    pub async fn committed(
        &mut self,
        base: &Base,
        cursor: Option<&Cursor>,
        permits: &Permits,
    ) -> Result<(), SourceError> {
        let Some(position) = cursor.map(|cursor| self.position(cursor)).transpose()? else { return Ok(()) };
        match self.spool.head().map_err(disk)? {
            Some(head) if position.done && head.number == position.message => {
                let _permit = permits.take().await.map_err(closed::unread)?;
                node::settle(base, &self.spool, head.number, &head.node).await
            }
            _ => Ok(()),
        }
    }

    /// The first pages of a comparison: what is in the spool, because what a page reads is newer than it.
    pub fn compare(
        &mut self,
        restart: bool,
        served: (&[Table], &Serves, &Arc<Model>),
        limit: BatchLimit,
    ) -> Result<Option<ScanPage>, SourceError> {
        if restart {
            self.compared = None;
        }
        let Some(head) = self.spool.head().map_err(disk)? else { return Ok(None) };
        if self.spool.is_read(head.number).map_err(disk)? {
            return Ok(None);
        }
        let (at, done) = match self.compared {
            Some((number, at, done)) if number == head.number => (at, done),
            _ => (0, false),
        };
        if done {
            // The engine has come back, so all of it was published.
            self.spool.mark_read(head.number).map_err(disk)?;
            return Ok(None);
        }
        let mut batch = Batch::default();
        let (at, done) = self.hand_out(at, served, limit, &mut batch)?;
        self.compared = Some((head.number, at, done));
        Ok(Some(ScanPage { records: batch.records, unreadable: batch.unreadable, ..ScanPage::default() }))
    }

    fn begin(&self, first: Option<&str>) -> Position {
        let load = first.map(|entity| Load { entity: entity.to_owned(), skip: 0 });
        let (plan, node) = (self.plan.plan.clone(), self.plan.node.clone());
        Position { v: VERSION, plan, node, message: 0, at: 0, done: true, load }
    }

    /// The cursor from which everything is read again by pages.
    pub fn the_begin(&self, first: Option<&str>) -> Cursor {
        self.write(&self.begin(first))
    }

    fn position(&self, cursor: &Cursor) -> Result<Position, SourceError> {
        let unreadable = |what: String| {
            SourceError::new(SourceFault::CursorUnreadable, format!("the stored cursor cannot be used: {what}"))
        };
        let position: Position = serde_json::from_str(cursor.as_str())
            .map_err(|error| unreadable(format!("it is no position in an exchange plan ({:?})", error.classify())))?;
        if position.v != VERSION || position.plan != self.plan.plan || position.node != self.plan.node {
            let (plan, node) = (&position.plan, &position.node);
            return Err(unreadable(format!(
                "it is one of node {node:?} of {plan}, version {}; put them back, or reset the feed to load everything again",
                position.v
            )));
        }
        Ok(position)
    }

    fn write(&self, position: &Position) -> Cursor {
        Cursor::new(serde_json::to_string(position).unwrap_or_default())
    }

    /// Entries of the answer from a place on; gives the place behind them, and whether that is the end.
    fn hand_out(
        &self,
        mut at: u64,
        (tables, serves, model): (&[Table], &Serves, &Arc<Model>),
        limit: BatchLimit,
        batch: &mut Batch,
    ) -> Result<(u64, bool), SourceError> {
        let mut bytes = 0;
        for line in self.spool.lines(at).map_err(disk)? {
            let (line, behind) = line.map_err(disk)?;
            bytes += usize::try_from(behind - at).unwrap_or(usize::MAX);
            at = behind;
            let made = match line {
                Line::End(_) => return Ok((at, true)),
                Line::Entry { entity, fields } => entry(tables, serves, &entity, fields),
                Line::Deleted(reference) => deleted(tables, serves, model, &reference),
            };
            match made {
                Made::Record(record) => batch.records.push(record),
                Made::Unreadable(row) => batch.unreadable.push(row),
            }
            if batch.records.len() + batch.unreadable.len() >= limit.records || bytes >= limit.bytes {
                return Ok((at, false));
            }
        }
        // An answer ends with its end, or it is not there: somebody has cut the file.
        Err(disk(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "an answer in the spool has no end")))
    }

    async fn load_page(
        &mut self,
        base: &Base,
        tables: &[Table],
        mut position: Position,
        load: Load,
        (limit, permits): (BatchLimit, &Permits),
    ) -> Result<Batch, SourceError> {
        self.pages += 1;
        let Some(at) = tables.iter().position(|table| table.read.entity == load.entity) else {
            // The stream was removed while it was loaded: the next one in order cannot be known.
            position.load = tables.first().map(|table| Load { entity: table.read.entity.clone(), skip: 0 });
            return Ok(Batch { next: Some(self.write(&position)), more: true, ..Batch::default() });
        };
        let table = &tables[at];
        // Taken out while it works: a dropped wait begins at the cursor again.
        let mut pages = match self.load.take() {
            Some((known, pages)) if known == load => pages,
            _ => Pages::behind(load.skip),
        };
        let (rows, last) = pages.next(base, table, limit, permits).await?;
        let mut batch = Batch { more: true, ..Batch::default() };
        for (fields, _) in rows {
            match table.record(fields) {
                Made::Record(record) => batch.records.push(record),
                Made::Unreadable(row) => batch.unreadable.push(row),
            }
        }
        position.load = match last {
            false => Some(Load { entity: load.entity, skip: pages.offset() }),
            true => tables.get(at + 1).map(|table| Load { entity: table.read.entity.clone(), skip: 0 }),
        };
        self.load = position.load.clone().filter(|_| !last).map(|load| (load, pages));
        batch.next = Some(self.write(&position));
        Ok(batch)
    }
}

fn table<'t>(tables: &'t [Table], entity: &str) -> Option<&'t Table> {
    tables.iter().find(|table| table.read.entity == entity)
}

fn entry(tables: &[Table], serves: &Serves, entity: &str, fields: Map<String, Value>) -> Made {
    match table(tables, entity) {
        Some(table) => table.record(fields),
        None => untaken(serves, entity, Value::Object(fields).to_string()),
    }
}

/// A record that is gone, by its address.
fn deleted(tables: &[Table], serves: &Serves, model: &Model, reference: &str) -> Made {
    let Some((set, values)) = address::reference(reference) else {
        return untaken(serves, "a deleted record whose address cannot be read", reference.to_owned());
    };
    let Some(table) = table(tables, &set) else { return untaken(serves, &set, reference.to_owned()) };
    let names = model.type_of(&set).map(|of| of.key.clone()).unwrap_or_default();
    let named = values.into_iter().enumerate().filter_map(|(at, (name, value))| {
        Some((name.or_else(|| names.get(at).map(|name| name.to_string()))?, Value::String(value)))
    });
    match table.key(&named.collect()) {
        Ok(key) => Made::Record(table.deleted(key, None)),
        Err(reason) => Made::Unreadable(UnreadableRecord {
            stream: table.served.stream.clone(),
            raw: reference.to_owned().into(),
            reason: format!("a deletion names the record by other properties than the stream's key: {reason}"),
            key: None,
            label: None,
        }),
    }
}

fn untaken(serves: &Serves, entity: &str, raw: String) -> Made {
    let reason = serves.stream_of(Some(entity)).err().unwrap_or_else(|| format!("nothing takes {entity:?}"));
    Made::Unreadable(serves.untaken(raw.into(), reason))
}
