//! "One order did not arrive: find out why": a pause, a row that nobody can read, a record that never comes, what people did.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(30);

/// Another route, which does not wait for long.
const IMPATIENT: &str = r#"
            [routes.orders-impatient]
            stream = "orders"
            to = "shop"
            send = { method = "PUT", path = "/impatient/{key}" }
            requires = { stream = "clients", keys = ".client", within = "1s" }
"#;

struct Shop {
    bus: Bus,
    receiver: Receiver,
}

impl Shop {
    async fn start(rules: Vec<Rule>, more: &str) -> Result<Self> {
        let receiver = Receiver::start(&Script { rules, ..Script::default() }).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        bus.env("USER", "anna");
        let (listen, url) = (bus.listen(), receiver.url());
        bus.routes(&format!(
            r#"
            [bus]
            listen = "{listen}"
            state = "bus.db"
            timezone = "Asia/Vladivostok"
            [systems.base]
            kind = "sql"
            url = "sqlite:base.db"
            [systems.shop]
            kind = "http"
            url = "{url}"
            timeout = "2s"
            [streams.orders]
            from = "base"
            query = "SELECT id, number, total, client, version FROM orders WHERE version >= :cursor ORDER BY version"
            key = "id"
            label = "number"
            schedule = "100ms"
            changes = {{ cursor = "version" }}
            [streams.clients]
            listen = {{ path = "/in/clients", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            label = "name"
            [routes.orders-to-shop]
            stream = "orders"
            to = "shop"
            when = '.total != 0'
            send = {{ method = "PUT", path = "/orders/{{key}}" }}
            requires = {{ stream = "clients", keys = ".client", within = "1h" }}
            [routes.clients-to-shop]
            stream = "clients"
            to = "shop"
            transform = '. = {{ "name": upcase!(.name) }}'
            send = {{ method = "PUT", path = "/clients/{{key}}" }}
            {more}
            "#
        ))?;
        let mut shop = Self { bus, receiver };
        shop.sql(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, number TEXT, total NUMERIC, client TEXT, version INTEGER)",
        )
        .await?;
        shop.bus.start().await?;
        shop.bus.pushed("clients", r#"{"id":"c1","name":"Анна"}"#).await?;
        Ok(shop)
    }

    async fn sql(&self, statement: &str) -> Result<()> {
        let url = format!("sqlite:{}?mode=rwc", self.bus.directory().join("base.db").display());
        let mut database = sqlx::SqliteConnection::connect(&url).await?;
        sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut database).await?;
        Ok(database.close().await?)
    }

    async fn order(&self, id: u32, total: &str, client: &str) -> Result<()> {
        self.sql(&format!("INSERT INTO orders VALUES ({id}, 'УТ-{id}', {total}, '{client}', {id})")).await
    }

    async fn succeeds(&self, arguments: &[&str]) -> Result<String> {
        let (code, out, err) = self.bus.says(arguments).await?;
        ensure!(code == 0, "{arguments:?}: {code} {out} {err}");
        Ok(out)
    }

    /// What `bus where` says of the word once it says this, as one line; no time of another clock is in it.
    async fn says(&self, word: &str, part: &str) -> Result<String> {
        eventually(&format!("{word} to say {part:?}"), LIMIT, || async {
            let (_, out, _) = self.bus.says(&["where", word]).await?;
            let words: Vec<&str> = out.split_whitespace().filter(|word| *word != "│").collect();
            let utc =
                |word: &&&str| word.contains('T') && word.contains("Z") && word.contains(':') && word.contains("-");
            if let Some(utc) = words.iter().find(utc) {
                anyhow::bail!("{utc} is of another clock: {out}");
            }
            let line = words.join(" ");
            Ok(line.contains(part).then_some(line))
        })
        .await
    }
}

fn refusing(path: &str) -> Rule {
    Rule { path: Some(path.to_owned()), ..Rule::always(Answer::Status { code: 422, retry_after: None }) }
}

fn contains(story: &str, parts: &[&str]) -> Result<()> {
    for part in parts {
        ensure!(story.contains(part), "{part:?} is missing in {story}");
    }
    Ok(())
}

#[tokio::test]
async fn a_pause_is_told_with_who_ordered_it_and_what_ends_it() -> Result<()> {
    let shop = Shop::start(Vec::new(), "").await?;
    shop.succeeds(&["pause", "system", "shop", "--why", "инвентаризация"]).await?;
    shop.order(1, "5", "c1").await?;
    let story = shop.says("УТ-1", "system shop is paused by anna@").await?;
    contains(&story, &[": инвентаризация; to go on: bus resume system shop"])?;
    ensure!(!story.contains("profile"), "{story}");
    shop.succeeds(&["resume", "system", "shop"]).await?;
    shop.says("УТ-1", "orders-to-shop: delivered").await?;

    shop.succeeds(&["pause", "route", "orders-to-shop", "--why", "проверка"]).await?;
    shop.order(2, "5", "c1").await?;
    let story = shop.says("УТ-2", "route orders-to-shop is paused by anna@").await?;
    contains(&story, &[": проверка; to go on: bus resume route orders-to-shop"])?;
    shop.succeeds(&["resume", "route", "orders-to-shop"]).await?;
    shop.says("УТ-2", "orders-to-shop: delivered").await?;

    shop.succeeds(&["pause", "feed", "orders", "--why", "переезд"]).await?;
    shop.order(3, "5", "c1").await?;
    let story = shop.says("УТ-3", "feed orders is paused by anna@").await?;
    contains(
        &story,
        &["nothing is known under", ": переезд; to go on: bus resume feed orders", "feed clients has read at"],
    )?;
    // Known already, and its next version is not read.
    shop.says("УТ-2", "feed orders is paused by anna@").await?;
    shop.succeeds(&["cursor", "rewind", "orders", "--to", "1"]).await?;
    shop.succeeds(&["resume", "feed", "orders"]).await?;
    shop.says("УТ-3", "orders-to-shop: delivered").await?;
    shop.says("УТ-4", "a person moved its position at 20").await?;
    Ok(())
}

#[tokio::test]
async fn a_row_that_nobody_can_read_is_found_by_what_it_is_called() -> Result<()> {
    let shop = Shop::start(Vec::new(), "").await?;
    shop.order(163, "'сто'", "c1").await?;
    for word in ["УТ-163", "163"] {
        let story = shop.says(word, "could not be read: dead letter 1").await?;
        contains(&story, &["УТ-163 stream orders, key 163", "column \"total\"", "bus dead show 1"])?;
        ensure!(!story.contains("nothing is known") && !story.contains("сто"), "{story}");
    }
    contains(&shop.succeeds(&["dead", "show", "1"]).await?, &["\"total\":\"сто\"", "УТ-163"])?;
    contains(&shop.succeeds(&["where", "--state", "dead"]).await?, &["dead letter 1"])?;
    let log = shop.bus.log().context("a log")?;
    ensure!(log.find(|line| line.contains("сто").then_some(())).is_none(), "a value is in the log");
    // Zero is filtered, and the filter is told.
    shop.order(164, "0", "c1").await?;
    shop.says("УТ-164", "the route's filter does not want it: when = .total != 0").await?;
    Ok(())
}

#[tokio::test]
async fn a_record_that_never_comes_is_named_with_its_key_and_its_time() -> Result<()> {
    let shop = Shop::start(Vec::new(), IMPATIENT).await?;
    shop.order(1, "5", "нет-такого").await?;
    let held = "waits for clients нет-такого to be delivered by clients-to-shop: the bus has never read it (until 20";
    contains(&shop.says("УТ-1", held).await?, &["looked at again 20"])?;
    let late = "clients \"нет-такого\" was not delivered to shop within 1 s (since 20";
    contains(&shop.says("УТ-1", late).await?, &["became a dead letter (requires)", "the bus has never read it"])?;
    contains(&shop.succeeds(&["dead", "list"]).await?, &[late])?;
    let log = shop.bus.log().context("a log")?;
    ensure!(log.find(|line| line.contains("нет-такого").then_some(())).is_none(), "a key is in the log");
    ensure!(!shop.succeeds(&["incidents"]).await?.contains("нет-такого"), "a key is in an incident");

    // A program that fails names function and type, and quotes nothing.
    shop.bus.pushed("clients", r#"{"id":"c2","name":null,"tel":"секрет"}"#).await?;
    let story = shop.says("c2", "upcase: expected string, got null, in line 1 of the program").await?;
    ensure!(!story.contains("секрет"), "{story}");
    Ok(())
}

#[tokio::test]
async fn what_people_did_stands_in_the_story() -> Result<()> {
    let shop = Shop::start(vec![refusing("/orders/7"), refusing("/clients/evil")], "").await?;
    shop.order(1, "5", "c1").await?;
    shop.says("УТ-1", "orders-to-shop: delivered").await?;
    shop.succeeds(&["resend", "orders-to-shop", "--key", "1"]).await?;
    let story = shop.says("УТ-1", "sent again: bus resend by anna@").await?;
    ensure!(!story.contains("2 times"), "{story}");

    shop.order(7, "5", "c1").await?;
    shop.says("УТ-7", "not accepted: dead letter").await?;
    let id = shop.succeeds(&["dead", "list", "--key", "УТ-7"]).await?;
    let id = id.split_whitespace().next().context("a number")?.to_owned();
    // It is refused again: the command has only put it in line.
    let said = shop.succeeds(&["dead", "replay", &id]).await?;
    contains(&said, &["put in line again as УТ-7 on route orders-to-shop; look: bus where УТ-7"])?;
    let body = shop.bus.directory().join("body.json");
    std::fs::write(&body, r#"{"id":7,"total":"5.00"}"#)?;
    let again = eventually("the letter to be back", LIMIT, || async {
        let list = shop.succeeds(&["dead", "list", "--key", "УТ-7"]).await?;
        let row = list.lines().find(|line| line.contains("replayed 1 times")).map(str::to_owned);
        Ok::<_, anyhow::Error>(row.and_then(|row| row.split_whitespace().next().map(str::to_owned)))
    })
    .await?;
    shop.receiver.set_script(&Script { rules: vec![refusing("/clients/evil")], ..Script::default() }).await?;
    shop.succeeds(&["dead", "edit", &again, "--body", body.to_str().context("a path")?, "--replay"]).await?;
    let story = shop.says("УТ-7", "orders-to-shop: delivered").await?;
    let places: Vec<_> =
        ["replayed by anna@", "edited by anna@", "accepted"].iter().map(|part| story.rfind(part)).collect();
    ensure!(places.iter().all(Option::is_some) && places[1] < places[2], "{story}");
    ensure!(story.matches("replayed by anna@").count() == 2, "{story}");

    // A label steers no terminal, in no list.
    shop.bus.pushed("clients", r#"{"id":"evil","name":"Зло\u001b[2J\r\nстрока"}"#).await?;
    shop.says("evil", "not accepted: dead letter").await?;
    let list = shop.succeeds(&["dead", "list"]).await?;
    let id = list.split_whitespace().next().context("a number")?.to_owned();
    for said in [list, shop.succeeds(&["dead", "show", &id]).await?, shop.bus.says(&["where", "Зло"]).await?.1] {
        ensure!(!said.contains(['\x1b', '\r']), "{said:?}");
        contains(&said, &["Зло\u{fffd}[2J\u{fffd}\u{fffd}строка"])?;
    }
    Ok(())
}
