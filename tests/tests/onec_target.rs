//! Writing to a base of 1C: what arrives, what is refused before it is lost, and what is in doubt is read back.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use bus_connectors::odata::{BaseOptions, Gone, OdataTarget, Posting, Write};
use bus_core::ports::permits::Permits;
use bus_core::ports::target::{Parcel, Target};
use bus_core::vocabulary::{
    ContentHash, DeliveryError, Envelope, Fault, Key, MessageId, Moment, Operation, Receipt, Secret, Seq, StreamName,
};
use bus_simulator::{Faults, Options, Pool, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::onec::Client;
use serde_json::{Value, json};

const ORDERS: &str = "Document_ЗаказКлиента";
const PRODUCTS: &str = "Catalog_Номенклатура";
/// The attribute that holds the key of the bus.
const BY: &str = "НомерПоДаннымКлиента";

struct Setting {
    simulator: Simulator,
    client: Client,
    /// References of a partner, a warehouse and a product.
    partner: String,
    warehouse: String,
    product: String,
}

async fn setting() -> Setting {
    let pool = Pool { wait: Duration::from_millis(50), ..Pool::default() };
    let simulator = Simulator::start(Options { size: 10, pool, ..Options::default() }).await.unwrap();
    let client = Client::new(simulator.url(), simulator.node().to_string());
    let order = client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0].clone();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (partner, warehouse) = (text(&order["Контрагент_Key"]), text(&order["Склад_Key"]));
    let product = text(&order["Товары"][0]["Номенклатура_Key"]);
    Setting { simulator, client, partner, warehouse, product }
}

fn orders() -> Write {
    let by = Some(BY.to_owned());
    Write { set: ORDERS.into(), by, create: true, post: Posting::Post, gone: Some(Gone::Mark), load_mode: false }
}

fn parcel(key: &str, operation: Operation, body: &Value) -> Parcel {
    let (stream, key) = (StreamName::new("orders").unwrap(), Key::from_stored(key));
    let body = bytes::Bytes::from(body.to_string());
    let hash = ContentHash::of(operation, &body);
    let envelope = Envelope {
        id: MessageId::derive(&stream, &key, 1, &hash),
        stream,
        key,
        seq: Seq { epoch: 1, number: 1 },
        generation: 1,
        operation,
        time: Moment(0),
        label: None,
        hash,
        body: body.clone(),
    };
    Parcel { envelope, operation, body, idempotency_key: "id".into(), receiver_id: None, exists: false }
}

impl Setting {
    fn target(&self, write: Write) -> OdataTarget {
        let options = BaseOptions {
            login: Some(("Шина".into(), Secret::new("пароль"))),
            sessions: 4,
            zone: Some(chrono_tz::Europe::Moscow),
            ..BaseOptions::at(self.simulator.url().parse().unwrap(), Duration::from_secs(10))
        };
        OdataTarget::new(&options, write).unwrap()
    }

    fn order(&self, quantities: &[&str]) -> Value {
        let lines: Vec<Value> = quantities
            .iter()
            .map(|quantity| {
                let quantity: Value = serde_json::from_str(quantity).unwrap();
                json!({ "LineNumber": 77, "Номенклатура_Key": self.product, "Количество": quantity })
            })
            .collect();
        json!({
            "Date": "2026-11-22T10:00:00+03:00", "Контрагент_Key": self.partner, "Склад_Key": self.warehouse,
            "Комментарий": "из шины", "Товары": lines,
        })
    }

    async fn one(&self, write: Write, parcel: &Parcel) -> Result<Receipt, DeliveryError> {
        let target = self.target(write);
        target.deliver(std::slice::from_ref(parcel), &Permits::unbounded()).await.remove(0)
    }

    async fn send(&self, key: &str, body: &Value) -> Result<Receipt, DeliveryError> {
        self.one(orders(), &parcel(key, Operation::Upsert, body)).await
    }

