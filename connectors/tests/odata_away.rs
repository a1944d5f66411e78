//! A base that was closed and answers again: what it publishes is asked for before a record of it is handed on, and nobody waits for a
//! session that it holds itself.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::time::Duration;

use bus_connectors::odata::{BaseOptions, Changes, OdataSource, Options, Read};
use bus_connectors::{Served, Serves};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, ScanPage, Source, SourceError, SourceFault};
use bus_core::vocabulary::StreamName;
use bus_simulator::{Faults, Simulator};

const STOCK: &str = "AccumulationRegister_ТоварыНаСкладах/Balance";
/// A session is waited for longer than this.
const LIMIT: Duration = Duration::from_secs(60);

fn source(simulator: &Simulator, seen: &Path) -> OdataSource {
    let stream = StreamName::new("остатки").unwrap();
    let key = ["Номенклатура_Key", "Склад_Key"].map(str::to_owned).to_vec();
    let base =
        BaseOptions { sessions: 1, ..BaseOptions::at(simulator.url().parse().unwrap(), Duration::from_secs(20)) };
    OdataSource::new(Options {
        base,
        serves: Serves::One(Served { stream: stream.clone(), key, label: None, date: None }),
        reads: vec![Read::all(stream, STOCK)],
        changes: Changes::Diff,
        seen: Some(seen.join("seen.json")),
        signs: Default::default(),
    })
    .unwrap()
}

async fn page(source: &mut OdataSource, restart: bool) -> Result<ScanPage, SourceError> {
    let few = BatchLimit { records: 3, bytes: 1 << 20 };
    tokio::time::timeout(LIMIT, source.scan(restart, few, &Permits::unbounded())).await.expect("it waits for itself")
}

#[tokio::test]
async fn with_one_session_a_virtual_table_is_computed_again_after_what_is_published() {
    let simulator = Simulator::start(bus_simulator::Options { size: 20, ..Default::default() }).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut source = source(&simulator, folder.path());
    let first = page(&mut source, true).await.unwrap();
    assert!(first.records.len() == 3 && !first.complete);
    let described = || simulator.seen().iter().filter(|seen| seen.path == "$metadata").count();
    let asked = described();
    simulator.set_faults(Faults { maintenance: true, ..Faults::default() });
    assert_eq!(page(&mut source, true).await.map(|_| ()).unwrap_err().fault, SourceFault::Maintenance);
    simulator.set_faults(Faults::default());
    assert_eq!(page(&mut source, true).await.map(|_| ()).unwrap_err().fault, SourceFault::Unavailable);
    assert_eq!(described(), asked + 1);
    let again = page(&mut source, true).await.unwrap();
    assert_eq!((again.records, described()), (first.records, asked + 1));
}
