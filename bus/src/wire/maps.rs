//! Maps: what answers for each, and what keeps it current.
//!
//! A route that a reload leaves alone goes on with the map it was compiled with. So whatever answers lives as long as
//! somebody may ask it, and the task that keeps it current ends when nobody can any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::Context;
use bus_config::maps::{CsvFile, Entries, Table};
use bus_config::shape::Shaper;
use bus_config::{Landscape, Limits, MapSource, System, SystemKind};
use bus_connectors::sql::{self, SqlSource};
use bus_connectors::{Served, Serves};
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::{Incidents, Kind};
use bus_core::engine::keep::{MapTarget, VALUE};
use bus_core::engine::supervisor::watched;
use bus_core::policy::Schedule;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, Source, SourceError, SourceFault};
use bus_core::vocabulary::{GateName, MapName, Moment, RouteName, StreamName};
use bus_storage::{Database, Gives, ReceiverIds, StoredMap};
use chrono_tz::Tz;
use tokio::task::JoinSet;

use super::Workshop;
use super::feeds::reading;
use super::gates::Gates;
use super::routes::{self, AGAIN, RoutePart};

/// Between looks at a file: one `stat` each.
const LOOK: Duration = Duration::from_secs(2);
/// Rows and bytes of one page of a query.
const PAGE: BatchLimit = BatchLimit { records: 10_000, bytes: 8 * 1024 * 1024 };
/// Bytes of a map that is read from a database; more is no dictionary, and is kept from a stream instead.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// What maps of all landscapes of one process share.
pub struct Maps {
    database: Database,
    /// One per name: writes have to reach the cache that lookups read.
    stored: Mutex<HashMap<MapName, StoredMap>>,
    tasks: Mutex<JoinSet<()>>,
}

impl Maps {
    pub fn new(database: Database) -> Self {
        Self { database, stored: Mutex::default(), tasks: Mutex::default() }
    }

    fn stored(&self, name: &MapName) -> anyhow::Result<StoredMap> {
        let mut stored = self.stored.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(map) = stored.get(name) {
            return Ok(map.clone());
        }
        let map = StoredMap::open(self.database.clone(), name).context("the state store")?;
        stored.insert(name.clone(), map.clone());
        Ok(map)
    }

    /// Aborted with the process; what it does may be cut off anywhere. A panic is told under the map's name.
    fn start(&self, map: &str, incidents: &Incidents, work: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(watched(work, map.to_owned(), incidents.clone()));
    }
}

/// Reads of a map, once it is started.
pub struct QueryPart {
    name: String,
    source: SqlSource,
    table: Weak<Table>,
    schedule: Schedule,
    zone: Tz,
    gate: GateName,
    capacity: Capacity,
}

impl QueryPart {
    pub fn start(self, workshop: &Workshop) {
        let (name, gates, incidents) = (self.name.clone(), Arc::clone(&workshop.gates), workshop.incidents.clone());
        workshop.maps.start(&name, &workshop.incidents, self.run(gates, incidents));
    }
}

/// Binds the maps of a landscape to what answers for them; what reads databases is started later.
pub fn prepare(landscape: &Landscape, workshop: &Workshop) -> anyhow::Result<Vec<QueryPart>> {
    let mut queries = Vec::new();
    for map in &landscape.maps {
        let name = map.full_name();
        match &map.source {
            MapSource::Inline(_) => {}
            MapSource::Csv(file) => {
                let keep = keep_file(name.clone(), Arc::downgrade(file), workshop.incidents.clone());
                workshop.maps.start(&name, &workshop.incidents, keep);
            }
            // Shared with the landscape before: it is read already.
            MapSource::Query { .. } if map.handle.is_bound() => {}
            MapSource::Query { system, query, schedule } => {
                let table = Arc::new(Table::default());
                map.handle.bind(Arc::clone(&table) as _);
                let system = landscape.system(system).with_context(|| format!("system {system} is missing"))?;
                let SystemKind::Sql { reads, .. } = &system.kind else {
                    anyhow::bail!("{name}: {} cannot be read", system.name)
                };
                let Limits { pace, concurrency } = reads.clone();
                queries.push(QueryPart {
                    source: source(system, &name, query)?,
                    name,
                    table: Arc::downgrade(&table),
                    schedule: schedule.clone(),
                    zone: landscape.bus.timezone,
                    gate: GateName::Reads(system.name.clone()),
                    capacity: reading(pace, concurrency),
                });
            }
            MapSource::Route { route, gives } => {
                map.handle.bind(Arc::new(learnt(&workshop.maps.database, route, *gives)?));
            }
            MapSource::Stream { .. } => map.handle.bind(Arc::new(workshop.maps.stored(&map.handle.name)?)),
        }
    }
    Ok(queries)
}

/// The ids that a route has learnt.
pub fn learnt(database: &Database, route: &RouteName, gives: bus_config::Gives) -> anyhow::Result<ReceiverIds> {
    let gives = match gives {
        bus_config::Gives::Key => Gives::Key,
        bus_config::Gives::ReceiverId => Gives::ReceiverId,
    };
    ReceiverIds::open(database, route.clone(), gives).context("the state store")
}

