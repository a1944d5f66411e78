//! [`SqliteState`]: the state store on a [`Database`].

pub(crate) mod dead;
pub(crate) mod feeds;
mod letters;
mod outbox;
mod positions;
mod replay;
pub(crate) mod route;
mod scan;
mod sealed;
mod writes;

use std::time::Duration;

use async_trait::async_trait;
use bus_core::ports::state::{
    Applied, Backlog, Change, DeadFilter, DeadRow, FeedState, Page, Published, Replay, ReplayMode, Reserved,
    RouteCounts, RouteState, ScanTotals, SealedBatch, Settled, StateError, StateStore, Taken, WaitingRow,
};
use bus_core::vocabulary::{
    Envelope, FeedName, GateName, Key, MessageId, Moment, RouteName, StreamName, SubscriptionName, UnreadableRecord,
};
use rusqlite::OptionalExtension;

use crate::database::Database;
use crate::names::Kind;
use crate::number::unsigned;
use scan::Scans;
pub use writes::SqliteWrites;

/// [`StateStore`] on a [`Database`]. Cloning shares it.
///
/// Writes made at the same time share one transaction and one flush; a write whose future is dropped has happened or
/// has not. Lookups see every write that was answered before they were asked.
#[derive(Clone)]
pub struct SqliteState {
    database: Database,
    scans: Scans,
}

impl SqliteState {
    /// The state store of an open database.
    pub fn new(database: Database) -> Self {
        let scans = Scans::new(database.path());
        Self { database, scans }
    }

    pub(crate) fn database(&self) -> &Database {
        &self.database
    }
}

#[async_trait]
impl StateStore for SqliteState {
    async fn open_feed(&self, feed: &FeedName, now: Moment) -> Result<FeedState, StateError> {
        let feed = self.database.number(Kind::Feed, feed.as_str()).await?;
        self.database.write(0, move |connection| feeds::open(connection, feed, now)).await
    }

    async fn published(&self, stream: &StreamName, keys: &[Key]) -> Result<Vec<Option<Published>>, StateError> {
        let Some(stream) = self.database.known_number(Kind::Stream, stream.as_str()).await? else {
            return Ok(vec![None; keys.len()]);
        };
        let keys = keys.to_vec();
        self.database.read(move |connection| feeds::published(connection, stream, &keys)).await
    }

