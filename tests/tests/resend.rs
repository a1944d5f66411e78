//! Sending again what a route delivered in a time, and what was pushed: from the archive. Letters that may be passed on.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

struct Setting {
    bus: Bus,
    receiver: Receiver,
    broker: &'static str,
}

impl Setting {
    async fn start(rabbit: Option<String>) -> Result<Self> {
        let receiver = Receiver::start(&Script::default()).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        let broker = bus.on(rabbit);
        let setting = Self { bus, receiver, broker };
        setting.routes("")?;
        Ok(setting)
    }

    fn routes(&self, more: &str) -> Result<()> {
        let (listen, url, broker) = (self.bus.listen(), self.receiver.url(), self.broker);
        self.bus.routes(&format!(
            r#"
            [bus]
            listen = "{listen}"
            {broker}
            [systems.shop]
            kind = "http"
            url = "{url}"
            timeout = "2s"
            [streams.users]
            listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            label = "name"
            archive = "30d"
            [streams.clients]
            listen = {{ path = "/in/clients", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            archive = "30d"
            mask = [".phone"]
            [routes.users-to-shop]
            stream = "users"
            to = "shop"
            send = {{ method = "PUT", path = "/users/{{key}}" }}
            [routes.clients-to-shop]
            stream = "clients"
            to = "shop"
            send = {{ method = "PUT", path = "/clients/{{key}}" }}
            {more}
            "#
        ))
    }

    async fn user(&self, id: u32, version: u32) -> Result<()> {
        self.bus.pushed("users", &format!(r#"{{"id":{id},"name":"имя {id}","v":{version}}}"#)).await
    }

    async fn settled(&self, route: &str, count: u32) -> Result<()> {
        let line = format!(r#"bus_messages_settled_total{{outcome="delivered",route="{route}"}} {count}"#);
        eventually(&line, LIMIT, || async {
            Ok::<_, anyhow::Error>(self.bus.metrics().await?.contains(&line).then_some(()))
        })
        .await
    }

    /// Path and body of what was applied after the first so many.
    fn applied(&self, after: usize, under: &str) -> Result<Vec<String>> {
        let ledger = self.receiver.ledger()?;
        let entries = ledger.applied().filter(|entry| entry.path.starts_with(under)).skip(after);
        let mut applied: Vec<_> = entries.map(|entry| format!("{} {}", entry.path, entry.body)).collect();
        applied.sort();
        Ok(applied)
    }

    async fn ended(&self, task: usize) -> Result<Value> {
        eventually("the task to end", LIMIT, || async {
            let (_, out, _) = self.bus.says(&["tasks", "--json"]).await?;
            let tasks: Vec<Value> = serde_json::from_str(&out)?;
            let row = tasks.get(task).cloned().context("the task")?;
            Ok::<_, anyhow::Error>((!row["ended"].is_null()).then_some(row))
        })
        .await
    }

    async fn succeeds(&self, arguments: &[&str]) -> Result<String> {
        let (code, out, err) = self.bus.says(arguments).await?;
        ensure!(code == 0, "{arguments:?}: {code} {out} {err}");
        Ok(out)
    }
}

fn users(ids: std::ops::RangeInclusive<u32>, under: &str) -> Vec<String> {
    let version = |id| if id == 3 { 2 } else { 1 };
    ids.map(|id| format!(r#"{under}/{id} {{"id":{id},"name":"имя {id}","v":{}}}"#, version(id))).collect()
}

async fn what_was_pushed_is_sent_again(rabbit: Option<String>) -> Result<()> {
    let mut at = Setting::start(rabbit).await?;
    at.bus.start().await?;
    for id in 1..=5 {
        at.user(id, 1).await?;
    }
    at.settled("users-to-shop", 5).await?;
    at.user(3, 2).await?;
    at.settled("users-to-shop", 6).await?;

    // The process ends while the archive is read: it is read anew, and each record goes once, as it was published last.
    at.bus.kill9();
    at.bus.crash_at("task.archived:1");
    at.bus.start().await?;
    let (code, _, err) = at.bus.says(&["resend", "users-to-shop", "--all"]).await?;
    ensure!(code == 0, "{err}");
    at.bus.wait(LIMIT).await?;
    at.bus.crash_at("");
    at.bus.start().await?;
    let task = at.ended(0).await?;
    assert_eq!((&task["stage"], &task["read"], &task["kept"]), (&json!("done"), &json!(6), &json!(5)), "{task}");
    assert_eq!(at.applied(6, "/users/")?, users(1..=5, "/users"));

    // Only what was delivered since then: the latest of it.
    let now = chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    at.user(6, 1).await?;
    at.settled("users-to-shop", 6).await?;
    let out = at.succeeds(&["resend", "users-to-shop", "--since", &now]).await?;
    ensure!(out.contains("(1 records)"), "{out}");
    assert_eq!(at.ended(1).await?["kept"], 1);
    assert_eq!(at.applied(12, "/users/")?, users(6..=6, "/users"));
    let (code, _, err) = at.bus.says(&["resend", "users-to-shop", "--until", "2020-01-01"]).await?;
    ensure!(code == 69 && err.contains("the journal knows nothing that users-to-shop delivered then"), "{code} {err}");

    // A new receiver gets what the archive holds.
    at.bus.terminate(LIMIT).await?;
    at.routes("[routes.new]\nstream = \"users\"\nto = \"shop\"\nsend = { method = \"PUT\", path = \"/new/{key}\" }")?;
    at.bus.start().await?;
    at.succeeds(&["load", "users", "--to", "new"]).await?;
    assert_eq!(at.ended(2).await?["stage"], "done");
    assert_eq!(at.applied(0, "/new/")?, users(1..=6, "/new"));

    // What is masked in the archive is not what was published.
    at.bus.pushed("clients", r#"{"id":1,"phone":"+79165550001"}"#).await?;
    at.settled("clients-to-shop", 1).await?;
    at.succeeds(&["resend", "clients-to-shop", "--all"]).await?;
    let task = at.ended(3).await?;
    ensure!(task["stage"] == "failed" && task["error"].to_string().contains("masked in the archive"), "{task}");
    assert_eq!(at.applied(1, "/clients/")?, Vec::<String>::new());
    Ok(())
}

bus_tests::over_both_brokers!(what_was_pushed_is_sent_again);

#[tokio::test]
async fn letters_are_passed_on_without_what_is_masked() -> Result<()> {
    let mut at = Setting::start(None).await?;
    let refuse = Rule::always(Answer::Status { code: 422, retry_after: None });
    at.receiver.set_script(&Script { rules: vec![refuse], ..Script::default() }).await?;
    at.bus.start().await?;
    at.bus.pushed("clients", r#"{"id":1,"phone":"+79165550001","sum":1.50}"#).await?;
    let export = |arguments: &'static [&'static str]| {
        let bus = &at.bus;
        eventually("a letter", LIMIT, move || async move {
            let (code, out, err) = bus.says(arguments).await?;
            ensure!(code == 0, "{err}");
            Ok::<_, anyhow::Error>((!out.is_empty()).then_some(out))
        })
    };
    let whole = export(&["dead", "export"]).await?;
    ensure!(whole.contains("+79165550001"), "{whole}");
    let masked = export(&["dead", "export", "--masked"]).await?;
    ensure!(!masked.contains("7916555") && masked.contains("1.50") && masked.contains("PUT"), "{masked}");
    let file = at.bus.directory().join("letters.jsonl");
    std::fs::write(&file, &masked)?;
    let (code, _, err) = at.bus.says(&["dead", "import", file.to_str().context("a path")?]).await?;
    ensure!(code == 69 && err.contains("exported with masks"), "{code} {err}");
    Ok(())
}
