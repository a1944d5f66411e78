//! Hot reload with the real program: files edited while messages flow, bad files, renamed and removed routes, embedded
//! and RabbitMQ.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::{RabbitMq, http_client};
use serde_json::{Value, json};
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(30);

/// What differs between the files of these tests.
#[derive(Clone)]
struct File {
    broker: Option<String>,
    /// Name, further options.
    first: Option<(&'static str, &'static str)>,
    second: &'static str,
    /// The stream and who reads it.
    stream: &'static str,
}

const STREAM: &str = r#"
    [streams.s]
    listen = { path = "/in/s", key = { env = "PUSH_KEY" } }
    key = "id"
"#;

const LABELLED: &str = r#"
    [streams.s]
    listen = { path = "/in/s", key = { env = "PUSH_KEY" } }
    key = "id"
    label = "v"
"#;

const SECOND: &str = "fields = { v = \".v\" }";

impl File {
    fn new() -> Self {
        Self { broker: None, first: Some(("первый", "fields = { v = \".v\" }")), second: SECOND, stream: STREAM }
    }

    fn first(&self, name: &'static str, options: &'static str) -> Self {
        Self { first: Some((name, options)), ..self.clone() }
    }

    fn write(&self, setting: &Setting) -> Result<()> {
        let broker = self.broker.as_ref().map_or("", |_| "broker = { env = \"BROKER_URL\" }");
        let first = self.first.map_or(String::new(), |(name, options)| {
            format!(
                "[routes.\"{name}\"]\nstream = \"s\"\nto = \"a\"\nsend = {{ method = \"PUT\", path = \"/a/{{key}}\" }}\n\
                 retry = {{ attempts = 1000, first = \"100ms\", max = \"200ms\" }}\n{options}\n"
            )
        });
        setting.bus.routes(&format!(
            "[bus]\nlisten = \"{}\"\nhold = \"1s\"\n{broker}\n\
             [systems.a]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"2s\"\n\
             [systems.b]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"2s\"\n\
             {}\n\
             {first}\
             [routes.second]\nstream = \"s\"\nto = \"b\"\nsend = {{ method = \"PUT\", path = \"/b/{{key}}\" }}\n{}\n",
            setting.bus.listen(),
            setting.a.url(),
            setting.b.url(),
            self.stream,
            self.second
        ))
    }
}

struct Setting {
    bus: Bus,
    a: Receiver,
    b: Receiver,
}

impl Setting {
    async fn new() -> Result<Self> {
        let (a, b) = (Receiver::start(&Script::default()).await?, Receiver::start(&Script::default()).await?);
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        Ok(Self { bus, a, b })
    }

    async fn start(file: &File) -> Result<Self> {
        let mut setting = Self::new().await?;
        if let Some(url) = &file.broker {
            setting.bus.env("BROKER_URL", url);
        }
        file.write(&setting)?;
        setting.bus.start().await?;
        Ok(setting)
    }

    /// Version `v` of keys `0..keys`.
    async fn push(&self, keys: u64, v: u64) -> Result<()> {
        let records: Vec<Value> = (0..keys).map(|id| json!({ "id": id, "v": v, "kind": "s" })).collect();
        let request = http_client().post(format!("{}/in/s", self.bus.url())).header("x-api-key", "push-secret");
        let answer = request.body(Value::from(records).to_string()).send().await?;
        ensure!(answer.status() == 204, "{} {}", answer.status(), answer.text().await?);
        Ok(())
    }

    async fn command(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        self.bus.says(arguments).await
    }

    async fn reload(&self) -> Result<Value> {
        let (code, out, err) = self.command(&["reload", "--json"]).await?;
        ensure!(code == 0, "{code}: {err}");
        Ok(serde_json::from_str(&out)?)
    }

    async fn status(&self) -> Result<Value> {
        self.bus.status().await
    }