    async fn seal(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError> {
        let feed = self.database.number(Kind::Feed, feed.as_str()).await?;
        let batch = batch.clone();
        let weight = weight(&batch.envelopes);
        self.database.write(weight, move |connection| feeds::seal(connection, feed, epoch, &batch)).await
    }

    async fn advance(&self, feed: &FeedName, epoch: u64, batch: &SealedBatch) -> Result<(), StateError> {
        let feed = self.database.number(Kind::Feed, feed.as_str()).await?;
        let batch = batch.clone();
        self.database.write(0, move |connection| feeds::advance(connection, feed, epoch, &batch)).await
    }

    async fn keep_unreadable(&self, rows: &[UnreadableRecord]) -> Result<(), StateError> {
        let rows = rows.to_vec();
        let weight = rows.iter().map(|row| row.raw.len()).sum();
        let now = Moment::now().0;
        self.database.write(weight, move |connection| feeds::keep_unreadable(connection, &rows, now)).await
    }

    async fn scan_begin(&self, stream: &StreamName) -> Result<(), StateError> {
        let stream = self.database.number(Kind::Stream, stream.as_str()).await?;
        self.scans.begin(stream).await
    }

    async fn scan_seen(&self, stream: &StreamName, keys: &[Key]) -> Result<(), StateError> {
        let stream = self.database.number(Kind::Stream, stream.as_str()).await?;
        self.scans.seen(stream, keys.to_vec()).await
    }

    async fn scan_missing(
        &self,
        stream: &StreamName,
        after: Option<&Key>,
        limit: usize,
    ) -> Result<Vec<Key>, StateError> {
        let stream = self.database.number(Kind::Stream, stream.as_str()).await?;
        self.scans.missing(stream, after.cloned(), limit).await
    }

    async fn scan_totals(&self, stream: &StreamName) -> Result<ScanTotals, StateError> {
        let stream = self.database.number(Kind::Stream, stream.as_str()).await?;
        self.scans.totals(stream).await
    }

    async fn open_route(&self, route: &RouteName) -> Result<RouteState, StateError> {
        // The line of writes is one: what a worker that was cut off has handed in is done before this.
        self.database.write(0, |_| Ok(())).await?;
        let Some(route) = self.database.known_number(Kind::Route, route.as_str()).await? else {
            return Ok(RouteState::default());
        };
        self.database.read(move |connection| route::open(connection, route)).await
    }

    async fn settled(&self, route: &RouteName, keys: &[Key]) -> Result<Vec<Option<Settled>>, StateError> {
        let Some(route) = self.database.known_number(Kind::Route, route.as_str()).await? else {
            return Ok(vec![None; keys.len()]);
        };
        let keys = keys.to_vec();
        self.database.read(move |connection| route::settled(connection, route, &keys)).await
    }

    async fn commit(&self, route: &RouteName, changes: Vec<Change>) -> Result<Vec<Applied>, StateError> {
        let route = self.database.number(Kind::Route, route.as_str()).await?;
        let held = |change: &Change| match change {
            Change::Hold { envelope, .. } | Change::Again { envelope } => envelope.body.len(),
            _ => 0,
        };
        let weight = changes.iter().map(held).sum();
        self.database.write(weight, move |connection| route::commit(connection, route, &changes)).await
    }

    async fn waiting(
        &self,
        route: &RouteName,
        now: Moment,
        longest: Duration,
        limit: usize,
        bytes: usize,
    ) -> Result<Vec<WaitingRow>, StateError> {
        let Some(route) = self.database.known_number(Kind::Route, route.as_str()).await? else {
            return Ok(Vec::new());
        };
        self.database.read(move |connection| route::due(connection, route, (now, longest), limit, bytes)).await
    }

    async fn marked(&self, route: &RouteName, ids: &[MessageId]) -> Result<Vec<bool>, StateError> {
        let Some(route) = self.database.known_number(Kind::Route, route.as_str()).await? else {
            return Ok(vec![false; ids.len()]);
        };
        let ids = ids.to_vec();
        self.database.read(move |connection| route::marked(connection, route, &ids)).await
    }

    async fn dead_letters(&self, filter: &DeadFilter) -> Result<Vec<DeadRow>, StateError> {
        let filter = filter.clone();
        self.database.read(move |connection| dead::list(connection, &filter)).await
    }

    async fn replay(&self, id: i64, mode: ReplayMode) -> Result<Replay, StateError> {
        let now = Moment::now();
        self.database.write(0, move |connection| replay::replay(connection, id, mode, now)).await
    }

    async fn drop_dead(&self, id: i64) -> Result<bool, StateError> {
        self.database.write(0, move |connection| replay::drop_dead(connection, id)).await
    }

    async fn gate(&self, name: &GateName) -> Result<Option<Reserved>, StateError> {
        let (kind, name) = gate_name(name);
        let Some(system) = self.database.known_number(kind, name).await? else { return Ok(None) };
        let select = "SELECT horizon, deadline FROM gates WHERE system = ?1";
        let reserved = |row: &rusqlite::Row<'_>| {
            let deadline = std::time::Duration::from_micros(unsigned(row.get(1)?));
            Ok(Reserved { horizon: row.get(0)?, deadline })
        };
        self.database.read(move |c| Ok(c.query_row(select, [system], reserved).optional()?)).await
    }

