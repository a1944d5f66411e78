//! Joined streams in the real program: a change of any part sends the whole; kills in between; parts from before.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(30);

const STREAMS: &str = r#"
        [streams."товары"]
        listen = { path = "/in/products", key = { env = "PUSH_KEY" } }
        key = "id"
        [streams.prices]
        listen = { path = "/in/prices", key = { env = "PUSH_KEY" } }
        key = "no"
        [streams.attributes]
        listen = { path = "/in/attributes", key = { env = "PUSH_KEY" } }
        key = "no"
"#;

const CARDS: &str = r#"
        [streams.cards]
        join = "товары"
        key = "id"
        with.prices = { on = "product", field = "цена" }
        with.attributes = { on = "product", many = true }
        schedule = "100ms"
        [routes.cards-to-shop]
        stream = "cards"
        to = "shop"
        send = { method = "PUT", path = "/cards/{key}" }
        on_delete = { method = "DELETE", path = "/cards/{key}" }
"#;

struct Setting {
    bus: Bus,
    receiver: Receiver,
}

impl Setting {
    async fn new(rabbit: Option<String>) -> Result<Self> {
        let receiver = Receiver::start(&Script::default()).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        let broker = bus.on(rabbit);
        let (listen, url) = (bus.listen(), receiver.url());
        bus.routes(&format!(
            "[bus]\nlisten = \"{listen}\"\n{broker}\n[systems.shop]\nkind = \"http\"\nurl = \"{url}\"\ntimeout = \"2s\"\n{STREAMS}{CARDS}"
        ))?;
        Ok(Self { bus, receiver })
    }

    async fn push(&self, stream: &str, body: &str) -> Result<()> {
        self.bus.pushed(stream, body).await
    }

    /// The last body that the receiver has of a card, once it is this one; an empty one is a deletion.
    async fn holds(&self, card: u32, body: &str) -> Result<()> {
        let path = format!("/cards/{card}");
        let last = || async {
            let ledger = self.receiver.ledger()?;
            let last = ledger.applied().filter(|entry| entry.path == path).last().map(|entry| entry.body.clone());
            Ok::<_, anyhow::Error>((last.as_deref() == Some(body)).then_some(()))
        };
        eventually(&format!("card {card} as {body:?}"), LIMIT, last).await
    }
}

