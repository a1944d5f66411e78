//! `bus what-if` in the real program: edited routes over the messages that really came, and nothing is sent.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

fn routes(bus: &Bus, receiver: &Receiver) -> String {
    format!(
        r#"
        [bus]
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        headers = {{ X-API-Key = {{ env = "SHOP_KEY" }} }}
        capacity = {{ rate = "3600/h", adaptive = false }}
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        label = "number"
        archive = "30d"
        mask = [".phone"]
        [streams.users]
        listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [maps.cards]
        stream = "users"
        value = ".card"
        [routes.orders-to-shop]
        stream = "orders"
        to = "shop"
        when = '.state != "draft"'
        when_left = "delete"
        on_delete = {{ path = "/orders/{{key}}" }}
        send = {{ method = "PUT", path = "/orders/{{key}}" }}
        fields = {{ number = ".number", total = ".total", phone = ".phone" }}
        "#,
        bus.listen(),
        receiver.url()
    )
}

/// A filter, a field through a map and the pace are others, and there is a second route.
fn edited(text: &str) -> String {
    text.replace(r#"'.state != "draft"'"#, r#"'.state == "paid"'"#)
        .replace(r#"total = ".total""#, r#"sum = ".total", card = { path = ".customer", map = "cards" }"#)
        .replace("3600/h", "1800/h")
        + r#"
        [routes.orders-to-crm]
        stream = "orders"
        to = "shop"
        send = { path = "/crm", headers = { X-Number = "{label}" } }
        "#
}

struct Setting {
    bus: Bus,
    receiver: Receiver,
}

impl Setting {
    async fn start(rabbit: Option<String>) -> Result<Self> {
        let receiver = Receiver::start(&Script::default()).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        bus.env("SHOP_KEY", "shop-secret");
        let broker = bus.on(rabbit);
        let text = routes(&bus, &receiver).replacen("[bus]", &format!("[bus]\n{broker}"), 1);
        bus.routes(&text)?;
        std::fs::write(bus.directory().join("new.toml"), edited(&text))?;
        bus.start().await?;
        Ok(Self { bus, receiver })
    }

    async fn settled(&self, count: usize) -> Result<()> {
        eventually("everything is settled", LIMIT, || async {
            let metrics = self.bus.metrics().await?;
            let of = |line: &str| {
                line.starts_with("bus_messages_settled_total{") && line.contains("route=\"orders-to-shop\"")
            };
            let counts = metrics
                .lines()
                .filter(|line| of(line))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<usize>().ok());
            Ok::<_, anyhow::Error>((counts.sum::<usize>() == count).then_some(()))
        })
        .await
    }

    async fn what_if(&self, arguments: &[&str]) -> Result<Value> {
        let (code, out, err) = self.bus.says(&[&["what-if", "new.toml", "--json"], arguments].concat()).await?;
        ensure!(code == 0, "{out}{err}");
        Ok(serde_json::from_str(&out)?)
    }
}

fn order(id: u32, state: &str) -> String {
    format!(
        r#"{{"id":{id},"number":"УТ-{id}","customer":"u-1","total":{id}.50,"phone":"+7916555{id}","state":"{state}"}}"#
    )
}

bus_tests::over_both_brokers!(edited_routes_are_tried_on_what_really_came);

async fn edited_routes_are_tried_on_what_really_came(rabbit: Option<String>) -> Result<()> {
    let mut at = Setting::start(rabbit).await?;
    at.bus.pushed("users", r#"{"id":"u-1","card":"C-100"}"#).await?;
    let paid: Vec<String> = (1..=3).map(|id| order(id, "paid")).collect();
    at.bus.pushed("orders", &format!("[{}]", paid.join(","))).await?;
    at.bus.pushed("orders", &order(4, "new")).await?;
    at.bus.pushed("orders", &order(5, "draft")).await?;
    at.bus.pushed("orders", &order(3, "draft")).await?;
    at.settled(6).await?;
    let (code, _, err) = at.bus.says(&["pause", "route", "orders-to-shop", "--why", "a test"]).await?;
    ensure!(code == 0, "{err}");
    at.bus.pushed("orders", &order(6, "paid")).await?;
    let sent = at.receiver.ledger()?.entries.len();
    // The journal rides along with the next commit; nobody waits for it before a push is answered.
    let found = eventually("the journal and the queue have all", LIMIT, || async {
        let found = at.what_if(&[]).await?;
        let all = found["routes"][0]["messages"] == 7 && found["forecast"][0]["backlog"] == 1;
        Ok::<_, anyhow::Error>(all.then_some(found))
    })
    .await?;
    let (shop, crm) = (&found["routes"][0], &found["routes"][1]);
    // Of seven messages five were for the shop, one of them a deletion; the edited filter leaves out the new order.
    assert_eq!(
        (&shop["route"], &shop["is"], &shop["requests"]),
        (&json!("orders-to-shop"), &json!("kept"), &json!([6, 5]))
    );
    let first = &shop["differences"][0];
    assert_eq!(first["label"], "УТ-1");
    let body = |side: &str| first[side]["request"]["body"].to_string();
    assert_eq!(body("before"), r#"{"number":"УТ-1","total":1.50,"phone":"***"}"#);
    assert_eq!(body("after"), r#"{"number":"УТ-1","sum":1.50,"card":"C-100","phone":"***"}"#);
    assert_eq!(first["after"]["request"]["headers"]["x-api-key"], "***");
    let fourth = shop["differences"].as_array().unwrap().iter().find(|other| other["key"] == "4").unwrap();
    assert_eq!(
        (&fourth["before"]["request"]["path"], &fourth["after"]),
        (&json!("/orders/4"), &json!({"skip": "filtered"}))
    );
    let left = |other: &&Value| other["before"]["request"]["method"] == "DELETE";
    assert!(!shop["differences"].as_array().unwrap().iter().any(|other| left(&other)), "it leaves under both");
    assert_eq!((&crm["is"], &crm["requests"]), (&json!("new"), &json!([0, 7])));
    assert_eq!(crm["differences"][0]["before"], Value::Null);
    assert_eq!(crm["differences"][0]["after"]["request"]["headers"]["x-number"], "%D0%A3%D0%A2-1");
    assert!(found["notes"].to_string().contains("stream orders: masked fields"), "{}", found["notes"]);
    let forecast = &found["forecast"][0];
    assert_eq!((&forecast["route"], &forecast["backlog"]), (&json!("orders-to-shop"), &json!(1)));
    assert!(
        forecast["before"].to_string().contains("empty at") && forecast["before"] != forecast["after"],
        "{forecast}"
    );

    // In columns, for one route, a few messages, and without the bus.
    at.bus.terminate(LIMIT).await?;
    let (code, out, err) =
        at.bus.says(&["what-if", "new.toml", "--route", "orders-to-shop", "--last", "2", "--show", "1"]).await?;
    ensure!(code == 0, "{out}{err}");
    for part in [
        "orders-to-shop: 1 of the last 2 messages of orders differ; 2 requests, then 2",
        "УТ-6 (key 6), ",
        "PUT /orders/6",
        " │   \"sum\": 6.50,",
        "note: the bus does not run",
    ] {
        ensure!(out.contains(part), "{part} is missing in\n{out}");
    }
    ensure!(!out.contains("orders-to-crm") && !out.contains("7916555"), "{out}");
    assert_eq!(at.receiver.ledger()?.entries.len(), sent, "nothing was sent");
    Ok(())
}

#[tokio::test]
async fn what_cannot_be_looked_at_is_said() -> Result<()> {
    let at = Setting::start(None).await?;
    let found = at.what_if(&[]).await?;
    assert_eq!(found["routes"][0]["messages"], 0);
    assert!(found["notes"].to_string().contains("the archive holds no message yet"), "{}", found["notes"]);
    let (code, _, err) = at.bus.says(&["what-if", "new.toml", "--route", "orders-to-schop"]).await?;
    ensure!(code == 1 && err.contains("no route is called \"orders-to-schop\""), "{code} {err}");
    std::fs::write(at.bus.directory().join("new.toml"), "[routes.x]\nto = \"y\"")?;
    let (code, _, err) = at.bus.says(&["what-if", "new.toml"]).await?;
    ensure!(code == 78 && err.contains("`stream` is required"), "{code} {err}");
    Ok(())
}

#[tokio::test]
async fn what_waits_for_a_map_is_shown_as_held_on_either_side() -> Result<()> {
    let at = Setting::start(None).await?;
    // Nobody knows the card of this customer.
    let order = |id: u32| order(id, "paid").replace("u-1", "u-9");
    at.bus.pushed("orders", &order(1)).await?;
    at.settled(1).await?;
    let held = json!({ "hold": "map `cards` to know \"u-9\"" });
    let differs = async |key: &'static str| {
        eventually("the journal to have it", LIMIT, || async {
            let found = at.what_if(&["--route", "orders-to-shop"]).await?;
            let differences = found["routes"][0]["differences"].as_array().cloned().unwrap_or_default();
            Ok::<_, anyhow::Error>(differences.into_iter().find(|one| one["key"] == key))
        })
        .await
    };
    let first = differs("1").await?;
    assert_eq!((&first["before"]["request"]["path"], &first["after"]), (&json!("/orders/1"), &held), "{first}");

    // The other way round: it is held now, and the edited routes would send it.
    let text = routes(&at.bus, &at.receiver);
    at.bus.routes(&edited(&text))?;
    std::fs::write(at.bus.directory().join("new.toml"), &text)?;
    let (code, out, err) = at.bus.says(&["reload"]).await?;
    ensure!(code == 0, "{out}{err}");
    at.bus.pushed("orders", &order(2)).await?;
    eventually("it to be held", LIMIT, || async {
        let status = at.bus.status().await?;
        let mut routes = status["routes"].as_array().into_iter().flatten();
        Ok::<_, anyhow::Error>(routes.any(|one| one["name"] == "orders-to-shop" && one["held"] == 1).then_some(()))
    })
    .await?;
    let second = differs("2").await?;
    assert_eq!((&second["before"], &second["after"]["request"]["path"]), (&held, &json!("/orders/2")), "{second}");
    let to_shop = |path: &str| path.starts_with("/orders/");
    assert_eq!(
        at.receiver.ledger()?.entries.iter().filter(|entry| to_shop(&entry.path)).count(),
        1,
        "nothing was sent"
    );
    Ok(())
}

#[tokio::test]
async fn records_that_would_share_requests_are_shown_together_and_so_is_what_that_saves() -> Result<()> {
    let at = Setting::start(None).await?;
    let text = routes(&at.bus, &at.receiver).replace("3600/h", "60/h");
    at.bus.routes(&text)?;
    let (code, out, err) = at.bus.says(&["reload"]).await?;
    ensure!(code == 0, "{out}{err}");
    let shared = text.replace(
        r#"send = { method = "PUT", path = "/orders/{key}" }"#,
        r#"send = { method = "PUT", path = "/orders/bulk" }
           batch = { max = 3, wait = "1s", results = "/items/*/status" }"#,
    );
    std::fs::write(at.bus.directory().join("new.toml"), &shared)?;
    let (code, _, err) = at.bus.says(&["pause", "route", "orders-to-shop", "--why", "a test"]).await?;
    ensure!(code == 0, "{err}");
    let orders: Vec<String> = (1..=6).map(|id| order(id, "paid")).collect();
    at.bus.pushed("orders", &format!("[{}]", orders.join(","))).await?;
    // A key that is there already: it goes when the one before it was answered.
    at.bus.pushed("orders", &order(1, "sent")).await?;
    let found = eventually("the journal and the queue have all", LIMIT, || async {
        let found = at.what_if(&["--route", "orders-to-shop"]).await?;
        let all = found["routes"][0]["messages"] == 7 && found["forecast"][0]["backlog"] == 7;
        Ok::<_, anyhow::Error>(all.then_some(found))
    })
    .await?;
    let route = &found["routes"][0];
    assert_eq!((&route["records"], &route["requests"]), (&json!([7, 7]), &json!([7, 3])));
    assert_eq!(route["shared"][0], json!([]), "each had its own");
    let (first, last) = (&route["shared"][1][0], &route["shared"][1][2]);
    assert_eq!(first["records"], json!(["УТ-1", "УТ-2", "УТ-3"]));
    assert_eq!((&first["request"]["path"], &last["records"]), (&json!("/orders/bulk"), &json!(["УТ-1"])));
    let body = first["request"]["body"].as_array().unwrap();
    assert_eq!(body.len(), 3);
    assert_eq!(body[1].to_string(), r#"{"number":"УТ-2","total":2.50,"phone":"***"}"#);
    // A request a minute: seven minutes, and then two and a third.
    let empty = |side: &str| found["forecast"][0][side].as_str().unwrap_or_default().to_owned();
    assert!(empty("before").starts_with("empty at ") && empty("after") < empty("before"), "{}", found["forecast"]);
    let (code, out, err) = at.bus.says(&["what-if", "new.toml", "--route", "orders-to-shop", "--show", "1"]).await?;
    ensure!(code == 0, "{out}{err}");
    for part in [
        "orders-to-shop: 7 of the last 7 messages of orders differ; 7 requests, then 3",
        "shared request 1 of 3: none, then 3 records (УТ-1, УТ-2, УТ-3)",
        "… and 2 more shared requests (--show, or --json for all)",
    ] {
        ensure!(out.contains(part), "{part} is missing in\n{out}");
    }

    // Only the size of the requests differs: the records are the same, and the requests are told.
    at.bus.routes(&shared)?;
    std::fs::write(at.bus.directory().join("new.toml"), shared.replace("max = 3", "max = 6"))?;
    let (code, out, err) = at.bus.says(&["what-if", "new.toml", "--route", "orders-to-shop"]).await?;
    ensure!(code == 0, "{out}{err}");
    for part in [
        "orders-to-shop: the same records for the last 7 messages of orders; 3 requests, then 2",
        "shared request 1 of 3: 3 records (УТ-1, УТ-2, УТ-3), then 6 records (УТ-1, УТ-2, УТ-3, УТ-4, УТ-5, …)",
        "shared request 3 of 3: 1 record (УТ-1), then none",
    ] {
        ensure!(out.contains(part), "{part} is missing in\n{out}");
    }
    assert_eq!(at.receiver.ledger()?.entries.len(), 0, "nothing was sent");
    Ok(())
}