    /// The objects that hold a key.
    async fn with_key(&self, key: &str) -> Vec<Value> {
        let list = self.client.json(&format!("{ORDERS}?$format=json&$filter={BY} eq '{key}'")).await;
        list["value"].as_array().unwrap().clone()
    }
}

#[tokio::test]
async fn an_object_is_created_once_changed_and_posted() {
    let at = setting().await;
    let created = at.send("Ш-1", &at.order(&["2.5", "1"])).await.unwrap();
    let objects = at.with_key("Ш-1").await;
    let [object] = objects.as_slice() else { panic!("{objects:?}") };
    assert_eq!(created.receiver_id.as_deref(), object["Ref_Key"].as_str());
    assert_eq!((&object["Posted"], &object["Date"]), (&json!(true), &json!("2026-11-22T10:00:00")));
    let lines: Vec<String> = object["Товары"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| format!("{} {}", line["LineNumber"].as_str().unwrap(), line["Количество"]))
        .collect();
    assert_eq!(lines, ["1 2.5", "2 1"], "numbered anew");

    let mut again = parcel("Ш-1", Operation::Upsert, &at.order(&["7"]));
    at.one(orders(), &again).await.unwrap();
    again.receiver_id = created.receiver_id;
    at.one(orders(), &again).await.unwrap();
    let objects = at.with_key("Ш-1").await;
    assert_eq!(objects.len(), 1);
    assert_eq!(objects[0]["Товары"].as_array().unwrap().len(), 1, "lines are replaced as a whole");
    let recorder = objects[0]["Ref_Key"].as_str().unwrap();
    let set = format!("(Recorder='{recorder}', Recorder_Type='StandardODATA.{ORDERS}')?$format=json");
    let stock = at.client.json(&format!("AccumulationRegister_ТоварыНаСкладах{set}")).await;
    assert_eq!(stock["RecordSet"].as_array().unwrap().len(), 1, "posted again");
    let posts: Vec<_> = at.simulator.seen().into_iter().filter(|seen| seen.path.contains("ost")).collect();
    assert_eq!(posts.len(), 3);
    assert!(posts.iter().all(|seen| seen.method == "POST"), "1C executes a GET too: {posts:?}");
}

#[tokio::test]
async fn what_1c_would_lose_silently_is_refused_with_the_fields_name() {
    let at = setting().await;
    let line = |fields: Value| json!({ "Товары": [fields] });
    let wrong_line = line(json!({ "КодСтроки": "двенадцать" }));
    for (fields, words) in [
        (
            json!({ "Коментарий": "x" }),
            "1C would ignore Коментарий: there is no such property; did you mean Комментарий?",
        ),
        (json!({ "Контрагент": "x" }), "the reference is Контрагент_Key"),
        (wrong_line, "Товары[1].КодСтроки is a whole number"),
        (json!({ "СуммаДокумента": "10" }), "СуммаДокумента is a number"),
        (json!({ "Контрагент_Key": "Иванов" }), "Контрагент_Key is a reference"),
        (json!({ "ДокументОснование": "8d1d7287-6240-11f1-9296-08002761f3c5" }), "ДокументОснование_Type"),
        (json!({ "Date": "вчера" }), "Date is a date"),
        (json!({ "Posted": 1, "Комментарий": 5 }), "Комментарий is text"),
    ] {
        let error = at.send("Ш-2", &fields).await.unwrap_err();
        assert_eq!(error.fault, Fault::Rejected, "{error}");
        assert!(error.message.contains(words), "{error}");
        assert!(!error.message.contains("Иванов"), "no value: {error}");
    }
    assert_eq!(at.with_key("Ш-2").await.len(), 0, "nothing was written");

    // What only the answer shows: `$metadata` says no lengths, and no values of enumerations.
    let product = Write { set: PRODUCTS.into(), by: Some("Артикул".into()), post: Posting::Leave, ..orders() };
    for (field, value, words) in [
        ("Description", "и".repeat(120), "Description was cut by 1C to 100 characters"),
        ("СтавкаНДС", "НДС18".to_owned(), "СтавкаНДС was ignored by 1C"),
    ] {
        let mut body = json!({ "Description": "Товар" });
        body[field] = value.into();
        let error = at.one(product.clone(), &parcel("А-1", Operation::Upsert, &body)).await.unwrap_err();
        assert_eq!(error.fault, Fault::Rejected);
        assert!(error.message.contains(words), "{error}");
    }
    let write = Write { by: Some("Комментари".into()), ..orders() };
    assert_eq!(at.target(write).check().await.unwrap_err().fault, Fault::Misconfigured);
}

