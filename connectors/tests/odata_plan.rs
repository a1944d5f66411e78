//! An exchange plan of the simulated base: the first load beside changes, deletions, what nobody takes, and a reader that
//! is cut off anywhere.
#![allow(clippy::unwrap_used, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bus_connectors::odata::{BaseOptions, Changes, OdataSource, Options, Plan, Read};
use bus_connectors::{Served, Serves, Several};
use bus_core::ports::permits::{Closed, Permit, PermitSource, Permits};
use bus_core::ports::source::{Batch, BatchLimit, Source, SourceError, SourceFault};
use bus_core::vocabulary::{Cursor, Key, Operation, Record, StreamName};
use bus_simulator::{Faults, Simulator};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

const PLAN: &str = "ExchangePlan_ШинаДанных";
const ORDERS: &str = "Document_ЗаказКлиента";
const PRODUCTS: &str = "Catalog_Номенклатура";
const LIMIT: BatchLimit = BatchLimit { records: 9, bytes: 256 * 1024 };

fn name(text: &str) -> StreamName {
    StreamName::new(text).unwrap()
}

fn options(simulator: &Simulator, spool: &Path) -> Options {
    let read = |stream: &str, entity: &str| Read::all(name(stream), entity);
    let served = |stream: &str| Served { stream: name(stream), key: vec!["Ref_Key".into()], label: None, date: None };
    Options {
        seen: None,
        signs: Default::default(),
        base: BaseOptions::at(simulator.url().parse().unwrap(), Duration::from_secs(20)),
        serves: Serves::Several(Several {
            feed: name("erp-changes"),
            column: "entity".into(),
            streams: vec![(ORDERS.into(), served("orders")), (PRODUCTS.into(), served("products"))],
        }),
        reads: vec![read("orders", ORDERS), read("products", PRODUCTS)],
        changes: Changes::Plan(Plan {
            plan: PLAN.into(),
            node: node(simulator),
            point: None,
            spool: spool.to_owned(),
            quiet: Duration::from_millis(200),
        }),
    }
}

fn node(simulator: &Simulator) -> String {
    simulator.base(|base| {
        let plan = base.entity(PLAN).clone();
        let row = base.get(&plan, &format!("guid'{}'", simulator.node())).unwrap();
        row[plan.at("Code")].as_text().trim_end().to_owned()
    })
}

async fn simulator() -> Simulator {
    Simulator::start(bus_simulator::Options { size: 40, ..bus_simulator::Options::default() }).await.unwrap()
}

/// The engine, as far as it matters here: what was published, and the cursor that is durable.
#[derive(Default)]
struct Engine {
    cursor: Option<Cursor>,
    published: Vec<Record>,
    last: BTreeMap<(StreamName, Key), Record>,
    untaken: Vec<String>,
}

impl Engine {
    /// Publishes a batch. What equals the last version of its key is dropped, as the engine does.
    fn publish(&mut self, batch: Batch) {
        for record in batch.records {
            let place = (record.stream.clone(), record.key.clone());
            if self.last.get(&place).is_none_or(|last| last.body != record.body || last.operation != record.operation) {
                self.last.insert(place, record.clone());
                self.published.push(record);
            }
        }
        self.untaken.extend(batch.unreadable.into_iter().map(|row| row.reason));
    }

    async fn round(&mut self, source: &mut OdataSource) -> Result<bool, SourceError> {
        self.paced_round(source, &Permits::unbounded()).await
    }

    async fn paced_round(&mut self, source: &mut OdataSource, permits: &Permits) -> Result<bool, SourceError> {
        source.committed(self.cursor.as_ref(), permits).await?;
        let batch = source.fetch(self.cursor.as_ref(), LIMIT, permits).await?;
        let (next, more) = (batch.next.clone(), batch.more);
        self.publish(batch);
        self.cursor = next.or(self.cursor.take());
        source.committed(self.cursor.as_ref(), permits).await?;
        Ok(more)
    }

    async fn drain(&mut self, source: &mut OdataSource) {
        while self.round(source).await.unwrap() {}
    }

    fn last(&self, stream: &str) -> impl Iterator<Item = &Record> {
        let stream = name(stream);
        self.last.values().filter(move |record| record.stream == stream)
    }
}

fn count(simulator: &Simulator, set: &str) -> usize {
    simulator.base(|base| base.all(&base.entity(set).clone()).count())
}

fn noted(simulator: &Simulator) -> usize {
    simulator.base(|base| base.changes.rows(simulator.node()).len())
}

fn some_key(simulator: &Simulator, set: &str, at: usize) -> String {
    let reference = simulator.base(|base| base.all(&base.entity(set).clone()).nth(at).unwrap()[0].as_guid());
    format!("guid'{reference}'")
}

fn write(simulator: &Simulator, at: usize, comment: &str) {
    let key = some_key(simulator, ORDERS, at);
    simulator.write(ORDERS, &key, json!({ "Комментарий": comment })).unwrap();
}

fn without_version(record: &Record) -> Value {
    let mut body: Value = serde_json::from_slice(&record.body).unwrap();
    body.as_object_mut().unwrap().remove("DataVersion");
    body
}

