//! The example landscape: a retailer's seven streams and thirteen connectors, checked, tested by its own route tests, and run
//! with PostgreSQL and four receivers until every change has arrived at everybody who wants it, and nowhere else.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use bus_tests::servers::Postgres;
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(40);

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/retail")
}

/// A copy in the bus's own directory, at its address. Nobody waits there for the night, or for five seconds.
fn copy(bus: &Bus, broker: &str) -> Result<()> {
    let to = bus.directory();
    for folder in ["routes.d", "tests"] {
        std::fs::create_dir_all(to.join(folder))?;
        for entry in std::fs::read_dir(example().join(folder))? {
            let entry = entry?;
            let text = std::fs::read_to_string(entry.path())?.replace("schedule = \"5s\"", "schedule = \"1s\"");
            std::fs::write(to.join(folder).join(entry.file_name()), text)?;
        }
    }
    let main = std::fs::read_to_string(example().join("routes.toml"))?;
    let main = main.replace("\"0/min\"", "\"600/min\"").replace("\"100/min\"", "\"600/min\"");
    let state = "state    = \"data/bus.db\"";
    ensure!(main.contains(state), "the example's [bus] has changed");
    bus.routes(&main.replace(state, &format!("state = \"bus.db\"\nlisten = \"{}\"\n{broker}", bus.listen())))
}

#[tokio::test]
async fn its_files_are_right_and_its_route_tests_pass() -> Result<()> {
    let bus = Bus::new()?;
    copy(&bus, "")?;
    let (code, out, err) = bus.says(&["check"]).await?;
    ensure!(code == 0 && out.contains("7 streams, 12 routes"), "{code}: {out}{err}");
    let (code, out, err) = bus.says(&["test", "--json"]).await?;
    ensure!(code == 0, "{code}: {out}{err}");
    let rows: Vec<Value> = serde_json::from_str(&out)?;
    ensure!(rows.len() >= 19 && rows.iter().all(|row| row["ok"] == true), "{out}");
    let tested: std::collections::BTreeSet<&str> = rows.iter().filter_map(|row| row["route"].as_str()).collect();
    ensure!(tested.len() >= 9, "only {tested:?} have tests");

    // A route that changed shows as a difference, and one that is gone as a mistake.
    let orders = bus.directory().join("routes.d/orders.toml");
    let text = std::fs::read_to_string(&orders)?;
    std::fs::write(&orders, text.replace("\"Сумма\" = \".total\"", "\"Сумма\" = \".sum\""))?;
    let (code, out, err) = bus.says(&["test", "--only", "orders-to-erp"]).await?;
    ensure!(code == 1, "{code} {out}{err}");
    for part in [
        "FAIL  orders-to-erp: a paid order",
        "routes.d/orders.toml:",
        "-   \"Сумма\": 1234567.80,\n",
        "+   \"Сумма\": null,\n",
        "ok    orders-to-erp: a draft",
        "4 tests, 1 failed",
    ] {
        ensure!(out.contains(part), "{part} is missing in\n{out}");
    }
    std::fs::write(&orders, text.replace("lookup(\"cards\", .customer)", ".customer"))?;
    let (code, out, _) = bus.says(&["test", "--only", "waited for", "--json"]).await?;
    let rows: Vec<Value> = serde_json::from_str(&out)?;
    let request = &rows[0]["outcome"]["request"];
    ensure!(code == 1 && request["body"]["card"] == "u-13" && rows[0]["difference"][0][0] == "-", "{out}");
    ensure!(request["headers"]["idempotency-key"].is_string(), "{out}");
    std::fs::write(&orders, text.replacen("route  = \"orders-to-erp\"", "route  = \"orders-to-epr\"", 1))?;
    let (code, _, err) = bus.says(&["test"]).await?;
    ensure!(code == 78 && err.contains("BUS-C011") && err.contains("did you mean `orders-to-erp`"), "{code}: {err}");
    let (code, _, err) = bus.says(&["test", "--only", "no such test"]).await?;
    ensure!(code == 78, "the mistake comes first: {err}");
    std::fs::write(&orders, text)?;
    let (code, _, err) = bus.says(&["test", "--only", "no such test"]).await?;
    ensure!(code == 69 && err.contains("no test's name or route holds"), "{code}: {err}");
    Ok(())
}

