//! The delivery kinds by the real program, over both brokers, through kills.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use serde_json::Value;

const LIMIT: Duration = Duration::from_secs(40);

async fn route(bus: &Bus, name: &str) -> Result<Value> {
    let (_, status, _) = bus.says(&["status", "--json"]).await?;
    let status: Value = serde_json::from_str(&status)?;
    let routes = status["routes"].as_array().cloned().unwrap_or_default();
    Ok(routes.into_iter().find(|route| route["name"] == name).unwrap_or_default())
}

async fn until_route(bus: &Bus, name: &str, what: &str, test: impl Fn(&Value) -> bool) -> Result<()> {
    eventually(what, LIMIT, || async { Ok(test(&route(bus, name).await?).then_some(())) }).await
}

/// An order that comes before its products; the bus is killed while it waits.
async fn an_order_waits_for_its_products(rabbit: Option<String>) -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    let (listen, url) = (bus.listen(), receiver.url());
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{listen}"
        {broker}
        [systems.shop]
        kind = "http"
        url = "{url}"
        timeout = "2s"
        [streams."товары"]
        listen = {{ path = "/in/products", key = {{ env = "PUSH_KEY" }} }}
        key = "Ref_Key"
        [streams."заказы"]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "ref"
        label = "номер"
        [routes."товары-в-магазин"]
        stream = "товары"
        to = "shop"
        send = {{ method = "PUT", path = "/products/{{key}}" }}
        [routes."заказы-в-магазин"]
        stream = "заказы"
        to = "shop"
        send = {{ method = "PUT", path = "/orders/{{key}}" }}
        requires = {{ stream = "товары", keys = '."Товары"[*]."Номенклатура_Key"', within = "1h" }}
        "#
    ))?;
    bus.start().await?;
    let lines = r#"[{"Номенклатура_Key":"g-1"},{"Номенклатура_Key":"g-2"},{"Номенклатура_Key":null}]"#;
    bus.pushed("orders", &format!(r#"{{"ref":"о-1","номер":"УТ-1","Товары":{lines}}}"#)).await?;
    bus.pushed("products", r#"{"Ref_Key":"g-1"}"#).await?;
    until_route(&bus, "заказы-в-магазин", "the order to be held", |route| route["held"] == 1).await?;
    let (_, page, _) = bus.says(&["status"]).await?;
    ensure!(page.contains("1 held for a map or a record: bus where --state waiting"), "{page}");
    // The first product arrives, and the wait goes on for the second one.
    eventually("the story to name what it waits for", LIMIT, || async {
        let (_, story, _) = bus.says(&["where", "УТ-1"]).await?;
        Ok(story.contains("waits for товары g-2 to be delivered by товары-в-магазин").then_some(()))
    })
    .await?;
    bus.kill9();
    bus.start().await?;
    bus.pushed("products", r#"{"Ref_Key":"g-2"}"#).await?;
    eventually("the order", LIMIT, || async {
        Ok(receiver
            .ledger()?
            .applied()
            .any(|entry| entry.path.ends_with("-1") && entry.path.starts_with("/orders"))
            .then_some(()))
    })
    .await?;
    let paths: Vec<String> = receiver.ledger()?.applied().map(|entry| entry.path.clone()).collect();
    ensure!(paths.len() == 3 && paths[2].starts_with("/orders"), "{paths:?}");
    ensure!(bus.terminate(LIMIT).await?.success());
    Ok(())
}

bus_tests::over_both_brokers!(an_order_waits_for_its_products);

/// Collected while no run is due; a run that is killed in its middle goes on, and sends again at most what was under way.
async fn a_run_goes_on(rabbit: Option<String>) -> Result<()> {
    let slow = Rule::always(Answer::Slow { ms: 150 });
    let receiver = Receiver::start(&Script { rules: vec![slow], ..Script::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    let (listen, url) = (bus.listen(), receiver.url());
    let routes = |schedule: &str| {
        format!(
            r#"
            [bus]
            listen = "{listen}"
            {broker}
            [systems.shop]
            kind = "http"
            url = "{url}"
            timeout = "2s"
            [streams."цены"]
            listen = {{ path = "/in/prices", key = {{ env = "PUSH_KEY" }} }}
            key = "sku"
            [routes."цены-в-магазин"]
            stream = "цены"
            to = "shop"
            send = {{ method = "PUT", path = "/prices/{{key}}" }}
            concurrency = 1
            schedule = "{schedule}"
            "#
        )
    };
    bus.routes(&routes("1h"))?;
    bus.start().await?;
    for sku in 0..8 {
        bus.pushed("prices", &format!(r#"{{"sku":"p{sku}"}}"#)).await?;
    }
    let collects = |route: &Value| route["queued"] == 8 && route["next_run"].is_string();
    until_route(&bus, "цены-в-магазин", "eight collected", collects).await?;
    let (_, page, _) = bus.says(&["status"]).await?;
    ensure!(page.contains("collects until"), "{page}");
    let (_, story, _) = bus.says(&["where", "p3"]).await?;
    ensure!(story.contains("цены-в-магазин collects: what is in its queue goes with the run at"), "{story}");
    ensure!(receiver.ledger()?.applied().count() == 0);
    ensure!(bus.terminate(LIMIT).await?.success());
    // With another schedule a run has been missed since the last one: it is made up.
    bus.routes(&routes("1s"))?;
    bus.start().await?;
    eventually("the run", LIMIT, || async { Ok((receiver.ledger()?.applied().count() > 1).then_some(())) }).await?;
    bus.kill9();
    bus.start().await?;
    eventually("all of the run", LIMIT, || async {
        let paths: BTreeSet<String> = receiver.ledger()?.applied().map(|entry| entry.path.clone()).collect();
        Ok((paths.len() == 8).then_some(()))
    })
    .await?;
    let sent = receiver.ledger()?.applied().count();
    // One request may be under way, and the outcome of the one before it on its way to the disk.
    ensure!(sent <= 10, "{sent} sent");
    ensure!(bus.terminate(LIMIT).await?.success());
    Ok(())
}

bus_tests::over_both_brokers!(a_run_goes_on);

/// Several records in one request: the first request fails as a whole, one record is refused, one is busy twice, and the bus
/// is killed while a request is under way.
async fn records_share_requests(rabbit: Option<String>) -> Result<()> {
    let rules = vec![
        Rule::times(1, Answer::Status { code: 500, retry_after: None }),
        Rule { times: Some(2), ..Rule::keys(&["p4"], Answer::Status { code: 409, retry_after: None }) },
        Rule::keys(&["p3"], Answer::Status { code: 422, retry_after: None }),
        Rule { path: Some("/stock/bulk".into()), ..Rule::always(Answer::Slow { ms: 250 }) },
    ];
    let receiver = Receiver::start(&Script { rules, ..Script::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    let (listen, url) = (bus.listen(), receiver.url());
    bus.routes(&format!(
        r#"
        [bus]
        listen = "{listen}"
        {broker}
        [systems.shop]
        kind = "http"
        url = "{url}"
        timeout = "2s"
        [streams."остатки"]
        listen = {{ path = "/in/stock", key = {{ env = "PUSH_KEY" }} }}
        key = "key"
        [routes."остатки-в-магазин"]
        stream = "остатки"
        to = "shop"
        send = {{ method = "PUT", path = "/stock/bulk" }}
        batch = {{ max = 6, wait = "300ms", results = "/items/*/status" }}
        retry = {{ first = "100ms" }}
        concurrency = 1
        "#
    ))?;
    bus.start().await?;
    // At once: pushed one by one, each might go before the next one comes.
    let records: Vec<String> = (0..20).map(|number| format!(r#"{{"key":"p{number}"}}"#)).collect();
    bus.pushed("stock", &format!("[{}]", records.join(","))).await?;
    let taken = || -> Result<BTreeSet<String>> { Ok(receiver.ledger()?.applied().map(|e| e.key.clone()).collect()) };
    eventually("some of them", LIMIT, || async { Ok((taken()?.len() > 2).then_some(())) }).await?;
    bus.kill9();
    let before: usize = receiver.ledger()?.applied().count();
    bus.start().await?;
    eventually("all but the refused one", LIMIT, || async { Ok((taken()?.len() == 19).then_some(())) }).await?;
    until_route(&bus, "остатки-в-магазин", "nothing to wait", |route| {
        route["queued"] == 0 && route["waiting"] == 0 && route["in_flight"] == 0
    })
    .await?;
    let ledger = receiver.ledger()?;
    let (applied, requests) = (ledger.applied().count(), ledger.of_key("bulk").count());
    // Of what was under way at the kill nobody knew the outcome; everything else was sent once.
    ensure!(applied <= 19 + 6, "{applied} applied, {before} of them before the kill");
    ensure!(requests < 20, "{requests} requests for 20 records");
    let refused = ledger.entries.iter().filter(|entry| entry.key == "p3").count();
    ensure!(refused <= 2, "refused once, or twice if the kill came before that was noted: {refused}");
    let (_, dead, _) = bus.says(&["dead", "list", "--json"]).await?;
    ensure!(dead.contains("p3") && !dead.contains("p4"), "{dead}");
    let (_, story, _) = bus.says(&["where", "p3"]).await?;
    ensure!(story.contains("422") && !story.contains("p4"), "each has its own story: {story}");
    ensure!(bus.terminate(LIMIT).await?.success());
    Ok(())
}

bus_tests::over_both_brokers!(records_share_requests);

/// What is edited while it runs counts for what waits already, and for what is collected.
async fn edited_kinds_are_taken_over(rabbit: Option<String>) -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    let (listen, url) = (bus.listen(), receiver.url());
    let routes = |requires: &str, schedule: &str| {
        format!(
            r#"
            [bus]
            listen = "{listen}"
            {broker}
            [systems.shop]
            kind = "http"
            url = "{url}"
            timeout = "2s"
            [streams.products]
            listen = {{ path = "/in/products", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            [streams.orders]
            listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            [streams.prices]
            listen = {{ path = "/in/prices", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            [routes.products]
            stream = "products"
            to = "shop"
            send = {{ method = "PUT", path = "/products/{{key}}" }}
            [routes.orders]
            stream = "orders"
            to = "shop"
            send = {{ method = "PUT", path = "/orders/{{key}}" }}
            {requires}
            [routes.prices]
            stream = "prices"
            to = "shop"
            send = {{ method = "PUT", path = "/prices/{{key}}" }}
            {schedule}
            "#
        )
    };
    let requires = r#"requires = { stream = "products", keys = ".product", within = "1h" }"#;
    let arrived = async |path: &'static str| {
        eventually(path, LIMIT, || async {
            Ok::<_, anyhow::Error>(receiver.ledger()?.applied().any(|entry| entry.path == path).then_some(()))
        })
        .await
    };
    let reload = async |bus: &Bus, text: String| {
        bus.routes(&text)?;
        let (code, out, err) = bus.says(&["reload"]).await?;
        ensure!(code == 0, "{out}{err}");
        anyhow::Ok(())
    };
    bus.routes(&routes(requires, "schedule = \"1h\""))?;
    bus.start().await?;
    bus.pushed("orders", r#"{"id":"o-1","product":"g-1"}"#).await?;
    bus.pushed("prices", r#"{"id":"p-1"}"#).await?;
    let held = |route: &Value| route["held"] == 1;
    let collects = |route: &Value| route["queued"] == 1 && route["next_run"].is_string();
    until_route(&bus, "orders", "the order to be held", held).await?;
    until_route(&bus, "prices", "the price to be collected", collects).await?;
    // Nothing is required any more, and nothing collected: both go.
    reload(&bus, routes("", "")).await?;
    arrived("/orders/o-1").await?;
    arrived("/prices/p-1").await?;
    // And the other way round, for what comes from now on.
    reload(&bus, routes(requires, "schedule = \"1h\"")).await?;
    bus.pushed("orders", r#"{"id":"o-2","product":"g-2"}"#).await?;
    bus.pushed("prices", r#"{"id":"p-2"}"#).await?;
    until_route(&bus, "orders", "the second order to be held", held).await?;
    until_route(&bus, "prices", "the second price to be collected", collects).await?;
    ensure!(receiver.ledger()?.applied().count() == 2);
    // A shorter schedule has missed its run; the requirement stays, and is met.
    reload(&bus, routes(requires, "schedule = \"1s\"")).await?;
    arrived("/prices/p-2").await?;
    until_route(&bus, "orders", "the second order to be held still", held).await?;
    bus.pushed("products", r#"{"id":"g-2"}"#).await?;
    arrived("/orders/o-2").await?;
    let paths: Vec<String> = receiver.ledger()?.applied().map(|entry| entry.path.clone()).collect();
    ensure!(paths.len() == 5, "each once: {paths:?}");
    Ok(())
}

bus_tests::over_both_brokers!(edited_kinds_are_taken_over);