/// Gives one permit at a time, as for a base with one session, and counts them.
struct OneAtATime {
    place: Arc<Semaphore>,
    taken: AtomicUsize,
}

#[async_trait]
impl PermitSource for OneAtATime {
    async fn take(&self) -> Result<Permit, Closed> {
        // Nobody waits for a permit with one in hand.
        let place = Arc::clone(&self.place).try_acquire_owned().map_err(|_| Closed { until: None })?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Ok(Permit::holding(place))
    }
}

#[tokio::test]
async fn every_request_takes_a_permit_and_none_is_taken_for_nothing() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    let counted = Arc::new(OneAtATime { place: Arc::new(Semaphore::new(1)), taken: AtomicUsize::new(0) });
    let permits = Permits::new(None, Arc::clone(&counted) as _);
    let mut engine = Engine::default();
    for change in 0..3 {
        while engine.paced_round(&mut source, &permits).await.unwrap() {}
        let seen: Vec<String> = simulator.seen().iter().map(|seen| seen.path.clone()).collect();
        assert_eq!(counted.taken.load(Ordering::Relaxed), seen.len(), "{change}: {seen:#?}");
        write(&simulator, change, "изменён");
    }
    let notices = simulator.seen().iter().filter(|seen| seen.path.contains("NotifyChangesReceived")).count();
    assert_eq!(notices, 2, "those of both changes that were read");
}

#[tokio::test]
async fn the_first_load_then_changes_deletions_and_what_nobody_takes() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    let report = source.check().await.unwrap();
    assert!(report.remarks.iter().any(|remark| remark.contains("received 0")), "{report:?}");
    let mut engine = Engine::default();
    engine.drain(&mut source).await;
    assert_eq!(engine.last("orders").count(), count(&simulator, ORDERS));
    assert_eq!(engine.last("products").count(), count(&simulator, PRODUCTS));
    assert_eq!(noted(&simulator), 0);

    let identity = source.identity(&Permits::unbounded()).await.unwrap().unwrap();
    assert!(identity.position.is_some_and(|number| number > 0), "{identity:?}");

    // A page in JSON and an answer of the plan in Atom are the same record.
    let before = engine.last("orders").next().unwrap().clone();
    simulator.base(|base| {
        base.changes.note(ORDERS, &format!("guid'{}'", before.key));
    });
    let published = engine.published.len();
    engine.drain(&mut source).await;
    assert_eq!(engine.published.len(), published, "byte for byte");

    write(&simulator, 3, "срочно");
    let gone = some_key(&simulator, PRODUCTS, 5);
    assert!(simulator.base(|base| base.erase(PRODUCTS, &gone)));
    let partner = some_key(&simulator, "Catalog_Контрагенты", 0);
    simulator.write("Catalog_Контрагенты", &partner, json!({ "Description": "Ёлка" })).unwrap();
    engine.drain(&mut source).await;
    assert_eq!(noted(&simulator), 0, "all of it was acknowledged");
    let news = &engine.published[published..];
    assert_eq!(news.len(), 2);
    let deletes = |record: &&Record| record.operation == Operation::Delete;
    let deleted: Vec<String> = news.iter().filter(deletes).map(|record| format!("guid'{}'", record.key)).collect();
    assert_eq!(deleted, [gone]);
    let written = news.iter().find(|record| !deletes(record)).unwrap();
    assert_eq!(without_version(written)["Комментарий"], "срочно");
    assert!(engine.untaken.iter().any(|reason| reason.contains("Catalog_Контрагенты")), "{:?}", engine.untaken);
}

#[tokio::test]
async fn changes_come_beside_a_load_and_a_page_never_goes_back() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    let (mut engine, mut number) = (Engine::default(), 0);
    while engine.round(&mut source).await.unwrap() {
        number += 1;
        write(&simulator, number % 40, &format!("{number}"));
        if number == 60 {
            break;
        }
    }
    engine.drain(&mut source).await;
    rising(&engine);
    everything_arrived(&simulator, &engine);
}

/// Comments are numbers that rise with each write: per key, none may come after a higher one.
fn rising(engine: &Engine) {
    let mut highest: BTreeMap<&Key, u64> = BTreeMap::new();
    for record in engine.published.iter().filter(|record| record.stream == name("orders")) {
        let body = without_version(record);
        let number = body["Комментарий"].as_str().and_then(|text| text.parse().ok()).unwrap_or(0);
        let before = highest.insert(&record.key, number).unwrap_or(0);
        assert!(number >= before, "{number} after {before}");
    }
}

fn everything_arrived(simulator: &Simulator, engine: &Engine) {
    let now: BTreeMap<String, String> = simulator.base(|base| {
        let orders = base.entity(ORDERS).clone();
        let at = orders.at("Комментарий");
        base.all(&orders).map(|row| (row[0].as_guid().to_string(), row[at].as_text().to_owned())).collect()
    });
    let last = engine.last("orders").map(|record| {
        (record.key.to_string(), without_version(record)["Комментарий"].as_str().unwrap_or_default().to_owned())
    });
    assert_eq!(last.collect::<BTreeMap<_, _>>(), now);
    assert_eq!(noted(simulator), 0);
}