/// Method, path and body of what a receiver has applied, in the order of letters.
type Applied = Vec<String>;

struct Shop {
    bus: Bus,
    postgres: &'static Postgres,
    database: String,
    receivers: BTreeMap<&'static str, Receiver>,
}

impl Shop {
    async fn open(rabbit: Option<String>) -> Result<Self> {
        let postgres = Postgres::shared().await?;
        let database = postgres.database().await?;
        let tables = "CREATE TABLE orders (id bigint PRIMARY KEY, number text, customer text, warehouse text, currency text, \
                      total numeric(15,2), state text, changed timestamptz NOT NULL DEFAULT clock_timestamp()); \
                      CREATE TABLE warehouses (code text PRIMARY KEY, name text, kind text, city text); \
                      INSERT INTO warehouses VALUES ('msk-1', 'На Тверской', 'store', 'Москва'), \
                      ('spb-2', 'Склад', 'warehouse', 'Петербург'), ('tr-1', 'В пути', 'transit', ''); \
                      INSERT INTO orders VALUES (1, 'УТ-000001', 'u-12', 'msk-1', 'rub', 1234567.80, 'paid'), \
                      (2, 'УТ-000002', 'u-13', 'msk-1', 'rub', 5, 'new'), (3, 'УТ-000003', 'u-13', 'msk-1', 'rub', 5, 'draft'), \
                      (4, 'УТ-000004', 'u-13', 'franchise', 'rub', 5, 'new')";
        postgres.execute(&database, tables).await?;
        let mut receivers = BTreeMap::new();
        let mut bus = Bus::new()?;
        for (name, variable) in [("oms", "OMS_URL"), ("erp", "ERP_URL"), ("rewards", "REWARDS_URL"), ("cms", "CMS_URL")]
        {
            let receiver = Receiver::start(&Script::default()).await?;
            bus.env(variable, receiver.url());
            receivers.insert(name, receiver);
        }
        bus.env("OMS_DATABASE_URL", postgres.url_of(&database));
        for name in ["OMS_KEY", "ERP_PASSWORD", "ERP_PUSH_KEY", "OMS_PUSH_KEY", "USERS_PUSH_KEY"] {
            bus.env(name, "push-secret");
        }
        let broker = bus.on(rabbit);
        copy(&bus, broker)?;
        bus.start().await?;
        Ok(Self { bus, postgres, database, receivers })
    }

    fn applied(&self, receiver: &str) -> Result<Applied> {
        let ledger = self.receivers[receiver].ledger()?;
        let mut applied: Applied =
            ledger.applied().map(|entry| format!("{} {} {}", entry.method, entry.path, entry.body)).collect();
        applied.sort();
        Ok(applied)
    }

    async fn has(&self, receiver: &str, expected: &[&str]) -> Result<()> {
        let waited = eventually("every request", LIMIT, || async {
            Ok::<_, anyhow::Error>((self.applied(receiver)? == expected).then_some(()))
        });
        let waited = waited.await;
        let applied = self.applied(receiver)?;
        waited.with_context(|| format!("{receiver} got {applied:#?} instead of {expected:#?}"))
    }

