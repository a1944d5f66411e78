//! A map that is read from a database: at once, and then on schedule.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::Context;
use bus_config::maps::{Entries, Table};
use bus_config::{System, SystemKind};
use bus_connectors::sql::{self, SqlSource};
use bus_connectors::{Served, Serves};
use bus_core::engine::gate::{Capacity, Gate};
use bus_core::engine::incident::{Incidents, Kind};
use bus_core::policy::Schedule;
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, Source, SourceError, SourceFault};
use bus_core::vocabulary::{GateName, Moment, StreamName};
use chrono_tz::Tz;

use crate::wire::gates::Gates;
use crate::wire::routes::AGAIN;
use crate::wire::secrets::{pem, secret_url};
use crate::wire::source::STATEMENT;
use crate::wire::workshop::Workshop;

/// Rows and bytes of one page of a query.
const PAGE: BatchLimit = BatchLimit { records: 10_000, bytes: 8 * 1024 * 1024 };
/// Bytes of a map that is read from a database; more is no dictionary, and is kept from a stream instead.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// A SELECT with the columns `key` and `value`.
pub fn source(system: &System, name: &str, query: &str) -> anyhow::Result<SqlSource> {
    let SystemKind::Sql { url, .. } = &system.kind else { anyhow::bail!("{name}: {} is no database", system.name) };
    let options = sql::Options {
        url: secret_url(url, system.name.as_str())?,
        ca_pem: pem(system.ca.as_deref(), system.name.as_str())?,
        serves: Serves::One(Served {
            stream: StreamName::new(name)?,
            key: vec!["key".to_owned()],
            label: None,
            date: None,
        }),
        query: query.to_owned(),
        cursor: None,
        timeout: STATEMENT,
        tape: None,
    };
    SqlSource::new(options).with_context(|| name.to_owned())
}

/// Reads of a map, once it is started.
pub struct QueryPart {
    pub name: String,
    pub source: SqlSource,
    pub table: Weak<Table>,
    pub schedule: Schedule,
    pub zone: Tz,
    pub gate: GateName,
    pub capacity: Capacity,
}

impl QueryPart {
    pub fn start(self, workshop: &Workshop) {
        let (name, gates, incidents) = (self.name.clone(), Arc::clone(&workshop.gates), workshop.incidents.clone());
        workshop.maps.start(&name, &workshop.incidents, self.run(gates, incidents));
    }

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
