//! `bus preview` in the real program: every kind of source, with the bus at work and without, and nothing changes.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_simulator::{Options, Simulator};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use bus_tests::servers::Postgres;
use serde_json::Value;
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(30);

/// Somebody takes each of these streams.
fn taken(streams: &[&str]) -> String {
    let one = |stream: &&str| {
        format!(
            "[subscriptions.\"{stream}-all\"]\nstream = \"{stream}\"\nvia = \"http\"\nkey = {{ env = \"PULL_KEY\" }}\n"
        )
    };
    streams.iter().map(one).collect()
}

async fn previewed(bus: &Bus, arguments: &[&str]) -> Result<Value> {
    let (code, out, err) = bus.says(&[&["preview", "--json"], arguments].concat()).await?;
    ensure!(code == 0, "{code}: {out}{err}");
    Ok(serde_json::from_str(&out)?)
}

fn bodies(preview: &Value) -> Vec<String> {
    preview["records"].as_array().unwrap().iter().map(|record| record["body"].to_string()).collect()
}

async fn standing(bus: &Bus) -> Result<String> {
    let (_, out, _) = bus.says(&["cursor", "show", "--json"]).await?;
    Ok(out)
}

#[tokio::test]
async fn databases_are_shown_from_where_their_feeds_stand_and_nothing_moves() -> Result<()> {
    let postgres = Postgres::shared().await?;
    let database = postgres.database().await?;
    postgres.execute(&database, "CREATE TABLE t (id int, sum numeric, phone text)").await?;
    postgres
        .execute(&database, "INSERT INTO t SELECT n, n + 0.10, '+7 900 ' || n FROM generate_series(1, 9) n")
        .await?;
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PULL_KEY", "pull-secret");
    bus.env("PG", postgres.url_of(&database));
    let shop = bus.directory().join("shop.db");
    let mut sqlite = sqlx::SqliteConnection::connect(&format!("sqlite:{}?mode=rwc", shop.display())).await?;
    sqlx::raw_sql("CREATE TABLE o (no TEXT, at INTEGER); INSERT INTO o VALUES ('А-1', 1), ('А-2', 2), ('А-3', 3)")
        .execute(&mut sqlite)
        .await?;
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{}"
        [systems.pg]
        kind = "sql"
        url = {{ env = "PG" }}
        [systems.lite]
        kind = "sql"
        url = "sqlite:{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        [streams.people]
        from = "pg"
        query = "SELECT id, sum, phone FROM t ORDER BY id"
        key = "id"
        schedule = "1h"
        changes = "diff"
        mask = [".phone"]
        [streams.orders]
        from = "lite"
        query = "SELECT no, at FROM o WHERE at >= :cursor ORDER BY at"
        key = "no"
        schedule = "100ms"
        changes = {{ cursor = "at" }}
        [routes.orders-to-shop]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/o/{{key}}" }}
        {}
        "#,
        bus.listen(),
        shop.display(),
        receiver.url(),
        taken(&["people"]),
    ))?;

    let people = previewed(&bus, &["people", "--records", "2", "--raw"]).await?;
    assert_eq!(bodies(&people), [r#"{"id":1,"sum":1.10,"phone":"***"}"#, r#"{"id":2,"sum":2.10,"phone":"***"}"#]);
    assert!(people["raw"][0]["request"].as_str().unwrap().contains("FROM t ORDER BY id"), "{people}");
    assert!(!people.to_string().contains("+7 900"), "{people}");
    let orders = previewed(&bus, &["orders", "--records", "2", "--raw"]).await?;
    assert_eq!((orders["from"].as_str(), bodies(&orders).len()), (Some("from the beginning"), 2));
    assert!(orders["raw"][0]["answer"].as_str().unwrap().starts_with("no=А-1  at=1\n"), "{orders}");
    ensure!(!bus.directory().join("data/bus.db").exists(), "looking made a state store");

    bus.start().await?;
    eventually("all orders arrive", LIMIT, || async {
        Ok::<_, anyhow::Error>((receiver.ledger()?.applied().count() == 3).then_some(()))
    })
    .await?;
    // The last value is read again each time, because another row may share it.
    let before = eventually("the position is behind the last order", LIMIT, || async {
        let before = standing(&bus).await?;
        Ok::<_, anyhow::Error>(before.contains("\\\"high\\\"").then_some(before))
    })
    .await?;
    let next = previewed(&bus, &["orders"]).await?;
    assert_eq!(bodies(&next), [r#"{"no":"А-3","at":3}"#], "{next}");
    ensure!(next["from"].as_str().unwrap().starts_with("behind the position"), "{next}");
    assert_eq!(bodies(&previewed(&bus, &["orders", "--begin"]).await?).len(), 3);
    assert_eq!(standing(&bus).await?, before);
    let (code, _, err) = bus.says(&["preview", "oders"]).await?;
    assert_eq!(code, 69);
    assert!(err.contains("there is no stream \"oders\"; there are people, orders"), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_base_of_1c_is_asked_for_a_few_records_and_for_no_changes() -> Result<()> {
    let simulator =
        Simulator::start(Options { user: Some(("шина".into(), "секрет-1с".into())), ..Options::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PULL_KEY", "pull-secret");
    bus.env("ERP_PASSWORD", "секрет-1с");
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{}"
        [systems.erp]
        kind = "1c-odata"
        url = "{}"
        user = "шина"
        password = {{ env = "ERP_PASSWORD" }}
        timezone = "Europe/Moscow"
        [streams."товары"]
        from = "erp"
        entity = "Catalog_Номенклатура"
        key = "Ref_Key"
        label = "Code"
        schedule = "1h"
        changes = "diff"
        odata = {{ select = ["Description", "Вес"] }}
        [streams.stock]
        from = "erp"
        entity = "AccumulationRegister_ТоварыНаСкладах/Balance"
        key = ["Номенклатура_Key", "Склад_Key"]
        schedule = "1h"
        changes = "diff"
        [feeds.changes]
        from = "erp"
        schedule = "1h"
        changes = {{ exchange_plan = "ExchangePlan_ШинаДанных", node = "BUS" }}
        [streams.orders]
        from = "changes"
        entity = "Document_ЗаказКлиента"
        key = "Ref_Key"
        label = "Number"
        {}
        "#,
        bus.listen(),
        simulator.url(),
        taken(&["товары", "stock", "orders"]),
    ))?;
    for running in [false, true] {
        if running {
            bus.start().await?;
        }
        let asked = simulator.seen().len();
        let products = previewed(&bus, &["товары", "--records", "3", "--raw"]).await?;
        let body: Value = serde_json::from_str(&bodies(&products)[0])?;
        let fields: Vec<&String> = body.as_object().context("an object")?.keys().collect();
        assert_eq!(bodies(&products).len(), 3);
        assert_eq!(fields, ["Ref_Key", "Code", "Description", "Вес"]);
        let heard = &products["raw"][0];
        let request = heard["request"].as_str().unwrap();
        ensure!(request.starts_with("GET http://") && request.contains("$top=3"), "{request}");
        ensure!(request.ends_with("Authorization: ***"), "{request}");
        ensure!(heard["answer"].as_str().unwrap().starts_with("HTTP 200\nContent-Type: application/json"), "{heard}");
        assert_eq!(bodies(&previewed(&bus, &["stock", "--records", "4"]).await?).len(), 4);
        if !running {
            let orders = previewed(&bus, &["orders"]).await?;
            assert_eq!(bodies(&orders).len(), 5);
            ensure!(orders["notes"][0].as_str().unwrap().contains("exchange plan itself is not asked"), "{orders}");
            ensure!(simulator.seen()[asked..].iter().all(|seen| seen.method == "GET"), "{:?}", simulator.seen());
            ensure!(!bus.directory().join("data/bus.db.spool").exists(), "looking made a spool");
        }
        ensure!(!products.to_string().contains("секрет"), "{products}");
    }
    bus.env("ERP_PASSWORD", "другой");
    bus.kill9();
    let (code, _, err) = bus.says(&["preview", "товары"]).await?;
    assert_eq!(code, 69);
    assert!(err.contains("401"), "{err}");
    Ok(())
}

#[tokio::test]
async fn what_is_pushed_and_what_is_joined() -> Result<()> {
    let mut bus = Bus::new()?;
    bus.env("PULL_KEY", "pull-secret");
    bus.env("PUSH_KEY", "push-secret");
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{}"
        [streams.products]
        listen = {{ path = "/in/products", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        archive = "1d"
        [streams.prices]
        listen = {{ path = "/in/prices", key = {{ env = "PUSH_KEY" }} }}
        key = "no"
        [streams.cards]
        join = "products"
        key = "id"
        with.prices = {{ on = "product", field = "цена" }}
        schedule = "100ms"
        {}
        "#,
        bus.listen(),
        taken(&["cards"]),
    ))?;
    bus.start().await?;
    bus.pushed("products", r#"[{"id":1,"name":"Чай"},{"id":2,"name":"Кофе"}]"#).await?;
    bus.pushed("prices", r#"{"no":"p1","product":1,"sum":10.50}"#).await?;
    let cards = eventually("the first card with its price", LIMIT, || async {
        let cards = previewed(&bus, &["cards", "--begin"]).await?;
        Ok::<_, anyhow::Error>(cards.to_string().contains("10.50").then_some(cards))
    })
    .await?;
    let whole = r#"{"id":1,"name":"Чай","цена":{"no":"p1","product":1,"sum":10.50}}"#;
    assert_eq!(bodies(&cards), [whole, r#"{"id":2,"name":"Кофе","цена":null}"#]);
    let products = previewed(&bus, &["products"]).await?;
    ensure!(products["from"].as_str().unwrap().contains("pushed to /in/products"), "{products}");
    assert_eq!(bodies(&products), [r#"{"id":1,"name":"Чай"}"#, r#"{"id":2,"name":"Кофе"}"#]);
    let prices = previewed(&bus, &["prices"]).await?;
    assert_eq!(bodies(&prices), Vec::<String>::new());
    ensure!(prices["notes"][0].as_str().unwrap().contains("archive = "), "{prices}");
    // Without the bus, the same from its state.
    bus.kill9();
    assert_eq!(bodies(&previewed(&bus, &["cards", "--begin"]).await?)[0], whole);
    Ok(())
}