    async fn skipped(&self, route: &str, reason: &str, count: u64) -> Result<()> {
        let line = format!(r#"bus_messages_skipped_total{{reason="{reason}",route="{route}"}} {count}"#);
        eventually(&line, LIMIT, || async {
            Ok::<_, anyhow::Error>(self.bus.metrics().await?.contains(&line).then_some(()))
        })
        .await
    }
}

async fn every_change_arrives(rabbit: Option<String>) -> Result<()> {
    let shop = Shop::open(rabbit).await?;
    for (path, body) in [
        ("currencies", r#"[{"code":"USD","rate":101.50,"name":"Доллар"}]"#),
        ("countries", r#"[{"code":"KZ","name":"Казахстан"}]"#),
        ("oms/statuses", r#"[{"order":2,"status":"Собран"}]"#),
    ] {
        shop.bus.pushed(path, body).await?;
    }
    let to_cms = r#"PUT /stores/msk-1 {"title":"На Тверской","city":"Москва"}"#;
    shop.has("cms", &[to_cms]).await?;
    let first = r#"PUT /documents/orders/1 {"Номер":"УТ-000001","Контрагент":"u-12","Склад":"msk-1","Сумма":1234567.80,"Валюта":"rub"}"#;
    let second = r#"PUT /documents/orders/2 {"Номер":"УТ-000002","Контрагент":"u-13","Склад":"msk-1","Сумма":5.00,"Валюта":"rub"}"#;
    let status = r#"PUT /documents/orders/2/status {"Статус":"Собран"}"#;
    shop.has("erp", &[first, second, status]).await?;
    shop.skipped("orders-to-erp", "filtered", 2).await?;

    // Nobody knows the card of the first order's customer until he is pushed.
    let directories = [
        r#"PUT /countries/KZ {"code":"KZ","name":"Казахстан"}"#,
        r#"PUT /currencies/USD {"code":"USD","rate":101.50}"#,
    ];
    shop.has("rewards", &directories).await?;
    let user = r#"{"id":"u-12","email":"a@example.org","name":"Анна","card":"C-100","country":"RU","currency":"RUB","consent":true}"#;
    shop.bus.pushed("users", user).await?;
    let purchase = r#"POST /purchases {"amount":1234567.8,"card":"C-100","currency":"RUB","order":1}"#;
    let consent = r#"PUT /members/u-12/consent {"consent":true}"#;
    let member = r#"PUT /members/u-12 {"card":"C-100","name":"Анна","country":"RU","currency":"RUB"}"#;
    shop.has("rewards", &[purchase, directories[0], directories[1], member, consent]).await?;

    // The ERP shows what was written to it: an echo. Then it changes the status itself, and the OMS shows that.
    shop.bus.pushed("erp/statuses", r#"{"order":2,"Статус":"Собран"}"#).await?;
    shop.skipped("statuses-to-oms", "echo", 1).await?;
    shop.bus.pushed("erp/statuses", r#"{"order":2,"Статус":"Отгружен"}"#).await?;
    let to_oms = [
        r#"PUT /countries/KZ {"code":"KZ","name":"Казахстан"}"#,
        r#"PUT /currencies/USD {"code":"USD","rate":101.50,"name":"Доллар"}"#,
        r#"PUT /orders/2/status {"status":"Отгружен"}"#,
        r#"PUT /warehouses/msk-1 {"code":"msk-1","name":"На Тверской","kind":"store","city":"Москва"}"#,
        r#"PUT /warehouses/spb-2 {"code":"spb-2","name":"Склад","kind":"warehouse","city":"Петербург"}"#,
    ];
    shop.has("oms", &to_oms).await?;
    shop.bus.pushed("oms/statuses", r#"{"order":2,"status":"Отгружен"}"#).await?;
    shop.skipped("statuses-to-erp", "echo", 1).await?;

    // Changes at the source reach whom they concern: an order leaves the ERP, another is paid, a store leaves the site.
    let changes = "UPDATE orders SET state = 'draft', changed = clock_timestamp() WHERE id = 2; \
                   UPDATE orders SET state = 'paid', customer = 'u-12', changed = clock_timestamp() WHERE id = 4; \
                   UPDATE warehouses SET kind = 'warehouse' WHERE code = 'msk-1'";
    shop.postgres.execute(&shop.database, changes).await?;
    shop.has("erp", &["DELETE /documents/orders/2 ", first, second, status]).await?;
    shop.has("cms", &["DELETE /stores/msk-1 ", to_cms]).await?;
    let paid = r#"POST /purchases {"amount":5.0,"card":"C-100","currency":"RUB","order":4}"#;
    shop.has("rewards", &[purchase, paid, directories[0], directories[1], member, consent]).await?;
    let moved = r#"PUT /warehouses/msk-1 {"code":"msk-1","name":"На Тверской","kind":"warehouse","city":"Москва"}"#;
    shop.has("oms", &[to_oms[0], to_oms[1], to_oms[2], to_oms[3], moved, to_oms[4]]).await?;

    let (code, status, _) = shop.bus.says(&["status", "--json"]).await?;
    let status: Value = serde_json::from_str(&status)?;
    ensure!(code == 0 && status["incidents"] == Value::Array(Vec::new()), "{status}");
    Ok(())
}

bus_tests::over_both_brokers!(every_change_arrives);