    /// What the route holds, by its own status: queue, waiting.
    async fn holding(&self, route: &str) -> Result<u64> {
        let status = self.status().await?;
        let rows = status["routes"].as_array().context("routes")?;
        let row = rows.iter().find(|row| row["name"] == route).with_context(|| format!("no {route}: {status}"))?;
        Ok(row["queued"].as_u64().unwrap_or(0) + row["waiting"].as_u64().unwrap_or(0))
    }

    async fn idle(&self, route: &str) -> Result<()> {
        eventually("nothing is left", LIMIT, || async {
            Ok::<_, anyhow::Error>((self.holding(route).await? == 0).then_some(()))
        })
        .await
    }
}

/// The last version of each key, after checking that none ever went back.
fn versions(receiver: &Receiver, field: &str) -> Result<BTreeMap<String, u64>> {
    let mut last = BTreeMap::new();
    for entry in receiver.ledger()?.applied() {
        let body: Value = serde_json::from_str(&entry.body)?;
        let v = body[field].as_u64().or_else(|| body["v"].as_u64()).context("a version")?;
        let before = last.insert(entry.key.clone(), v).unwrap_or(0);
        ensure!(v >= before, "key {} went from {before} back to {v}", entry.key);
    }
    Ok(last)
}

async fn all_at(receiver: &Receiver, field: &str, keys: usize, v: u64) -> Result<()> {
    eventually("every key has its last version", LIMIT, || async {
        let seen = versions(receiver, field)?;
        Ok::<_, anyhow::Error>((seen.len() == keys && seen.values().all(|seen| *seen == v)).then_some(()))
    })
    .await
}

