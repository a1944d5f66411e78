//! `bus where` through the real program: stories over both brokers, before and after a kill, and what is masked.

#[path = "whereabouts/present.rs"]
mod present;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::RabbitMq;
use serde_json::{Value, json};
use sqlx::Connection;

const LIMIT: Duration = Duration::from_secs(30);
/// Nobody may find it anywhere.
const PHONE: &str = "79161234567";

fn routes(bus: &Bus, receiver: &Receiver, broker: &str) -> String {
    format!(
        r#"
        [bus]
        listen = "{}"
        broker = {broker}
        state = "bus.db"
        timezone = "Europe/Moscow"
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams."заказы"]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "ref"
        label = "номер"
        archive = "7d"
        mask = [".телефон"]
        [routes."заказы-в-магазин"]
        stream = "заказы"
        to = "shop"
        when = '.active != false'
        send = {{ method = "PUT", path = "/orders/{{key}}" }}
        retry = {{ attempts = 5, first = "50ms", max = "200ms" }}
        [routes."заказы-на-склад"]
        stream = "заказы"
        to = "shop"
        send = {{ method = "PUT", path = "/store/{{key}}" }}
        retry = {{ attempts = 5, first = "10m", max = "10m" }}
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
    async fn start(rules: Vec<Rule>, rabbitmq: Option<&str>) -> Result<Self> {
        let receiver = Receiver::start(&Script { rules, ..Script::default() }).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        bus.env("RABBITMQ", rabbitmq.unwrap_or_default());
        let broker = if rabbitmq.is_some() { r#"{ env = "RABBITMQ" }"# } else { r#""embedded""# };
        bus.routes(&routes(&bus, &receiver, broker))?;
        bus.start().await?;
        Ok(Self { bus, receiver })
    }

    async fn push(&self, record: Value) -> Result<()> {
        self.bus.pushed("orders", &record.to_string()).await
    }

    async fn tell(&self, arguments: &[&str]) -> Result<(i32, String)> {
        let output = self.bus.run(&[&["where"], arguments].concat()).await?;
        let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
        Ok((output.status.code().context("killed")?, text))
    }

    async fn json(&self, arguments: &[&str]) -> Result<Value> {
        let (_, text) = self.tell(&[arguments, &["--json"]].concat()).await?;
        serde_json::from_str(&text).with_context(|| text)
    }

    /// Waits until the newest version of the word is in these states, by route.
    async fn settles(&self, word: &str, states: [&str; 2]) -> Result<Value> {
        eventually(&format!("{word} is {states:?}"), LIMIT, || async {
            let told = self.json(&[word]).await?;
            let last = told["objects"][0]["versions"].as_array().and_then(|versions| versions.last().cloned());
            let found = last.map(|last| [0, 1].map(|at| last["routes"][at]["state"].as_str().unwrap_or("").to_owned()));
            Ok::<_, anyhow::Error>((found.is_some_and(|found| found == states)).then_some(told))
        })
        .await
    }
}

fn refusing(path: &str, key: &str, times: Option<u32>, code: u16) -> Rule {
    let path = Some(path.to_owned());
    Rule { path, times, ..Rule::keys(&[key], Answer::Status { code, retry_after: None }) }
}

/// One object with a rejected, a delivered and a filtered version; one that was retried; one that waits.
async fn stories(rabbitmq: Option<&str>) -> Result<()> {
    let rules = vec![
        refusing("/orders/", "r2", Some(2), 500),
        refusing("/store/", "r3", None, 500),
        // The first version of it passes, the second is refused, the third passes.
        Rule { path: Some("/orders/r1".into()), times: Some(1), ..Rule::always(Answer::Slow { ms: 1 }) },
        Rule {
            path: Some("/orders/r1".into()),
            times: Some(1),
            ..Rule::always(Answer::Status { code: 422, retry_after: None })
        },
    ];
    let mut setting = Setting::start(rules, rabbitmq).await?;
    let order = |sum: u32, phone: &str, active: bool| json!({"ref": "r1", "номер": "УТ-000123", "сумма": sum, "телефон": phone, "active": active});
    setting.push(order(100, PHONE, true)).await?;
    setting.settles("УТ-000123", ["delivered", "delivered"]).await?;
    setting.push(order(120, "79160000000", true)).await?;
    setting.settles("УТ-000123", ["dead", "delivered"]).await?;
    setting.push(order(130, "79160000000", true)).await?;
    setting.settles("УТ-000123", ["delivered", "delivered"]).await?;
    setting.push(order(130, "79160000000", false)).await?;
    let told = setting.settles("УТ-000123", ["skipped", "delivered"]).await?;
    check_story(&told)?;

    setting.push(json!({"ref": "r2", "номер": "УТ-000124"})).await?;
    let told = setting.settles("УТ-000124", ["delivered", "delivered"]).await?;
    let steps = told["objects"][0]["versions"][0]["routes"][0]["steps"].as_array().context("steps")?.clone();
    let kinds: Vec<_> = steps.iter().map(|step| step["word"].as_str().unwrap_or("")).collect();
    ensure!(kinds.first() == Some(&"busy") && kinds.contains(&"retry") && kinds.last() == Some(&"ok"), "{kinds:?}");

    setting.push(json!({"ref": "r3", "номер": "УТ-000125"})).await?;
    let told = setting.settles("УТ-000125", ["delivered", "waiting"]).await?;
    let waits = told["objects"][0]["versions"][0]["routes"][1]["waits_for"][0].as_str().context("waits")?.to_owned();
    ensure!(waits.starts_with("not tried before 2"), "{waits}");
    let found = setting.json(&["--state", "waiting"]).await?;
    ensure!(
        found["objects"].as_array().is_some_and(|all| all.len() == 1) && found["objects"][0]["key"] == "r3",
        "{found}"
    );
    let found = setting.json(&["--state", "dead", "--stream", "заказы", "--since", "1h"]).await?;
    ensure!(found["objects"][0]["key"] == "r1", "{found}");
    ensure!(setting.json(&["r1", "--until", "1h"]).await?["objects"] == json!([]), "nothing was read an hour ago");

    check_words(&setting).await?;
    let (before, dead) = (setting.json(&["УТ-000123"]).await?, setting.json(&["--state", "dead"]).await?);
    setting.bus.kill9();
    let offline = setting.json(&["УТ-000123"]).await?;
    ensure!(offline["objects"] == before["objects"], "the story is the same without the bus: {offline}");
    setting.bus.start().await?;
    ensure!(setting.json(&["УТ-000123"]).await?["objects"] == before["objects"], "and after a kill");
    ensure!(setting.json(&["--state", "dead"]).await?["objects"] == dead["objects"], "also by state");
    Ok(())
}

fn check_story(told: &Value) -> Result<()> {
    let versions = told["objects"][0]["versions"].as_array().context("versions")?;
    let states: Vec<_> = versions.iter().map(|version| version["routes"][0]["state"].clone()).collect();
    ensure!(states == ["delivered", "dead", "delivered", "skipped"], "{states:?}");
    for version in versions {
        ensure!(version["published_at"].is_string() && version["feed"] == "заказы", "{version}");
    }
    let changes = versions[1]["changes"].as_array().context("changes")?;
    let sum = json!({"field": "сумма", "what": "changed", "before": "100", "after": "120", "masked": false});
    let phone = json!({"field": "телефон", "what": "changed", "before": null, "after": null, "masked": true});
    ensure!(changes.len() == 2 && changes.contains(&sum) && changes.contains(&phone), "{changes:?}");
    let rejected = &versions[1]["routes"][0];
    ensure!(rejected["steps"][0]["status"] == 422 && rejected["steps"][0]["word"] == "rejected", "{rejected}");
    ensure!(rejected["remedy"].as_str().is_some_and(|remedy| remedy.contains("bus dead show 1")), "{rejected}");
    let delivered = &versions[0]["routes"][0]["steps"][0];
    ensure!(delivered["word"] == "ok" && delivered["status"] == 201 && delivered["took_ms"].is_u64(), "{delivered}");
    Ok(())
}

async fn check_words(setting: &Setting) -> Result<()> {
    let (code, text) = setting.tell(&["УТ-000123"]).await?;
    ensure!(code == 0 && !text.contains('\x1b') && !text.contains(PHONE), "{text}");
    let words = text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    for part in [
        "УТ-000123 stream заказы, key r1",
        "├─",
        "first seen",
        "сумма: 100 → 120",
        "телефон: changed, masked",
        "заказы-в-магазин: not accepted: dead letter 1",
        "bus dead replay 1",
        "rejected (422)",
        "accepted (200) in",
        "not sent: it no longer matches the filter",
    ] {
        ensure!(words.contains(part), "{part} is missing in\n{text}");
    }
    let (code, text) = setting.tell(&["ут-000126"]).await?;
    ensure!(code == 69 && text.contains("near it: ") && text.contains("УТ-000125"), "{text}");
    ensure!(text.contains("the journal is kept for 30d"), "{text}");
    // A key is found as a label is.
    ensure!(setting.tell(&["r2"]).await?.1.contains("УТ-000124"), "by key");
    Ok(())
}

#[tokio::test]
async fn stories_over_the_embedded_broker() -> Result<()> {
    stories(None).await
}

#[tokio::test]
async fn stories_over_rabbitmq() -> Result<()> {
    let host = RabbitMq::shared().await?.vhost().await?;
    stories(Some(&host.url)).await
}

#[tokio::test]
async fn a_paused_route_is_named_with_what_to_do() -> Result<()> {
    let setting = Setting::start(vec![refusing("/orders/", "r1", None, 401)], None).await?;
    setting.push(json!({"ref": "r1", "номер": "УТ-1"})).await?;
    let told = eventually("the pause is told", LIMIT, || async {
        let text = setting.tell(&["УТ-1"]).await?.1;
        Ok::<_, anyhow::Error>(text.contains("the route is paused").then_some(text))
    })
    .await?;
    let words = told.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
    ensure!(words.contains("bus resume заказы-в-магазин") && words.contains("on its way: tried"), "{told}");
    setting.receiver.set_script(&Script::default()).await?;
    setting.bus.run(&["resume", "заказы-в-магазин"]).await?;
    setting.settles("УТ-1", ["delivered", "delivered"]).await?;
    Ok(())
}

#[tokio::test]
async fn once_it_is_delivered_no_masked_value_is_left_in_the_state() -> Result<()> {
    let mut setting = Setting::start(vec![refusing("/orders/", "r1", Some(1), 500)], None).await?;
    setting.push(json!({"ref": "r1", "номер": "УТ-1", "телефон": PHONE, "город": "Казань-на-месте"})).await?;
    setting.settles("УТ-1", ["delivered", "delivered"]).await?;
    let told = setting.json(&["УТ-1"]).await?.to_string();
    ensure!(!told.contains(PHONE), "{told}");
    setting.bus.terminate(LIMIT).await?;
    let path = setting.bus.directory().join("bus.db");
    // What was deleted lies about in a database until its pages are used again.
    let mut database = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await?;
    sqlx::query("VACUUM").execute(&mut database).await?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut database).await?;
    database.close().await?;
    let bytes = std::fs::read(&path)?;
    let holds = |text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    ensure!(holds("УТ-1") && holds("заказы"), "this is the state");
    ensure!(!holds(PHONE), "a masked value is in the state");
    Ok(())
}