    async fn set_gate(&self, name: &GateName, reserved: Reserved) -> Result<(), StateError> {
        let (kind, name) = gate_name(name);
        let system = self.database.number(kind, name).await?;
        let deadline = i64::try_from(reserved.deadline.as_micros()).unwrap_or(i64::MAX);
        let upsert = "INSERT INTO gates (system, horizon, deadline) VALUES (?1, ?2, ?3)
                      ON CONFLICT (system) DO UPDATE SET horizon = excluded.horizon, deadline = excluded.deadline";
        let work = move |connection: &rusqlite::Connection| {
            connection.prepare_cached(upsert)?.execute((system, reserved.horizon, deadline))?;
            Ok(())
        };
        self.database.write(0, work).await
    }

    async fn outbox_begin(&self, name: &SubscriptionName, now: Moment) -> Result<(), StateError> {
        let id = self.database.number(Kind::Subscription, name.as_str()).await?;
        self.database.write(0, move |connection| outbox::begin(connection, id, now)).await
    }

    async fn outbox_append(&self, name: &SubscriptionName, envelopes: &[Envelope]) -> Result<(), StateError> {
        let id = self.database.number(Kind::Subscription, name.as_str()).await?;
        let envelopes = envelopes.to_vec();
        let weight = weight(&envelopes);
        self.database.write(weight, move |connection| outbox::append(connection, id, &envelopes)).await
    }

    async fn outbox_take(&self, name: &SubscriptionName, position: u64) -> Result<Taken, StateError> {
        let id = self.database.number(Kind::Subscription, name.as_str()).await?;
        self.database.write(0, move |connection| outbox::take(connection, id, position)).await
    }

    async fn outbox_read(
        &self,
        name: &SubscriptionName,
        after: u64,
        limit: usize,
        bytes: usize,
    ) -> Result<Page, StateError> {
        let Some(id) = self.database.known_number(Kind::Subscription, name.as_str()).await? else {
            return Ok(Page::default());
        };
        self.database.read(move |connection| outbox::read(connection, id, after, limit, bytes)).await
    }

    async fn outbox_trim(&self, name: &SubscriptionName, oldest: Moment, bytes: u64) -> Result<u64, StateError> {
        let id = self.database.number(Kind::Subscription, name.as_str()).await?;
        self.database.write(0, move |connection| outbox::trim(connection, id, oldest, bytes)).await
    }

    async fn outbox_backlog(&self, name: &SubscriptionName) -> Result<Backlog, StateError> {
        let Some(id) = self.database.known_number(Kind::Subscription, name.as_str()).await? else {
            return Ok(Backlog::default());
        };
        self.database.read(move |connection| outbox::backlog(connection, id)).await
    }

    async fn route_counts(&self, route: &RouteName) -> Result<RouteCounts, StateError> {
        let Some(route) = self.database.known_number(Kind::Route, route.as_str()).await? else {
            return Ok(RouteCounts::default());
        };
        let select = "SELECT (SELECT count(*) FROM waiting WHERE route = ?1),
                             (SELECT min(time) FROM waiting WHERE route = ?1),
                             (SELECT count(*) FROM waiting WHERE route = ?1 AND reason IN ('map', 'requires')),
                             (SELECT count(*) FROM dead WHERE route = ?1)";
        let work = move |connection: &rusqlite::Connection| {
            let counted = connection.prepare_cached(select)?.query_row([route], |row| {
                let [waiting, held, dead] = [row.get(0)?, row.get(2)?, row.get(3)?].map(unsigned);
                Ok(RouteCounts { waiting, oldest: row.get::<_, Option<i64>>(1)?.map(Moment), held, dead })
            })?;
            Ok(counted)
        };
        self.database.read(work).await
    }
}

/// Bytes a request writes, roughly.
fn weight(envelopes: &[Envelope]) -> usize {
    envelopes.iter().map(|envelope| envelope.body.len() + 400).sum()
}

/// The name that a gate's row hangs on.
fn gate_name(name: &GateName) -> (Kind, &str) {
    match name {
        GateName::Deliveries(system) => (Kind::System, system.as_str()),
        GateName::Reads(system) => (Kind::Reads, system.as_str()),
        GateName::Own(route) => (Kind::Route, route.as_str()),
    }
}