#[tokio::test]
async fn an_edit_while_messages_flow_loses_nothing_and_leaves_the_others_alone() -> Result<()> {
    let file = File::new();
    let setting = Setting::start(&file).await?;
    let pushing = async {
        for v in 1..=40 {
            setting.push(25, v).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let editing = async {
        for fields in ["fields = { v = \".v\", w = \".v\" }", "when = '.v != 0'", "fields = { v = \".v\" }"] {
            file.first("первый", fields).write(&setting)?;
            let report = setting.reload().await?;
            ensure!(report["started"] == json!(["route первый"]), "only what changed: {report}");
            ensure!(report["ended"] == json!([]), "{report}");
        }
        Ok::<_, anyhow::Error>(())
    };
    tokio::try_join!(pushing, editing)?;
    all_at(&setting.a, "v", 25, 40).await?;
    all_at(&setting.b, "v", 25, 40).await?;
    let (_, dead, _) = setting.command(&["dead", "list", "--json"]).await?;
    assert_eq!(dead.trim(), "[]");
    let untouched = setting.reload().await?;
    assert_eq!((&untouched["started"], &untouched["ended"]), (&json!([]), &json!([])));
    Ok(())
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_says_why_everywhere() -> Result<()> {
    let file = File::new();
    let mut setting = Setting::start(&file).await?;
    file.first("первый", "fields = { v = \".v\" }\nwhen = '.v =='\nconcurency = 2").write(&setting)?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert_eq!(code, 78, "{err}");
    for part in ["BUS-C003", "BUS-C015", "concurrency", "2 mistakes", "nothing was changed"] {
        assert!(err.contains(part), "{part} is missing in: {err}");
    }
    setting.bus.hangup();
    // The mistakes do not keep people from asking the bus that runs.
    let status = eventually("the incident", LIMIT, || async {
        let status = setting.status().await?;
        Ok::<_, anyhow::Error>((status["incidents"][0]["kind"] == "config-refused").then_some(status))
    })
    .await?;
    let text = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    setting.bus.routes(&format!("{text}\n[routes.\"без скобки\"\n"))?;
    let (code, _, err) = setting.command(&["dead", "list"]).await?;
    assert!(code == 0 && err.contains("3 mistakes"), "{code} {err}");
    let message = status["incidents"][0]["message"].as_str().context("a message")?;
    assert!(message.contains("running the routes.toml of") && message.contains("has 2 mistakes"), "{message}");
    assert!(status["config"]["note"].as_str().is_some_and(|note| note.contains("2 mistakes")), "{status}");
    setting.push(3, 1).await?;
    all_at(&setting.a, "v", 3, 1).await?;

    // What cannot change while it runs is refused in words too, and nothing of such a file is taken over.
    let text = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    file.first("другой", SECOND).write(&setting)?;
    let renamed = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    setting.bus.routes(&renamed.replacen("hold", "state = \"other.db\"\nhold", 1))?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code == 78 && err.contains("`state` of [bus] cannot change"), "{code} {err} {text}");

    // It is asked where it listens, whatever the file says now.
    file.write(&setting)?;
    let text = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    let elsewhere = text.replace(&setting.bus.listen(), &format!("127.0.0.1:{}", bus_tests::ports::free()));
    assert_ne!(text, elsewhere);
    setting.bus.routes(&elsewhere)?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code == 78 && err.contains("`listen` of [bus] cannot change"), "{code} {err}");

    file.write(&setting)?;
    setting.reload().await?;
    let status = setting.status().await?;
    assert_eq!((&status["incidents"], &status["config"]["note"]), (&json!([]), &Value::Null));
    Ok(())
}

/// Renames a route that holds messages, removes one that does, on either broker.
async fn rename_and_removal(file: &File) -> Result<()> {
    let mut setting = Setting::start(file).await?;
    setting.push(5, 1).await?;
    all_at(&setting.a, "v", 5, 1).await?;
    let refuse = Rule::keys(&["3"], Answer::Status { code: 422, retry_after: None });
    let away = Rule::always(Answer::Status { code: 503, retry_after: None });
    setting.a.set_script(&Script { rules: vec![refuse.clone()], ..Script::default() }).await?;
    setting.push(5, 2).await?;
    eventually("a dead letter", LIMIT, || async {
        let (_, out, _) = setting.command(&["dead", "list", "--json", "--route", "первый"]).await?;
        Ok::<_, anyhow::Error>((out.trim() != "[]").then_some(()))
    })
    .await?;
    setting.a.set_script(&Script { rules: vec![refuse, away], ..Script::default() }).await?;
    for v in 3..=8 {
        setting.push(5, v).await?;
    }

    // Without the word that says whose place it keeps, a renamed route would lose all that.
    file.first("новый", SECOND).write(&setting)?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code == 78 && err.contains("was = \"первый\"") && err.contains(" dead letters"), "{code} {err}");

    file.first("новый", "was = \"первый\"\nfields = { v = \".v\" }").write(&setting)?;
    let report = setting.reload().await?;
    assert_eq!(report["renamed"], json!(["первый -> новый"]));
    assert_eq!((&report["started"], &report["ended"]), (&json!(["route новый"]), &json!(["route первый"])));
    let held = setting.holding("новый").await?;
    assert!(held >= 20, "queue and waiting came along: {held}");
    let (_, out, _) = setting.command(&["dead", "list", "--json", "--route", "новый"]).await?;
    let letters: Vec<Value> = serde_json::from_str(&out)?;
    assert!(!letters.is_empty(), "the dead letters came along");

    // Now the same over a start, with the file that has been running.
    setting.bus.kill9();
    setting.a.set_script(&Script::default()).await?;
    setting.bus.start().await?;
    all_at(&setting.a, "v", 5, 8).await?;
    setting.idle("новый").await?;
    // Nothing that the old name had delivered was sent again by the new one.
    let again = setting.a.ledger()?.applied().filter(|entry| entry.body == r#"{"v":1}"#).count();
    assert_eq!(again, 5);

    // Removed with a dead letter: refused, by a reload and by a start, until it is named.
    File { first: None, ..file.clone() }.write(&setting)?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code == 78 && err.contains("--drop-route новый"), "{code} {err}");
    let status = setting.bus.terminate(Duration::from_secs(20)).await?;
    assert!(status.success());
    let (code, _, err) = setting.command(&["run"]).await?;
    assert!(code == 78 && err.contains(" dead letters"), "{code} {err}");
    setting.bus.run_with(&["--drop-route", "новый"]);
    setting.bus.start().await?;
    let (_, out, _) = setting.command(&["dead", "list", "--json"]).await?;
    assert_eq!(out.trim(), "[]");

    // The name is free: a new route, whose queue begins now.
    file.first("новый", SECOND).write(&setting)?;
    setting.reload().await?;
    setting.push(5, 9).await?;
    all_at(&setting.a, "v", 5, 9).await?;
    all_at(&setting.b, "v", 5, 9).await?;
    Ok(())
}

