//! Comparing by `DataVersion`, against the simulator: only what was written is read again, and nothing is missed.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeSet;
use std::time::Duration;

use bus_connectors::odata::{BaseOptions, Changes, OdataSource, Options, Read};
use bus_connectors::{Served, Serves};
use bus_core::ports::permits::Permits;
use bus_core::ports::source::{BatchLimit, ScanPage, Source, SourceFault};
use bus_core::vocabulary::StreamName;
use bus_simulator::{Simulator, Write};
use serde_json::{Value, json};

const ORDERS: &str = "Document_ЗаказКлиента";
const LIMIT: BatchLimit = BatchLimit { records: 4, bytes: 256 * 1024 };

fn options(simulator: &Simulator, entity: &str, select: &[&str]) -> Options {
    let stream = StreamName::new("orders").unwrap();
    Options {
        base: BaseOptions::at(simulator.url().parse().unwrap(), Duration::from_secs(20)),
        serves: Serves::One(Served { stream: stream.clone(), key: vec!["Ref_Key".into()], label: None, date: None }),
        reads: vec![Read {
            select: select.iter().map(|name| (*name).to_owned()).collect(),
            ..Read::all(stream, entity)
        }],
        changes: Changes::Versions,
        seen: None,
        signs: Default::default(),
    }
}

/// A whole comparison: the bodies that were read, and the keys that were not.
async fn compared(source: &mut OdataSource) -> (Vec<Value>, BTreeSet<String>) {
    let (mut read, mut same, mut restart) = (Vec::new(), BTreeSet::new(), true);
    loop {
        let page: ScanPage = source.compare(restart, LIMIT, &Permits::unbounded()).await.unwrap();
        restart = false;
        assert!(page.unreadable.is_empty());
        read.extend(page.records.iter().map(|record| serde_json::from_slice::<Value>(&record.body).unwrap()));
        same.extend(page.unchanged.into_iter().map(|(_, key)| key.as_str().to_owned()));
        if page.complete {
            return (read, same);
        }
    }
}

async fn base() -> (Simulator, OdataSource) {
    let simulator = Simulator::start(bus_simulator::Options { size: 10, ..Default::default() }).await.unwrap();
    let source = OdataSource::new(options(&simulator, ORDERS, &[])).unwrap();
    (simulator, source)
}

fn key(order: &Value) -> String {
    format!("guid'{}'", order["Ref_Key"].as_str().unwrap())
}

#[tokio::test]
async fn only_what_was_written_is_read_again_and_what_is_gone_is_named_by_nobody() {
    let (simulator, mut source) = base().await;
    let (all, same) = compared(&mut source).await;
    assert_eq!((all.len(), same.len()), (10, 0), "the first time everything is read");
    let (read, same) = compared(&mut source).await;
    assert_eq!((read.len(), same.len()), (0, 10));
    // A write that changes nothing is a write; two are read, by their keys.
    simulator.write(ORDERS, &key(&all[3]), json!({ "Комментарий": "срочно" })).unwrap();
    simulator.write(ORDERS, &key(&all[7]), json!({})).unwrap();
    let erased = Write { set: ORDERS.into(), key: key(&all[0]), ..Write::default() };
    simulator.base(|base| erased.run(base, "delete")).unwrap();
    let new = simulator.write(ORDERS, "", json!({ "Комментарий": "новый" })).unwrap();
    let (read, same) = compared(&mut source).await;
    let keys: BTreeSet<String> = read.iter().map(key).collect();
    assert_eq!(keys, BTreeSet::from([key(&all[3]), key(&all[7]), new]));
    assert!(read.iter().any(|order| order["Комментарий"] == "срочно"), "{read:?}");
    assert_eq!((same.len(), same.contains(all[0]["Ref_Key"].as_str().unwrap())), (7, false));
}

#[tokio::test]
async fn what_was_not_published_is_read_once_more() {
    let (simulator, mut source) = base().await;
    let (all, _) = compared(&mut source).await;
    simulator.write(ORDERS, &key(&all[2]), json!({ "Комментарий": "срочно" })).unwrap();
    // The page with it is read, and the engine never comes back for the next one: it was not published.
    let mut restart = true;
    loop {
        let page = source.compare(restart, LIMIT, &Permits::unbounded()).await.unwrap();
        restart = false;
        if !page.records.is_empty() {
            break;
        }
        assert!(!page.complete, "it was not read");
    }
    let (read, same) = compared(&mut source).await;
    assert_eq!((read.iter().map(key).collect::<Vec<_>>(), same.len()), (vec![key(&all[2])], 9));
    assert_eq!(compared(&mut source).await.1.len(), 10);
}

#[tokio::test]
async fn a_version_that_nobody_selected_is_no_field_and_registers_have_none() {
    let (simulator, _) = base().await;
    let mut source = OdataSource::new(options(&simulator, ORDERS, &["Number"])).unwrap();
    let (all, _) = compared(&mut source).await;
    let fields: Vec<&String> = all[0].as_object().unwrap().keys().collect();
    assert_eq!(fields, ["Ref_Key", "Number"]);
    simulator.write(ORDERS, &key(&all[1]), json!({ "Number": "УТ-1" })).unwrap();
    let (read, same) = compared(&mut source).await;
    assert_eq!((read, same.len()), (vec![json!({ "Ref_Key": all[1]["Ref_Key"], "Number": "УТ-1" })], 9));
    let prices = options(&simulator, "Catalog_Склады", &[]);
    assert_eq!(compared(&mut OdataSource::new(prices).unwrap()).await.1.len(), 0);
    let mut stock = options(&simulator, "AccumulationRegister_ТоварыНаСкладах", &[]);
    stock.serves = Serves::One(Served {
        stream: StreamName::new("orders").unwrap(),
        key: vec!["Recorder".into()],
        label: None,
        date: None,
    });
    let error = OdataSource::new(stock).unwrap().compare(true, LIMIT, &Permits::unbounded()).await.unwrap_err();
    assert_eq!(error.fault, SourceFault::Misconfigured);
    assert!(error.message.contains("has no DataVersion"), "{error}");
}
