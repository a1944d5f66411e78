//! Maps in the real program: kept from a stream, from a file that changes, from the configuration; kills in between.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Receiver, Script};
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(30);

/// Products that make a map, orders that need it, countries in a file.
fn routes(bus: &Bus, receiver: &Receiver, broker: &str) -> String {
    format!(
        r#"
        [bus]
        listen = "{}"
        {broker}
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams."товары"]
        listen = {{ path = "/in/products", key = {{ env = "PUSH_KEY" }} }}
        key = "Ref_Key"
        [streams.orders]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        [maps."артикул"]
        stream = "товары"
        value = ".Артикул"
        [maps.countries]
        csv = "страны.csv"
        unknown = {{ default = "??" }}
        [maps.currencies]
        values = {{ "643" = "RUB", "840" = "USD" }}
        unknown = "pass"
        [routes.orders-to-shop]
        stream = "orders"
        to = "shop"
        send = {{ method = "PUT", path = "/orders/{{key}}" }}
        transform = '''
        . = {{ "country": lookup("countries", .country), "currency": lookup("currencies", .cur),
              "lines": map_values(array!(.lines)) -> |line| {{ lookup("артикул", line) }} }}
        '''
        "#,
        bus.listen(),
        receiver.url()
    )
}

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
        std::fs::write(bus.directory().join("страны.csv"), "key;value\n7;Россия\n")?;
        bus.routes(&routes(&bus, &receiver, broker))?;
        Ok(Self { bus, receiver })
    }

    async fn push(&self, stream: &str, body: &str, query: &str) -> Result<()> {
        self.bus.pushed(&format!("{stream}{query}"), body).await
    }

    /// The last body that the receiver has applied to an order, once it is this one.
    async fn holds(&self, order: u32, body: &str) -> Result<()> {
        let path = format!("/orders/{order}");
        let last = || async {
            let ledger = self.receiver.ledger()?;
            let last = ledger.applied().filter(|entry| entry.path == path).last().map(|entry| entry.body.clone());
            Ok::<_, anyhow::Error>((last.as_deref() == Some(body)).then_some(()))
        };
        eventually(&format!("order {order} as {body}"), LIMIT, last).await
    }

    async fn metric(&self, line: &str) -> Result<()> {
        eventually(line, LIMIT, || async {
            Ok::<_, anyhow::Error>(self.bus.metrics().await?.contains(line).then_some(()))
        })
        .await
    }
}

const ORDER: &str = r#"{"id":1,"country":7,"cur":"643","lines":["g-1","g-2"]}"#;