#[tokio::test]
async fn a_lost_answer_is_read_back_and_nothing_is_created_twice() {
    let at = setting().await;
    for (key, faults) in [
        ("Л-1", Faults { lose_answer: true, ..Faults::default() }),
        ("Л-2", Faults { gateway_after_write: true, ..Faults::default() }),
        ("Л-3", Faults { disk_full_above: Some(0), times: Some(2), only: ORDERS.into(), ..Faults::default() }),
    ] {
        let write = Write { post: Posting::Leave, ..orders() };
        at.simulator.set_faults(faults);
        let mut outcome = at.one(write.clone(), &parcel(key, Operation::Upsert, &at.order(&["1"]))).await;
        at.simulator.set_faults(Faults::default());
        if outcome.is_err() {
            outcome = at.one(write, &parcel(key, Operation::Upsert, &at.order(&["1"]))).await;
        }
        outcome.unwrap();
        assert_eq!(at.with_key(key).await.len(), 1, "{key}");
    }
    // Nobody can be asked either: it stays in doubt, and the next attempt looks before it writes.
    at.simulator.set_faults(Faults { lose_answer: true, ..Faults::default() });
    let post = at.send("Л-4", &at.order(&["1"])).await.unwrap_err();
    assert_eq!(post.fault, Fault::Ambiguous, "whether it was posted anew cannot be seen");
    at.simulator.set_faults(Faults::default());
    at.send("Л-4", &at.order(&["1"])).await.unwrap();
    let objects = at.with_key("Л-4").await;
    assert_eq!((objects.len(), &objects[0]["Posted"]), (1, &json!(true)));
}

#[tokio::test]
async fn what_is_gone_is_marked_or_deleted() {
    let at = setting().await;
    at.send("У-1", &at.order(&["1"])).await.unwrap();
    let gone = parcel("У-1", Operation::Delete, &json!({}));
    for _ in 0..2 {
        at.one(orders(), &gone).await.unwrap();
        let objects = at.with_key("У-1").await;
        assert_eq!((&objects[0]["DeletionMark"], &objects[0]["Posted"]), (&json!(true), &json!(false)));
    }
    let write = Write { gone: Some(Gone::Delete), ..orders() };
    for _ in 0..2 {
        at.one(write.clone(), &gone).await.unwrap();
        assert_eq!(at.with_key("У-1").await.len(), 0);
    }
    let unknown = parcel("У-2", Operation::Delete, &json!({}));
    at.one(orders(), &unknown).await.unwrap();
}

