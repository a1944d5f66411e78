//! One record, whichever form it was asked for in: expanded references included.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use bus_connectors::odata::{BaseOptions, Changes, OdataSource, Options, Read};
use bus_connectors::{Served, Serves};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, Source};
use bus_core::vocabulary::StreamName;
use bus_simulator::Simulator;
use serde_json::Value;

const LIMIT: BatchLimit = BatchLimit { records: 500, bytes: 4 << 20 };

async fn read(simulator: &Simulator, entity: &str, expand: &[&str], atom: bool) -> Vec<Value> {
    let stream = StreamName::new("s").unwrap();
    let options = Options {
        base: BaseOptions::at(simulator.url().parse().unwrap(), Duration::from_secs(20)),
        serves: Serves::One(Served { stream: stream.clone(), key: vec!["Ref_Key".into()], label: None, date: None }),
        reads: vec![Read {
            expand: expand.iter().map(ToString::to_string).collect(),
            atom,
            ..Read::all(stream, entity)
        }],
        changes: Changes::Diff,
        seen: None,
        signs: Default::default(),
    };
    let mut source = OdataSource::new(options).unwrap();
    let (mut restart, mut found) = (true, Vec::new());
    loop {
        let page = source.scan(restart, LIMIT, &Permits::unbounded()).await.unwrap();
        assert!(page.unreadable.is_empty(), "{:?}", page.unreadable);
        found.extend(page.records.iter().map(|record| serde_json::from_slice::<Value>(&record.body).unwrap()));
        restart = false;
        if page.complete {
            return found;
        }
    }
}

#[tokio::test]
async fn an_expanded_record_is_the_same_in_json_and_in_atom() {
    let simulator = Simulator::start(bus_simulator::Options { size: 12, ..Default::default() }).await.unwrap();
    for (entity, expand, held) in [
        ("Document_ЗаказКлиента", &["Контрагент", "Склад"][..], "Контрагент"),
        ("Catalog_Номенклатура", &["Производитель"][..], "Производитель"),
        ("Document_ЗаказКлиента", &[][..], ""),
    ] {
        let (json, atom) =
            (read(&simulator, entity, expand, false).await, read(&simulator, entity, expand, true).await);
        assert!(json.len() >= 12 && json.len() == atom.len());
        for (json, atom) in json.iter().zip(&atom) {
            assert_eq!(json.to_string(), atom.to_string(), "{entity}");
        }
        if !held.is_empty() {
            let with = |records: &[Value]| records.iter().filter(|one| one[held]["Description"].is_string()).count();
            assert!(with(&atom) > 3, "{}", atom[0]);
        }
    }
}