#[tokio::test]
async fn a_renamed_route_keeps_its_place_and_a_removed_one_is_not_lost_silently() -> Result<()> {
    rename_and_removal(&File::new()).await
}

#[tokio::test]
async fn the_same_over_rabbitmq() -> Result<()> {
    let rabbitmq = RabbitMq::shared().await?;
    let vhost = rabbitmq.vhost().await?;
    rename_and_removal(&File { broker: Some(vhost.url.clone()), ..File::new() }).await
}

/// Another feed begins with another epoch. If that were lower than the fences and than what still waits, nothing that it
/// reads would ever be sent (R15).
#[tokio::test]
async fn a_feed_that_is_renamed_while_its_queue_is_full_loses_no_change() -> Result<()> {
    let file = File::new();
    let setting = Setting::start(&file).await?;
    for stream in [LABELLED, STREAM] {
        // The feed starts anew, which raises its epoch.
        File { stream, ..file.clone() }.write(&setting)?;
        assert_eq!(setting.reload().await?["started"], json!(["feed s"]));
    }
    setting.push(5, 1).await?;
    all_at(&setting.a, "v", 5, 1).await?;
    let away = Rule::always(Answer::Status { code: 503, retry_after: None });
    setting.a.set_script(&Script { rules: vec![away], ..Script::default() }).await?;
    setting.push(5, 2).await?;
    setting.push(5, 3).await?;

    let stream = r#"
        [feeds.till]
        listen = { path = "/in/s", key = { env = "PUSH_KEY" } }
        entity_column = "kind"
        [streams.s]
        from = "till"
        entity = "s"
        key = "id"
    "#;
    File { stream, ..file.clone() }.write(&setting)?;
    let report = setting.reload().await?;
    assert_eq!((&report["started"], &report["ended"]), (&json!(["feed till"]), &json!(["feed s"])));
    setting.push(5, 4).await?;
    setting.a.set_script(&Script::default()).await?;
    all_at(&setting.a, "v", 5, 4).await?;
    all_at(&setting.b, "v", 5, 4).await?;
    Ok(())
}

#[tokio::test]
async fn fifty_thousand_waiting_messages_do_not_hold_up_a_reload() -> Result<()> {
    let file = File::new();
    let setting = Setting::start(&file).await?;
    setting
        .a
        .set_script(&Script {
            rules: vec![Rule::always(Answer::Status { code: 503, retry_after: None })],
            ..Script::default()
        })
        .await?;
    for v in 1..=10 {
        setting.push(5000, v).await?;
    }
    assert!(setting.holding("первый").await? >= 50_000);
    file.first("новый", "was = \"первый\"\nfields = { v = \".v\", w = \".v\" }").write(&setting)?;
    let report = setting.reload().await?;
    let took = report["milliseconds"].as_u64().context("milliseconds")?;
    println!("50 000 waiting: {took} ms");
    // 5 s, and one attempt of 2 s.
    assert!(took < 7_000, "{took} ms");
    assert!(setting.holding("новый").await? >= 50_000);
    Ok(())
}