#[tokio::test]
async fn each_trouble_has_its_fault() {
    let at = setting().await;
    at.send("Б-1", &at.order(&["1"])).await.unwrap();
    let reference = at.with_key("Б-1").await[0]["Ref_Key"].as_str().unwrap().to_owned();
    for (faults, expected) in [
        (Faults { locked: vec![reference], ..Faults::default() }, Fault::Busy),
        (Faults { maintenance: true, ..Faults::default() }, Fault::Unavailable),
        (Faults { pool_exhausted: true, ..Faults::default() }, Fault::Throttled { retry_after: None }),
        (Faults { no_licence: Some(500), ..Faults::default() }, Fault::Throttled { retry_after: None }),
        (Faults { asks_for_less: Some(429), ..Faults::default() }, Fault::Throttled { retry_after: None }),
        (
            Faults { asks_for_less: Some(503), retry_after: "7".into(), ..Faults::default() },
            Fault::Throttled { retry_after: Some(Duration::from_secs(7)) },
        ),
        (Faults { gateway: true, ..Faults::default() }, Fault::Unavailable),
        (Faults { login_page: true, ..Faults::default() }, Fault::Misconfigured),
    ] {
        at.simulator.set_faults(faults.clone());
        let error = at.send("Б-1", &at.order(&["2"])).await.unwrap_err();
        assert_eq!(error.fault, expected, "{faults:?}: {error}");
    }
    at.simulator.set_faults(Faults { bom: true, charset_1251: true, ..Faults::default() });
    at.send("Б-1", &at.order(&["3"])).await.unwrap();
    // The configuration's own word, in Russian.
    let mut nobody = at.order(&["1"]);
    nobody["Контрагент_Key"] = Value::Null;
    let error = at.send("Б-2", &nobody).await.unwrap_err();
    assert!(error.fault == Fault::Rejected && error.message.contains("не заполнено"), "{error}");
    // Somebody made a second one by hand.
    let key = at.simulator.write(ORDERS, "", json!({ (BY): "Б-1" })).unwrap();
    let error = at.send("Б-1", &at.order(&["1"])).await.unwrap_err();
    assert!(error.fault == Fault::Rejected && error.message.contains("several objects"), "{error} {key}");
}

#[tokio::test]
async fn registers_constants_and_references_are_written() {
    let at = setting().await;
    let plain = |set: &str| Write { set: set.into(), by: None, post: Posting::Leave, ..orders() };
    let kinds = at.client.json("Catalog_ВидыЦен?$format=json").await;
    let kind = kinds["value"][0]["Ref_Key"].clone();
    let prices = "InformationRegister_ЦеныНоменклатуры";
    for price in ["77.70", "88.8"] {
        let price: Value = serde_json::from_str(price).unwrap();
        let record = json!({ "Period": "2026-11-01T00:00:00", "Номенклатура_Key": at.product, "ВидЦены_Key": kind, "Цена": price });
        at.one(plain(prices), &parcel("ц", Operation::Upsert, &record)).await.unwrap();
        let filter = format!("{prices}?$format=json&$filter=Period eq datetime'2026-11-01T00:00:00'");
        let list = at.client.json(&filter).await;
        assert_eq!(
            (list["value"].as_array().unwrap().len(), &list["value"][0]["Цена"].to_string().parse::<f64>().unwrap()),
            (1, &price.to_string().parse::<f64>().unwrap())
        );
    }
    let order = at.client.json(&format!("{ORDERS}?$format=json&$top=1")).await["value"][0]["Ref_Key"].clone();
    let stock = "AccumulationRegister_ТоварыНаСкладах";
    let row = json!({ "Period": "2026-11-01T00:00:00", "Active": true, "RecordType": "Receipt", "Номенклатура_Key": at.product, "Склад_Key": at.warehouse, "ВНаличии": 5 });
    let set = json!({ "Recorder": order, "Recorder_Type": format!("StandardODATA.{ORDERS}"), "RecordSet": [row, row] });
    at.one(plain(stock), &parcel("р", Operation::Upsert, &set)).await.unwrap();
    let address =
        format!("{stock}(Recorder='{}', Recorder_Type='StandardODATA.{ORDERS}')?$format=json", order.as_str().unwrap());
    let stored = at.client.json(&address).await;
    let numbers: Vec<&str> =
        stored["RecordSet"].as_array().unwrap().iter().map(|r| r["LineNumber"].as_str().unwrap()).collect();
    assert_eq!(numbers, ["1", "2"]);
    at.one(plain(stock), &parcel("р", Operation::Delete, &set)).await.unwrap();
    assert_ne!(at.client.json(&address).await["RecordSet"].as_array().map(Vec::len), Some(2));

    let name = json!({ "Value": "ООО «Новое»" });
    at.one(plain("Constant_НаименованиеПредприятия"), &parcel("к", Operation::Upsert, &name)).await.unwrap();
    assert_eq!(
        at.client.json("Constant_НаименованиеПредприятия?$format=json").await["value"][0]["Value"],
        name["Value"]
    );

    let product = parcel(&at.product, Operation::Upsert, &json!({ "Артикул": "НОВЫЙ" }));
    let loaded = Write { load_mode: true, ..plain(PRODUCTS) };
    at.one(loaded, &product).await.unwrap();
    let stored = at.client.json(&format!("{PRODUCTS}(guid'{}')?$format=json", at.product)).await;
    assert_eq!(stored["Артикул"], "НОВЫЙ");
    assert!(at.simulator.seen().iter().any(|seen| seen.method == "PATCH" && seen.load_mode));
    let nobody = parcel("41aa6331-954f-11e3-814b-005056c00008", Operation::Upsert, &json!({ "Артикул": "x" }));
    assert_eq!(at.one(plain(PRODUCTS), &nobody).await.unwrap_err().fault, Fault::Rejected);
}