async fn an_order_meets_its_products(rabbit: Option<String>) -> Result<()> {
    let mut setting = Setting::new(rabbit).await?;
    setting.bus.start().await?;
    setting.push("products", r#"{"Ref_Key":"g-1","Артикул":"Ж-1"}"#, "").await?;
    setting.push("orders", ORDER, "").await?;
    // It waits for the second product, and nothing of it is sent.
    setting.metric(r#"bus_messages_waiting{route="orders-to-shop"} 1"#).await?;
    setting.push("orders", r#"{"id":2,"country":1,"cur":"999","lines":["g-1"]}"#, "").await?;
    setting.holds(2, r#"{"country":"??","currency":"999","lines":["Ж-1"]}"#).await?;
    setting.push("products", r#"{"Ref_Key":"g-2","Артикул":"Ж-2"}"#, "").await?;
    setting.holds(1, r#"{"country":"Россия","currency":"RUB","lines":["Ж-1","Ж-2"]}"#).await?;
    // An article number changes, a country is added to the file: the next version has both, without a restart.
    setting.push("products", r#"{"Ref_Key":"g-1","Артикул":"Ж-9"}"#, "").await?;
    std::fs::write(setting.bus.directory().join("страны.csv"), "key;value\n7;Россия\n1;США и Канада\n")?;
    setting.metric(r#"bus_messages_settled_total{outcome="delivered",route="map.артикул"} 3"#).await?;
    let mut tries = 0;
    eventually("the new country", LIMIT, || {
        tries += 1;
        let body = format!(r#"{{"id":3,"country":1,"cur":"840","try":{tries},"lines":["g-1"]}}"#);
        let setting = &setting;
        async move {
            setting.push("orders", &body, "").await?;
            let ledger = setting.receiver.ledger()?;
            let expected = r#"{"country":"США и Канада","currency":"USD","lines":["Ж-9"]}"#;
            Ok::<_, anyhow::Error>(ledger.applied().any(|entry| entry.body == expected).then_some(()))
        }
    })
    .await?;
    // A product that is deleted is unknown from then on.
    setting.push("products", r#"{"Ref_Key":"g-2"}"#, "?operation=delete").await?;
    setting.metric(r#"bus_messages_settled_total{outcome="delivered",route="map.артикул"} 4"#).await?;
    setting.push("orders", r#"{"id":4,"country":7,"cur":"643","lines":["g-2"]}"#, "").await?;
    setting.metric(r#"bus_messages_waiting{route="orders-to-shop"} 1"#).await?;
    let ended = setting.bus.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended}");
    Ok(())
}

bus_tests::over_both_brokers!(an_order_meets_its_products);

/// Wherever the bus is killed while it writes the map or waits for it, the end is the same.
#[tokio::test]
async fn kills_lose_nothing_of_a_map() -> Result<()> {
    for place in ["worker.answered:1", "worker.flushed:2", "worker.acked:1"] {
        let mut setting = Setting::new(None).await?;
        setting.bus.crash_at(place);
        setting.bus.start().await?;
        // The answer may be lost with the process: who pushes pushes again.
        for (stream, body) in [("orders", ORDER), ("products", r#"{"Ref_Key":"g-1","Артикул":"Ж-1"}"#)] {
            drop(setting.push(stream, body, "").await);
        }
        setting.bus.wait(LIMIT).await.context(place)?;
        setting.bus.crash_at("");
        setting.bus.start().await?;
        setting.push("orders", ORDER, "").await?;
        for product in [r#"{"Ref_Key":"g-1","Артикул":"Ж-1"}"#, r#"{"Ref_Key":"g-2","Артикул":"Ж-2"}"#]
        {
            setting.push("products", product, "").await?;
        }
        setting.holds(1, r#"{"country":"Россия","currency":"RUB","lines":["Ж-1","Ж-2"]}"#).await.context(place)?;
    }
    Ok(())
}

/// Products in a table that was published before there was a map, cities in another table.
fn old_stream(bus: &Bus, receiver: &Receiver, maps: &str) -> String {
    format!(
        r#"
        [bus]
        listen = "{}"
        [systems.wms]
        kind = "sql"
        url = "sqlite:wms.db"
        [systems.shop]
        kind = "http"
        url = "{}"
        [streams.products]
        from = "wms"
        query = "SELECT guid, sku FROM products"
        key = "guid"
        schedule = "200ms"
        changes = "diff"
        [routes.products-to-shop]
        stream = "products"
        to = "shop"
        send = {{ method = "PUT", path = "/products/{{key}}" }}
        {maps}
        "#,
        bus.listen(),
        receiver.url()
    )
}

const NEW_MAPS: &str = r#"
        [streams.orders]
        listen = { path = "/in/orders", key = { env = "PUSH_KEY" } }
        key = "id"
        [maps.sku]
        stream = "products"
        value = ".sku"
        [maps.cities]
        from = "wms"
        query = "SELECT code AS \"key\", city AS \"value\" FROM warehouses"
        schedule = "500ms"
        unknown = { default = "?" }
        [routes.orders-to-shop]
        stream = "orders"
        to = "shop"
        send = { method = "PUT", path = "/orders/{key}" }
        fields = { sku = { path = ".guid", map = "sku" }, city = { path = ".from", map = "cities" } }
"#;

#[tokio::test]
async fn a_new_map_is_loaded_from_an_old_stream_and_a_query_follows_its_table() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let file = format!("sqlite:{}?mode=rwc", bus.directory().join("wms.db").display());
    let mut wms = sqlx::SqliteConnection::connect(&file).await?;
    for sql in [
        "CREATE TABLE products (guid TEXT PRIMARY KEY, sku TEXT)",
        "INSERT INTO products VALUES ('g-1', 'Ж-1'), ('g-2', 'Ж-2')",
        "CREATE TABLE warehouses (code INTEGER PRIMARY KEY, city TEXT)",
        "INSERT INTO warehouses VALUES (1, 'Тула')",
    ] {
        sqlx::query(sql).execute(&mut wms).await?;
    }
    bus.routes(&old_stream(&bus, &receiver, ""))?;
    bus.start().await?;
    let mut at = Setting { bus, receiver };
    at.metric(r#"bus_messages_settled_total{outcome="delivered",route="products-to-shop"} 2"#).await?;
    at.bus.terminate(LIMIT).await?;

    at.bus.routes(&old_stream(&at.bus, &at.receiver, NEW_MAPS))?;
    at.bus.start().await?;
    at.push("orders", r#"{"id":1,"guid":"g-2","from":1}"#, "").await?;
    at.metric(r#"bus_messages_waiting{route="orders-to-shop"} 1"#).await?;
    let loaded = at.bus.run(&["load", "products", "--to", "map.sku"]).await?;
    ensure!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    at.holds(1, r#"{"sku":"Ж-2","city":"Тула"}"#).await?;

    sqlx::query("UPDATE warehouses SET city = 'Тверь'").execute(&mut wms).await?;
    let mut version = 0;
    eventually("the new city", LIMIT, || {
        version += 1;
        let body = format!(r#"{{"id":2,"guid":"g-1","from":1,"v":{version}}}"#);
        let at = &at;
        async move {
            at.push("orders", &body, "").await?;
            let expected = r#"{"sku":"Ж-1","city":"Тверь"}"#;
            Ok::<_, anyhow::Error>(at.receiver.ledger()?.applied().any(|entry| entry.body == expected).then_some(()))
        }
    })
    .await?;
    // A query that fails leaves the map as it was, and is told.
    sqlx::query("DROP TABLE warehouses").execute(&mut wms).await?;
    at.metric(r#"bus_incident_open{kind="map-stale",subject="map.cities"} 1"#).await?;
    at.push("orders", r#"{"id":3,"guid":"g-1","from":1}"#, "").await?;
    at.holds(3, r#"{"sku":"Ж-1","city":"Тверь"}"#).await
}

#[tokio::test]
async fn a_reload_takes_over_maps_that_are_read_and_leaves_kept_ones_alone() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let file = format!("sqlite:{}?mode=rwc", bus.directory().join("wms.db").display());
    let mut wms = sqlx::SqliteConnection::connect(&file).await?;
    for sql in [
        "CREATE TABLE products (guid TEXT PRIMARY KEY, sku TEXT)",
        "INSERT INTO products VALUES ('g-1', 'Ж-1')",
        "CREATE TABLE warehouses (code INTEGER PRIMARY KEY, city TEXT)",
        "INSERT INTO warehouses VALUES (1, 'Тула')",
    ] {
        sqlx::query(sql).execute(&mut wms).await?;
    }
    bus.routes(&old_stream(&bus, &receiver, NEW_MAPS))?;
    bus.start().await?;
    let at = Setting { bus, receiver };
    at.push("orders", r#"{"id":1,"guid":"g-1","from":1}"#, "").await?;
    at.holds(1, r#"{"sku":"Ж-1","city":"Тула"}"#).await?;
    // From here on the table could not be read again.
    sqlx::query("DROP TABLE warehouses").execute(&mut wms).await?;
    at.metric(r#"bus_incident_open{kind="map-stale",subject="map.cities"} 1"#).await?;

    let reload = || async {
        let output = at.bus.run(&["reload", "--json"]).await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok::<_, anyhow::Error>((output.status.success(), text(&output.stdout) + &text(&output.stderr)))
    };
    for number in 2..4 {
        // The route starts anew, the map it uses goes on; nothing but comments is no change.
        let field = format!("fields = {{ n{number} = \".id\",");
        let maps = NEW_MAPS.replace("fields = {", &field);
        at.bus.routes(&old_stream(&at.bus, &at.receiver, &maps))?;
        let (done, words) = reload().await?;
        ensure!(done && words.contains("route orders-to-shop") && !words.contains("map."), "{words}");
        at.bus.routes(&old_stream(&at.bus, &at.receiver, &format!("# {number}\n{maps}")))?;
        let (done, words) = reload().await?;
        ensure!(done && !words.contains("route"), "{words}");
        // The map that is kept from a stream follows it.
        let update = format!("UPDATE products SET sku = 'Ж-{number}'");
        sqlx::query(sqlx::AssertSqlSafe(update)).execute(&mut wms).await?;
        at.metric(&format!(r#"bus_messages_settled_total{{outcome="delivered",route="map.sku"}} {number}"#)).await?;
        at.push("orders", &format!(r#"{{"id":{number},"guid":"g-1","from":1}}"#), "").await?;
        at.holds(number, &format!(r#"{{"n{number}":{number},"sku":"Ж-{number}","city":"Тула"}}"#)).await?;
    }

    // A map that is read from a database may be another one: whoever asks it starts anew, and waits until it was read.
    sqlx::query("CREATE TABLE shops (code INTEGER PRIMARY KEY, city TEXT)").execute(&mut wms).await?;
    sqlx::query("INSERT INTO shops VALUES (1, 'Казань')").execute(&mut wms).await?;
    let other = NEW_MAPS.replace("FROM warehouses", "FROM shops").replace("{ default = \"?\" }", "\"pass\"");
    at.bus.routes(&old_stream(&at.bus, &at.receiver, &other))?;
    let (done, words) = reload().await?;
    ensure!(done && words.contains("route orders-to-shop") && !words.contains("products-to-shop"), "{words}");
    at.push("orders", r#"{"id":8,"guid":"g-1","from":1}"#, "").await?;
    at.holds(8, r#"{"sku":"Ж-3","city":"Казань"}"#).await?;
    at.push("orders", r#"{"id":9,"guid":"g-1","from":2}"#, "").await?;
    at.holds(9, r#"{"sku":"Ж-3","city":2}"#).await?;
    // And one whose values stand in the file.
    let query = "from = \"wms\"\n        query = \"SELECT code AS \\\"key\\\", city AS \\\"value\\\" FROM shops\"\n        schedule = \"500ms\"";
    let inline = other.replace(query, "values = { 1 = \"Омск\" }");
    ensure!(inline != other, "{other}");
    at.bus.routes(&old_stream(&at.bus, &at.receiver, &inline))?;
    let (done, words) = reload().await?;
    ensure!(done, "{words}");
    at.push("orders", r#"{"id":10,"guid":"g-1","from":1}"#, "").await?;
    at.holds(10, r#"{"sku":"Ж-3","city":"Омск"}"#).await?;

    // Nothing but a value is another one.
    let inline = inline.replace("Омск", "Томск");
    at.bus.routes(&old_stream(&at.bus, &at.receiver, &inline))?;
    let (done, words) = reload().await?;
    ensure!(done && words.contains("route orders-to-shop"), "{words}");
    at.push("orders", r#"{"id":12,"guid":"g-1","from":1}"#, "").await?;
    at.holds(12, r#"{"sku":"Ж-3","city":"Томск"}"#).await?;

    // One that is kept from a stream has a place of its own.
    let kept = inline.replace("value = \".sku\"", "value = \".guid\"");
    at.bus.routes(&old_stream(&at.bus, &at.receiver, &kept))?;
    let (done, words) = reload().await?;
    ensure!(!done && words.contains("map `sku` cannot change while the bus runs"), "{words}");
    at.push("orders", r#"{"id":11,"guid":"g-1","from":1}"#, "").await?;
    at.holds(11, r#"{"sku":"Ж-3","city":"Томск"}"#).await
}
