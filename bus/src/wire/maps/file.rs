//! A map in a file: looked at as long as somebody asks it.

use std::sync::Weak;
use std::time::Duration;

use bus_config::maps::CsvFile;
use bus_core::engine::incident::{Incidents, Kind};

/// Between looks at a file: one `stat` each.
const LOOK: Duration = Duration::from_secs(2);

/// Reads the file again whenever it has changed, as long as somebody asks the map. A broken file changes nothing, and is
/// told.
pub async fn keep(name: String, file: Weak<CsvFile>, incidents: Incidents) {
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
