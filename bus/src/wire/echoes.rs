//! Both ways without echo: who has to know what of whose writes.

use std::sync::Arc;

use anyhow::Context;
use bus_config::{EchoKey, Landscape, Route};
use bus_core::engine::echo::{By, Echo, Reader, UnderWay};
use bus_storage::{Database, SqliteWrites};

/// What all routes of one process share.
pub struct Echoes {
    log: SqliteWrites,
    under_way: Arc<UnderWay>,
}

impl Echoes {
    pub fn new(database: &Database) -> anyhow::Result<Self> {
        let log = SqliteWrites::open(database).context("the state store")?;
        Ok(Self { log, under_way: Arc::default() })
    }

    /// What this route knows; `None` where it is not one of a pair.
    pub fn of(&self, landscape: &Landscape, route: &Route) -> Option<Echo> {
        let own = reader(route).map(Arc::new);
        let reads = |other: &&Route| other.echo.as_ref().is_some_and(|echo| echo.of == route.name);
        let readers: Vec<_> = landscape.routes.iter().filter(reads).filter_map(reader).map(Arc::new).collect();
        if own.is_none() && readers.is_empty() {
            return None;
        }
        Some(Echo::new(Arc::new(self.log.clone()), Arc::clone(&self.under_way), own, readers))
    }
}

fn reader(route: &Route) -> Option<Reader> {
    let echo = route.echo.as_ref()?;
    let by = match echo.by {
        EchoKey::Key => By::Key,
        EchoKey::ReceiverId => By::ReceiverId,
    };
    Some(Reader { name: route.name.clone(), compare: Arc::clone(&echo.compare) as _, by })
}