#[tokio::test]
async fn edited_files_are_taken_over_by_themselves_if_wanted() -> Result<()> {
    let file = File::new();
    let mut setting = Setting::new().await?;
    file.write(&setting)?;
    setting.bus.run_with(&["--watch"]);
    setting.bus.start().await?;
    let started = setting.status().await?["config"]["since"].clone();
    // As editors do it: a new file, then the old name.
    let path = setting.bus.directory().join("routes.toml");
    let text = std::fs::read_to_string(&path)?.replace("path = \"/b/{key}\"", "path = \"/new/{key}\"");
    std::fs::write(path.with_extension("tmp"), text)?;
    std::fs::rename(path.with_extension("tmp"), &path)?;
    eventually("it runs the new file", LIMIT, || async {
        let config = setting.status().await?["config"].clone();
        Ok::<_, anyhow::Error>((config["note"].is_null() && config["since"] != started).then_some(()))
    })
    .await?;
    setting.push(1, 1).await?;
    let ledger = eventually("the new path", LIMIT, || async {
        let ledger = setting.b.ledger()?;
        Ok::<_, anyhow::Error>((!ledger.entries.is_empty()).then_some(ledger))
    })
    .await?;
    assert_eq!(ledger.entries[0].path, "/new/0");
    Ok(())
}

/// What an operator could do to the state store from outside, and undo.
async fn spoil(setting: &Setting, sql: &str) -> Result<()> {
    let path = setting.bus.directory().join("data/bus.db");
    let mut store = sqlx::SqliteConnection::connect(&format!("sqlite:{}", path.display())).await?;
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut store).await?;
    Ok(store.close().await?)
}

/// The queues that the embedded broker keeps messages for.
async fn queues(setting: &Setting) -> Result<Vec<String>> {
    let path = setting.bus.directory().join("data/bus.db");
    let mut store = sqlx::SqliteConnection::connect(&format!("sqlite:{}?mode=ro", path.display())).await?;
    let all = "SELECT n.name FROM queues q JOIN names n ON n.id = q.id ORDER BY n.name";
    let names = sqlx::query_scalar(all).fetch_all(&mut store).await?;
    store.close().await?;
    Ok(names)
}

#[tokio::test]
async fn what_a_reload_could_not_start_is_started_by_the_next_one() -> Result<()> {
    let file = File::new();
    let setting = Setting::start(&file).await?;
    setting.push(3, 1).await?;
    all_at(&setting.a, "v", 3, 1).await?;
    // A changed system gets a gate of its own, and that asks the store how far the one before had come.
    spoil(&setting, "ALTER TABLE gates RENAME TO gates_away").await?;
    file.write(&setting)?;
    let text = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    setting.bus.routes(&text.replacen("timeout = \"2s\"", "timeout = \"3s\"", 1))?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code != 0 && err.contains("route первый"), "it says what does not run: {code} {err}");
    assert!(!err.contains("nothing was changed"), "{err}");
    spoil(&setting, "ALTER TABLE gates_away RENAME TO gates").await?;
    setting.reload().await?;
    setting.push(3, 2).await?;
    all_at(&setting.a, "v", 3, 2).await?;
    let status = setting.status().await?;
    assert_eq!(status["incidents"], json!([]));
    Ok(())
}

/// The queue keeps the name that its route had at first: a subscription of that name would take the route's messages.
#[tokio::test]
async fn a_subscription_does_not_get_the_queue_of_a_route() -> Result<()> {
    let file = File::new();
    let setting = Setting::start(&file).await?;
    file.first("третий", "was = \"первый\"\nfields = { v = \".v\" }").write(&setting)?;
    setting.reload().await?;
    let text = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    let subscription = "[subscriptions.\"первый\"]\nstream = \"s\"\nvia = \"http\"\nkey = { env = \"PUSH_KEY\" }\n";
    setting.bus.routes(&format!("{text}{subscription}"))?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code != 0 && err.contains("subscription первый") && err.contains("still belongs to a route"), "{err}");
    assert_eq!(queues(&setting).await?, ["second", "первый"]);
    setting.push(3, 1).await?;
    all_at(&setting.a, "v", 3, 1).await?;
    Ok(())
}