/// The program is killed again and again while it writes to a base that loses answers: each order is there once, as it
/// was last.
#[tokio::test(flavor = "multi_thread")]
async fn kills_and_lost_answers_create_nothing_twice() {
    const ORDERS_PUSHED: usize = 40;
    const LIMIT: Duration = Duration::from_secs(60);
    let at = setting().await;
    let mut bus = Bus::new().unwrap();
    bus.env("PUSH_KEY", "push-secret");
    let (listen, url) = (bus.listen(), at.simulator.url());
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{listen}"
        [systems.erp]
        kind = "1c-odata"
        url = "{url}"
        timeout = "1s"
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [routes.to-1c]
        stream = "orders"
        to = "erp"
        write = {{ set = "{ORDERS}", by = "{BY}", post = "post" }}
        on_delete = "mark"
        retry = {{ attempts = 1000, first = "50ms", max = "200ms" }}
        fields = {{ "Комментарий" = ".note", "Контрагент_Key" = ".partner", "Склад_Key" = ".warehouse" }}
        "#
    ))
    .unwrap();
    bus.start().await.unwrap();
    for round in 0..4 {
        let orders = (0..ORDERS_PUSHED).map(|id| {
            json!({ "id": format!("К-{id}"), "note": format!("{round}"), "partner": at.partner, "warehouse": at.warehouse })
        });
        at.simulator.set_faults(Faults { lose_answer: true, times: Some(5), only: ORDERS.into(), ..Faults::default() });
        bus.pushed("orders", &Value::from_iter(orders).to_string()).await.unwrap();
        let written = at.simulator.seen().len();
        eventually("the base to be written to", LIMIT, || async {
            Ok::<_, anyhow::Error>((at.simulator.seen().len() > written + 10).then_some(()))
        })
        .await
        .unwrap();
        bus.kill9();
        bus.start().await.unwrap();
    }
    let done = || async {
        let list = at.client.json(&format!("{ORDERS}?$format=json&$filter=startswith({BY},'К-')")).await;
        let list = list["value"].as_array().unwrap().clone();
        let last = list.iter().all(|order| order["Комментарий"] == "3" && order["Posted"] == true);
        Ok::<_, anyhow::Error>((list.len() >= ORDERS_PUSHED && last).then_some(list))
    };
    let list = eventually("all orders as they were last", LIMIT, done).await.unwrap();
    let mut keys: Vec<&str> = list.iter().map(|order| order[BY].as_str().unwrap()).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((keys.len(), list.len()), (ORDERS_PUSHED, ORDERS_PUSHED), "nothing twice");
}