async fn a_change_of_any_part_sends_the_whole(rabbit: Option<String>) -> Result<()> {
    let mut at = Setting::new(rabbit).await?;
    at.bus.start().await?;
    // A part alone is no card; it is found when its product comes. No digit is lost.
    at.push("prices", r#"{"no":"p1","product":1,"sum":10.50}"#).await?;
    at.push("products", r#"[{"id":1,"name":"Чай"},{"id":2,"name":"Кофе"}]"#).await?;
    at.holds(1, r#"{"id":1,"name":"Чай","цена":{"no":"p1","product":1,"sum":10.50},"attributes":[]}"#).await?;
    at.holds(2, r#"{"id":2,"name":"Кофе","цена":null,"attributes":[]}"#).await?;
    let colour = r#"{"no":"a1","product":1,"цвет":"чёрный"}"#;
    at.push("attributes", &format!("[{colour},{}]", r#"{"no":"a2","product":"1","вес":2}"#)).await?;
    let both = r#"[{"no":"a1","product":1,"цвет":"чёрный"},{"no":"a2","product":"1","вес":2}]"#;
    let price = r#"{"no":"p1","product":1,"sum":10.50}"#;
    at.holds(1, &format!(r#"{{"id":1,"name":"Чай","цена":{price},"attributes":{both}}}"#)).await?;
    // A part that goes over to another product changes both cards.
    at.push("attributes", r#"{"no":"a2","product":2,"вес":2}"#).await?;
    at.holds(1, &format!(r#"{{"id":1,"name":"Чай","цена":{price},"attributes":[{colour}]}}"#)).await?;
    at.holds(2, r#"{"id":2,"name":"Кофе","цена":null,"attributes":[{"no":"a2","product":2,"вес":2}]}"#).await?;
    // A deleted part, a part that belongs to nobody any more, and a deleted product.
    at.push("prices?operation=delete", r#"{"no":"p1"}"#).await?;
    at.push("attributes", r#"{"no":"a2","product":null}"#).await?;
    at.holds(1, &format!(r#"{{"id":1,"name":"Чай","цена":null,"attributes":[{colour}]}}"#)).await?;
    at.holds(2, r#"{"id":2,"name":"Кофе","цена":null,"attributes":[]}"#).await?;
    at.push("products?operation=delete", r#"{"id":1}"#).await?;
    at.holds(1, "").await?;
    // Two of what there should be one of are kept for a person, and nothing else stops.
    at.push("prices", r#"[{"no":"p2","product":2,"sum":1},{"no":"p3","product":2,"sum":2}]"#).await?;
    let letters = || async {
        let output = at.bus.run(&["dead", "list"]).await?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok::<_, anyhow::Error>(text.contains("many = true").then_some(()))
    };
    eventually("a dead letter of the stream", LIMIT, letters).await?;
    at.push("prices?operation=delete", r#"{"no":"p2"}"#).await?;
    at.holds(2, r#"{"id":2,"name":"Кофе","цена":{"no":"p3","product":2,"sum":2},"attributes":[]}"#).await?;
    let ended = at.bus.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

bus_tests::over_both_brokers!(a_change_of_any_part_sends_the_whole);

/// Wherever the bus is killed while a part is kept or a card is published, the end is the same.
#[tokio::test]
async fn kills_lose_no_part() -> Result<()> {
    for place in ["worker.flushed:2", "capture.fetched:4", "step.committed:3"] {
        let mut at = Setting::new(None).await?;
        at.bus.crash_at(place);
        // It may get there before it is ready.
        if let Err(error) = at.bus.start().await {
            ensure!(at.bus.ended().is_some_and(|status| status.code().is_none()), "{place}: {error:#}");
        }
        let parts = [
            ("products", r#"{"id":1,"name":"Чай"}"#),
            ("prices", r#"{"no":"p1","product":1,"sum":7}"#),
            ("attributes", r#"{"no":"a1","product":1}"#),
        ];
        for (stream, body) in parts {
            // The answer may be lost with the process: who pushes pushes again.
            drop(at.push(stream, body).await);
        }
        at.bus.wait(LIMIT).await.context(place)?;
        at.bus.crash_at("");
        at.bus.start().await?;
        for (stream, body) in parts {
            at.push(stream, body).await?;
        }
        let whole =
            r#"{"id":1,"name":"Чай","цена":{"no":"p1","product":1,"sum":7},"attributes":[{"no":"a1","product":1}]}"#;
        at.holds(1, whole).await.context(place)?;
    }
    Ok(())
}

/// Streams that were published before there was a join are loaded into it.
#[tokio::test]
async fn a_new_join_over_old_streams_is_loaded() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let bus = Bus::new()?;
    let file = format!("sqlite:{}?mode=rwc", bus.directory().join("erp.db").display());
    let mut erp = sqlx::SqliteConnection::connect(&file).await?;
    for sql in [
        "CREATE TABLE products (id INTEGER PRIMARY KEY, name TEXT)",
        "INSERT INTO products VALUES (1, 'Чай'), (2, 'Кофе')",
        "CREATE TABLE prices (product INTEGER PRIMARY KEY, sum INTEGER)",
        "INSERT INTO prices VALUES (1, 7)",
    ] {
        sqlx::query(sql).execute(&mut erp).await?;
    }
    let stream = |name: &str, key: &str| {
        format!(
            "[streams.{name}]\nfrom = \"erp\"\nquery = \"SELECT * FROM {name}\"\nkey = \"{key}\"\n\
             schedule = \"200ms\"\nchanges = \"diff\"\n\
             [routes.{name}-to-shop]\nstream = \"{name}\"\nto = \"shop\"\n\
             send = {{ method = \"PUT\", path = \"/{name}/{{key}}\" }}\n"
        )
    };
    let base = format!(
        "[bus]\nlisten = \"{}\"\n[systems.erp]\nkind = \"sql\"\nurl = \"sqlite:erp.db\"\n\
         [systems.shop]\nkind = \"http\"\nurl = \"{}\"\n{}{}",
        bus.listen(),
        receiver.url(),
        stream("products", "id"),
        stream("prices", "product")
    );
    let mut at = Setting { bus, receiver };
    at.bus.routes(&base)?;
    at.bus.start().await?;
    eventually("three rows at the shop", LIMIT, || async {
        Ok::<_, anyhow::Error>((at.receiver.ledger()?.applied().count() == 3).then_some(()))
    })
    .await?;
    at.bus.terminate(LIMIT).await?;
    let cards = CARDS.replace("товары", "products");
    let cards = cards.replace("        with.attributes = { on = \"product\", many = true }\n", "");
    at.bus.routes(&format!("{base}{cards}"))?;
    at.bus.start().await?;
    for part in ["products", "prices"] {
        let loaded = at.bus.run(&["load", part, "--to", &format!("join.cards.{part}")]).await?;
        ensure!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    }
    at.holds(1, r#"{"id":1,"name":"Чай","цена":{"product":1,"sum":7}}"#).await?;
    at.holds(2, r#"{"id":2,"name":"Кофе","цена":null}"#).await?;
    sqlx::query("UPDATE prices SET sum = 8").execute(&mut erp).await?;
    at.holds(1, r#"{"id":1,"name":"Чай","цена":{"product":1,"sum":8}}"#).await
}