#[tokio::test]
async fn a_queue_that_was_made_in_vain_goes_again() -> Result<()> {
    let file = File::new();
    let mut setting = Setting::start(&file).await?;
    spoil(&setting, "CREATE TRIGGER no BEFORE INSERT ON places BEGIN SELECT RAISE(ABORT, 'a planned failure'); END")
        .await?;
    file.write(&setting)?;
    let text = std::fs::read_to_string(setting.bus.directory().join("routes.toml"))?;
    let third = "[routes.third]\nstream = \"s\"\nto = \"b\"\nsend = { method = \"PUT\", path = \"/c/{key}\" }\n";
    setting.bus.routes(&format!("{text}{third}"))?;
    let (code, _, err) = setting.command(&["reload"]).await?;
    assert!(code != 0 && err.contains("a planned failure"), "{code} {err}");
    assert_eq!(queues(&setting).await?, ["second", "первый"]);
    // Killed before it is removed, it goes with the next start.
    file.write(&setting)?;
    setting.bus.kill9();
    setting.bus.crash_at("reload.declared:1");
    setting.bus.start().await?;
    setting.bus.routes(&format!("{text}{third}"))?;
    let (code, _, _) = setting.command(&["reload"]).await?;
    assert_ne!(code, 0);
    setting.bus.wait(LIMIT).await?;
    assert_eq!(queues(&setting).await?, ["second", "third", "первый"]);
    file.write(&setting)?;
    setting.bus.crash_at("");
    setting.bus.start().await?;
    assert_eq!(queues(&setting).await?, ["second", "первый"]);
    setting.push(3, 1).await?;
    all_at(&setting.a, "v", 3, 1).await?;
    Ok(())
}

/// A receiver that answers nothing, a reload that waits for it, and SIGTERM: one bound for all of it, below the patience of
/// `deploy/bus.service`.
#[tokio::test]
async fn a_stop_in_the_middle_of_a_reload_ends_within_the_service_managers_patience() -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(20);
    let mut setting = Setting::new().await?;
    let hang = Script { rules: vec![Rule::always(Answer::Hang)], ..Script::default() };
    setting.a.set_script(&hang).await?;
    setting.b.set_script(&hang).await?;
    let route = |name: &str, options: &str| {
        format!(
            "[routes.{name}]\nstream = \"s\"\nto = \"{name}\"\nsend = {{ method = \"PUT\", path = \"/{{key}}\" }}\n{options}\n"
        )
    };
    let text = |options: &str| {
        format!(
            "[bus]\nlisten = \"{}\"\n[systems.a]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"60s\"\n\
             [systems.b]\nkind = \"http\"\nurl = \"{}\"\ntimeout = \"60s\"\n\
             [streams.s]\nlisten = {{ path = \"/in/s\", key = {{ env = \"PUSH_KEY\" }} }}\nkey = \"id\"\n{}{}",
            setting.bus.listen(),
            setting.a.url(),
            setting.b.url(),
            route("a", options),
            route("b", "")
        )
    };
    let (first, changed) = (text(""), text("concurrency = 2"));
    setting.bus.routes(&first)?;
    setting.bus.start().await?;
    setting.push(1, 1).await?;
    for receiver in [&setting.a, &setting.b] {
        let asked = || async { Ok((!receiver.ledger()?.entries.is_empty()).then_some(())) };
        eventually("an attempt is under way", LIMIT, asked).await?;
    }
    setting.bus.routes(&changed)?;
    setting.bus.hangup();
    let begun = || async { Ok(setting.bus.log().and_then(|log| log.find(|line| line.contains("anew").then_some(())))) };
    eventually("the reload has begun", LIMIT, begun).await?;
    let ready = format!("{}/readyz", setting.bus.url());
    let unready = eventually("the answer that it is stopping", PATIENCE, || async {
        let answer = http_client().get(&ready).send().await?;
        let (status, words) = (answer.status(), answer.text().await?);
        Ok((status == 503 && words.contains("stopping")).then_some(()))
    });
    let (ended, unready) = tokio::join!(setting.bus.terminate(PATIENCE), unready);
    unready?;
    let status = ended?;
    assert!(status.success(), "{status}");
    setting.a.set_script(&Script::default()).await?;
    setting.b.set_script(&Script::default()).await?;
    setting.bus.start().await?;
    // Sent when the last request of the process before must be over; until then it is where it was.
    assert_eq!((setting.holding("a").await?, setting.holding("b").await?), (1, 1));
    Ok(())
}