/// The route that keeps a map from a stream; `None` for other maps.
pub fn route(landscape: &Landscape, workshop: &Workshop, map: &bus_config::Map) -> anyhow::Result<Option<RoutePart>> {
    let MapSource::Stream { stream, value } = &map.source else { return Ok(None) };
    let target = Arc::new(MapTarget(Arc::new(workshop.maps.stored(&map.handle.name)?)));
    let shape = Shaper::one(VALUE, value.clone(), landscape.bus.timezone);
    routes::own(landscape, &map.full_name(), stream, target, shape).map(Some)
}

/// A SELECT with the columns `key` and `value`.
pub fn source(system: &System, name: &str, query: &str) -> anyhow::Result<SqlSource> {
    let SystemKind::Sql { url, .. } = &system.kind else { anyhow::bail!("{name}: {} is no database", system.name) };
    let options = sql::Options {
        url: super::secret_url(url, system.name.as_str())?,
        ca_pem: super::pem(system.ca.as_deref(), system.name.as_str())?,
        serves: Serves::One(Served {
            stream: StreamName::new(name)?,
            key: vec!["key".to_owned()],
            label: None,
            date: None,
        }),
        query: query.to_owned(),
        cursor: None,
        timeout: super::source::STATEMENT,
        tape: None,
    };
    SqlSource::new(options).with_context(|| name.to_owned())
}

/// Reads the file again whenever it has changed, as long as somebody asks the map. A broken file changes nothing, and is
/// told.
async fn keep_file(name: String, file: Weak<CsvFile>, incidents: Incidents) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(look) = file.upgrade() else { return };
        let looked = tokio::task::spawn_blocking(move || (look.refresh(), look.count())).await;
        match looked.unwrap_or_else(|error| (Err(format!("reading it failed: {error}")), None)) {
            (Ok(changed), entries) => {
                incidents.close(Kind::MapStale, &name);
                if changed {
                    tracing::info!(map = name, entries, "read again");
                }
            }
            (Err(message), _) => {
                let remedy = "the map goes on with what it held before; mend the file, it is read again by itself";
                incidents.open(Kind::MapStale, &name, &message, remedy);
            }
        }
    }
}

impl QueryPart {
    /// At once, and then on schedule, as long as somebody asks the map. After a failure it goes on with what it held.
    async fn run(mut self, gates: Arc<Gates>, incidents: Incidents) {
        let (mut failures, mut gate) = (0, None);
        while let Some(table) = self.table.upgrade() {
            let read = self.read(&table, &gates, &mut gate).await;
            drop(table);
            match read {
                Ok(()) => {
                    failures = 0;
                    incidents.close(Kind::MapStale, &self.name);
                    let now = Moment::now();
                    let next = self.schedule.next_after(now, self.zone);
                    tokio::time::sleep(Duration::from_millis(u64::try_from(next.0 - now.0).unwrap_or(0))).await;
                }
                Err(error) => {
                    failures += 1;
                    let remedy = "the map goes on with what it held before, or what needs it waits; check the system and \
                                  the query, it is read again by itself";
                    incidents.open(Kind::MapStale, &self.name, &format!("{error:#}"), remedy);
                    tokio::time::sleep(AGAIN.backoff(failures, fastrand::f64())).await;
                }
            }
        }
    }

    /// All rows, then all at once into the map.
    async fn read(&mut self, table: &Table, gates: &Gates, gate: &mut Option<Arc<Gate>>) -> anyhow::Result<()> {
        // Once: what it was prepared with must not replace what a reload gives the system.
        let gate = match gate {
            Some(gate) => gate,
            None => gate.insert(gates.at(self.gate.clone(), self.capacity.clone()).await?),
        };
        let permits = Permits::new(None, Arc::clone(gate) as _);
        table.set(entries(&mut self.source, &permits).await?);
        Ok(())
    }
}

/// All rows of a map's query.
pub async fn entries(source: &mut SqlSource, permits: &Permits) -> Result<Entries, SourceError> {
    let wrong = |message: &str| SourceError::new(SourceFault::Misconfigured, message);
    let (mut entries, mut bytes, mut restart) = (HashMap::new(), 0, true);
    loop {
        let page = source.scan(restart, PAGE, permits).await?;
        restart = false;
        if let Some(row) = page.unreadable.first() {
            return Err(SourceError::new(SourceFault::Misconfigured, row.reason.clone()));
        }
        for record in page.records {
            let row: serde_json::Value =
                serde_json::from_slice(&record.body).map_err(|_| wrong("a row is not JSON"))?;
            let value = match row.get("value") {
                None => return Err(wrong("the query must give the columns `key` and `value`")),
                Some(serde_json::Value::Null) => continue,
                Some(value) if value.is_array() || value.is_object() => {
                    return Err(wrong("the column `value` holds something other than a text, a number or a boolean"));
                }
                Some(value) => value.clone(),
            };
            bytes += record.body.len();
            if bytes > MAX_BYTES {
                return Err(wrong("the query gives more than 64 MiB: keep the map from a stream instead"));
            }
            if entries.insert(Box::from(record.key.as_str()), value.clone()).is_some_and(|other| other != value) {
                return Err(wrong("the query gives a key twice, with different values"));
            }
        }
        if page.complete {
            return Ok(entries);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_map_whose_upkeep_crashes_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let maps = Maps::new(Database::open(folder.path().join("bus.db")).unwrap());
        let incidents = Incidents::default();
        maps.start("map.города", &incidents, async { panic!("a planned panic") });
        while !incidents.is_open(Kind::JobCrashed, "map.города") {
            tokio::task::yield_now().await;
        }
    }
}