/// A kill is a source that is dropped: at any await of a request, after the cursor was stored or before it.
#[tokio::test]
async fn two_hundred_kills_lose_nothing_and_acknowledge_nothing_unseen() {
    let seed = fastrand::u64(..);
    let mut random = fastrand::Rng::with_seed(seed);
    println!("seed {seed}");
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let (mut engine, mut number) = (Engine::default(), 0);
    let mut kills = 0;
    while kills < 200 {
        let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
        for _ in 0..random.usize(1..6) {
            for _ in 0..random.usize(0..3) {
                number += 1;
                write(&simulator, random.usize(0..40), &format!("{number}"));
            }
            // What is sent and answered after the reader was killed still happens in the base.
            let patience = Duration::from_micros(random.u64(0..4000));
            let killed = match random.u8(0..4) {
                0 => {
                    let permits = Permits::unbounded();
                    let committed = source.committed(engine.cursor.as_ref(), &permits);
                    tokio::time::timeout(patience, committed).await.is_err()
                }
                1 => {
                    // Published, and killed before the cursor was stored.
                    let permits = Permits::unbounded();
                    let _ = source.committed(engine.cursor.as_ref(), &Permits::unbounded()).await;
                    if let Ok(batch) = source.fetch(engine.cursor.as_ref(), LIMIT, &permits).await {
                        engine.publish(batch);
                    }
                    true
                }
                2 => {
                    let permits = Permits::unbounded();
                    let _ = source.committed(engine.cursor.as_ref(), &Permits::unbounded()).await;
                    let fetched = source.fetch(engine.cursor.as_ref(), LIMIT, &permits);
                    tokio::time::timeout(patience, fetched).await.is_err()
                }
                _ => engine.round(&mut source).await.is_err(),
            };
            if killed {
                kills += 1;
                break;
            }
        }
    }
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while noted(&simulator) > 0 || engine.round(&mut source).await.unwrap() {
        engine.drain(&mut source).await;
        assert!(std::time::Instant::now() < deadline, "{} changes stay", noted(&simulator));
    }
    rising(&engine);
    everything_arrived(&simulator, &engine);
}

#[tokio::test]
async fn an_answer_that_is_cut_is_asked_for_again_under_a_new_number() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    let mut engine = Engine::default();
    engine.drain(&mut source).await;
    write(&simulator, 1, "1");
    let cut = Faults { only: "SelectChanges".into(), cut_after: Some(700), times: Some(1), ..Faults::default() };
    simulator.set_faults(cut);
    let error = engine.round(&mut source).await.unwrap_err();
    assert_eq!(error.fault, SourceFault::Unavailable, "{error}");
    write(&simulator, 2, "2");
    engine.drain(&mut source).await;
    rising(&engine);
    everything_arrived(&simulator, &engine);
    let asked = simulator.seen().into_iter().filter(|seen| seen.path == "SelectChanges");
    let numbers: Vec<String> =
        asked.filter_map(|seen| Some(seen.query.split("MessageNo=").nth(1)?.to_owned())).collect();
    assert!(numbers.len() > 2, "{numbers:?}");
    let mut once = numbers.clone();
    once.sort();
    once.dedup();
    assert_eq!(numbers, once, "no number is asked for twice");
}

#[tokio::test]
async fn a_comparison_publishes_what_is_in_the_spool_first() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    let mut engine = Engine::default();
    engine.drain(&mut source).await;
    for at in 0..30 {
        write(&simulator, at, "1");
    }
    engine.round(&mut source).await.unwrap();
    assert!(noted(&simulator) > 0, "the answer is handed out in parts");
    write(&simulator, 29, "2");
    let mut restart = true;
    loop {
        let page = source.scan(restart, LIMIT, &Permits::unbounded()).await.unwrap();
        restart = false;
        let complete = page.complete;
        engine.publish(Batch { records: page.records, ..Batch::default() });
        if complete {
            break;
        }
    }
    engine.drain(&mut source).await;
    rising(&engine);
    everything_arrived(&simulator, &engine);
}

#[tokio::test]
async fn a_node_that_is_not_there_or_is_the_base_itself_is_named() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut options = options(&simulator, spool.path());
    let Changes::Plan(plan) = &mut options.changes else { unreachable!() };
    plan.node = "нет такого".into();
    let error = OdataSource::new(options).unwrap().check().await.unwrap_err();
    assert!(error.message.contains("it has") && error.message.contains(&node(&simulator)), "{error}");
}

#[tokio::test]
async fn a_cursor_of_another_node_never_means_start_over() {
    let (simulator, spool) = (simulator().await, tempfile::tempdir().unwrap());
    let mut source = OdataSource::new(options(&simulator, spool.path())).unwrap();
    for text in ["", "{}", r#"{"v":1,"plan":"ExchangePlan_Другой","node":"bus","message":1,"at":0,"done":true}"#]
    {
        let error = source.fetch(Some(&Cursor::new(text)), LIMIT, &Permits::unbounded()).await.unwrap_err();
        assert_eq!(error.fault, SourceFault::CursorUnreadable, "{text}");
    }
}
