//! What operators do every day, by the commands they type: pause and resume, dead letters, loads, rewinds. Real processes,
//! both brokers.

use std::time::Duration;

use anyhow::{Context, Result};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Entry, Receiver, Rule, Script};
use serde_json::{Value, json};
use sqlx::Connection as _;

const LIMIT: Duration = Duration::from_secs(20);

struct Setting {
    bus: Bus,
    receiver: Receiver,
}

impl Setting {
    async fn start(script: &Script, rabbit: Option<String>) -> Result<Self> {
        let receiver = Receiver::start(script).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        bus.env("USER", "anna");
        let broker = bus.on(rabbit);
        bus.routes(&format!(
            r#"
            [bus]
            listen = "{}"
            {broker}
            [systems."магазин"]
            kind = "http"
            url = "{}"
            timeout = "2s"
            [streams."пользователи"]
            listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            label = "имя"
            [routes."в-магазин"]
            stream = "пользователи"
            to = "магазин"
            send = {{ method = "PUT", path = "/users/{{key}}" }}
            idempotent = {{ header = "Idempotency-Key" }}
            "#,
            bus.listen(),
            receiver.url()
        ))?;
        bus.start().await?;
        Ok(Self { bus, receiver })
    }

    async fn push(&self, id: u32) -> Result<u16> {
        let body = json!({ "id": id, "имя": format!("имя-{id}") }).to_string();
        Ok(self.bus.push("users", &body).await?.status().as_u16())
    }

    /// Waits until the receiver has applied so many requests.
    async fn applied(&self, count: usize) -> Result<Vec<Entry>> {
        self.receiver.applied(count, LIMIT).await
    }

    async fn command(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        self.bus.says(arguments).await
    }

    async fn succeeds(&self, arguments: &[&str]) -> Result<String> {
        let (code, out, err) = self.command(arguments).await?;
        anyhow::ensure!(code == 0, "{arguments:?}: {code} {out} {err}");
        Ok(out)
    }

    async fn status(&self) -> Result<Value> {
        self.bus.status().await
    }
}

async fn rabbitmq() -> Result<Option<String>> {
    Ok(Some(bus_tests::servers::RabbitMq::shared().await?.vhost().await?.url))
}

bus_tests::over_both_brokers!(a_pause_says_who_and_why_and_outlives_a_restart);

async fn a_pause_says_who_and_why_and_outlives_a_restart(rabbit: Option<String>) -> Result<()> {
    let mut setting = Setting::start(&Script::default(), rabbit).await?;
    setting.succeeds(&["pause", "route", "в-магазин", "--why", "инвентаризация до утра"]).await?;
    assert_eq!(setting.push(1).await?, 204, "the feed goes on");
    setting.bus.terminate(LIMIT).await?;
    setting.bus.start().await?;
    assert_eq!(setting.push(2).await?, 204);
    let page = setting.succeeds(&["status"]).await?;
    for part in ["PAUSED: by anna@", "инвентаризация до утра", "bus resume route в-магазин"]
    {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    assert!(setting.receiver.ledger()?.entries.is_empty());
    let (code, _, err) = setting.command(&["pause", "route", "в-магаз", "--why", "опечатка"]).await?;
    assert!(code != 0 && err.contains("в-магазин"), "{err}");
    // The older spelling ends it too.
    setting.succeeds(&["resume", "в-магазин"]).await?;
    setting.applied(2).await?;

    setting.succeeds(&["pause", "feed", "пользователи", "--why", "переезд"]).await?;
    assert_eq!(setting.push(3).await?, 503, "a sender is told to come again");
    let page = setting.succeeds(&["status"]).await?;
    assert!(page.contains("PAUSED by anna@"), "{page}");
    setting.succeeds(&["resume", "feed", "пользователи"]).await?;
    assert_eq!(setting.push(3).await?, 204);
    setting.applied(3).await?;

    setting.bus.terminate(LIMIT).await?;
    // The bus is down: it starts paused.
    setting.succeeds(&["pause", "system", "магазин", "--why", "обновление"]).await?;
    setting.bus.start().await?;
    assert_eq!(setting.push(4).await?, 204);
    let status = setting.status().await?;
    assert!(status["systems"][0]["gate"].as_str().context("a gate")?.contains("обновление"), "{status}");
    assert_eq!(status["incidents"][0]["kind"], "paused-by-person");
    assert_eq!(setting.receiver.ledger()?.entries.len(), 3);
    setting.succeeds(&["resume", "system", "магазин"]).await?;
    assert_eq!(setting.applied(4).await?[3].path, "/users/4");
    Ok(())
}

/// Letters of a route, once there are so many.
async fn letters(setting: &Setting, count: usize) -> Result<Vec<Value>> {
    eventually("dead letters", LIMIT, || async {
        let rows: Vec<Value> = serde_json::from_str(&setting.succeeds(&["dead", "list", "--json"]).await?)?;
        Ok::<_, anyhow::Error>((rows.len() >= count).then_some(rows))
    })
    .await
}

bus_tests::over_both_brokers!(letters_are_grouped_by_cause_mended_and_sent_again);

async fn letters_are_grouped_by_cause_mended_and_sent_again(rabbit: Option<String>) -> Result<()> {
    let refuse = |keys: &[&str], code| Rule::keys(keys, Answer::Status { code, retry_after: None });
    let script = Script { rules: vec![refuse(&["11", "12", "13"], 422), refuse(&["21"], 400)], ..Script::default() };
    let setting = Setting::start(&script, rabbit).await?;
    for id in [11, 12, 13, 21] {
        assert_eq!(setting.push(id).await?, 204);
    }
    let rows = letters(&setting, 4).await?;
    let groups: Vec<Value> = serde_json::from_str(&setting.succeeds(&["dead", "groups", "--json"]).await?)?;
    assert_eq!(groups.iter().map(|group| group["count"].as_u64()).collect::<Vec<_>>(), [Some(3), Some(1)]);
    let group = groups[0]["group"].as_str().context("a group")?;
    let listed = setting.succeeds(&["dead", "groups"]).await?;
    let words = groups[0]["example_words"].as_str().context("an example")?;
    assert!(listed.contains(group) && words.contains("422"), "{listed}");

    // One is edited: only its body, only its replay, under another idempotency key.
    let first = rows.iter().find(|row| row["key"] == "11").context("letter 11")?["id"].to_string();
    let before = setting.receiver.ledger()?.entries.iter().find(|entry| entry.path == "/users/11").cloned();
    let body = setting.bus.directory().join("body.json");
    std::fs::write(&body, "{\"id\": 11, \"исправлено\": 1.10}")?;
    let file = body.to_str().context("a path")?;
    let (code, _, err) = setting.command(&["dead", "edit", &first, "--body", "/dev/null"]).await?;
    assert!(code != 0 && err.contains("JSON"), "{err}");
    setting.succeeds(&["dead", "edit", &first, "--body", file]).await?;
    let shown = setting.succeeds(&["dead", "show", &first]).await?;
    for part in ["edited 1 times", "исправлено", "before the edit", "имя-11"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    // It dies again, and the counter says that it was tried.
    setting.succeeds(&["dead", "replay", &first]).await?;
    let again = letters(&setting, 4).await?.into_iter().find(|row| row["key"] == "11").context("letter 11")?;
    assert_eq!((&again["replays"], &again["edits"]), (&json!(1), &json!(1)));

    setting.receiver.set_script(&Script::default()).await?;
    let out = setting.succeeds(&["dead", "replay", "--group", group, "--rate", "20/s"]).await?;
    assert!(out.starts_with("3 put in line again, 0 refused; "), "{out}");
    let applied = setting.applied(3).await?;
    let mended = applied.iter().find(|entry| entry.path == "/users/11").context("11 arrived")?;
    assert_eq!(mended.body, "{\"id\":11,\"исправлено\":1.10}");
    let key = |entry: &Entry| entry.headers.get("idempotency-key").cloned();
    assert!(key(mended).is_some() && key(mended) != before.as_ref().and_then(key), "an edit is other content");
    assert!(applied.iter().all(|entry| entry.path != "/users/21"), "another group stays");
    Ok(())
}

bus_tests::over_both_brokers!(exported_letters_come_back_mended_and_only_where_they_belong);

async fn exported_letters_come_back_mended_and_only_where_they_belong(rabbit: Option<String>) -> Result<()> {
    let refuse = Rule::keys(&["31", "32"], Answer::Status { code: 422, retry_after: None });
    let setting = Setting::start(&Script { rules: vec![refuse], ..Script::default() }, rabbit).await?;
    for id in [31, 32] {
        assert_eq!(setting.push(id).await?, 204);
    }
    // They died in whatever order the receiver answered.
    let rows = letters(&setting, 2).await?;
    let dropped = rows.iter().find(|row| row["key"] == "32").context("letter 32")?["id"].to_string();
    let exported = setting.succeeds(&["dead", "export", "--route", "в-магазин"]).await?;
    assert_eq!(exported.lines().count(), 2);
    assert!(!exported.contains("push-secret"));
    let file = setting.bus.directory().join("letters.jsonl");
    let path = file.to_str().context("a path")?.to_owned();
    std::fs::write(&file, &exported)?;
    assert_eq!(setting.succeeds(&["dead", "import", &path]).await?.trim(), "0 taken in, 2 as they were, 0 refused");
    setting.succeeds(&["dead", "drop", &dropped]).await?;
    // 31 is mended in the file, 32 had been dropped, and a third is nobody's.
    let mut lines: Vec<Value> = exported.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    lines.sort_by_key(|line| line["key"].to_string());
    lines[0]["record"] = json!("{\"id\":31,\"имя\":\"исправлен\"}");
    let foreign = json!({ "seq": "9000000000000000.1", "message_id": "00000000000000000000000000000000" });
    let mut third = lines[1].clone();
    for (name, value) in foreign.as_object().context("an object")? {
        third[name.as_str()] = value.clone();
    }
    let text: String = lines.iter().chain([&third]).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, text)?;
    let (code, out, err) = setting.command(&["dead", "import", &path]).await?;
    assert_eq!((code, out.trim()), (69, "2 taken in, 0 as they were, 1 refused"), "{err}");
    assert!(err.contains("line 3") && err.contains("another bus"), "{err}");
    setting.receiver.set_script(&Script::default()).await?;
    setting.succeeds(&["dead", "replay", "--route", "в-магазин"]).await?;
    let applied = setting.applied(2).await?;
    assert!(applied.iter().any(|entry| entry.path == "/users/31" && entry.body.contains("исправлен")));
    // Delivered: it is nobody's letter any more.
    let refused = eventually("the delivery is settled", LIMIT, || async {
        let (_, _, err) = setting.command(&["dead", "import", &path]).await?;
        Ok::<_, anyhow::Error>(err.contains("delivered meanwhile").then_some(()))
    });
    refused.await
}

/// A table of so many rows, one route that is there from the beginning, and one that may be added.
struct Shop {
    bus: Bus,
    receiver: Receiver,
    broker: &'static str,
}

impl Shop {
    async fn start(rabbitmq: Option<String>, rows: u32) -> Result<Self> {
        let receiver = Receiver::start(&Script::default()).await?;
        let mut bus = Bus::new()?;
        let broker = if rabbitmq.is_some() { r#"{ env = "RABBITMQ" }"# } else { r#""embedded""# };
        bus.env("RABBITMQ", rabbitmq.unwrap_or_default());
        let mut shop = Self { bus, receiver, broker };
        let url = format!("sqlite:{}?mode=rwc", shop.file().display());
        let mut database = sqlx::SqliteConnection::connect(&url).await?;
        let table = "CREATE TABLE goods (id INTEGER PRIMARY KEY, name TEXT NOT NULL, version INTEGER NOT NULL)";
        sqlx::query(table).execute(&mut database).await?;
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
                    INSERT INTO goods SELECT i, 'товар ' || i, i FROM n";
        sqlx::query(fill).bind(rows).execute(&mut database).await?;
        database.close().await?;
        shop.routes(&["old"])?;
        shop.bus.start().await?;
        Ok(shop)
    }

    fn file(&self) -> std::path::PathBuf {
        self.bus.directory().join("shop.db")
    }

    fn routes(&self, names: &[&str]) -> Result<()> {
        let mut text = format!(
            r#"
            [bus]
            listen = "{}"
            broker = {}
            [systems.base]
            kind = "sql"
            url = "sqlite:shop.db"
            [systems.shop]
            kind = "http"
            url = "{}"
            timeout = "2s"
            [streams.goods]
            from = "base"
            query = "SELECT id, name, version FROM goods WHERE version >= :cursor ORDER BY version"
            key = "id"
            label = "name"
            schedule = "100ms"
            changes = {{ cursor = "version" }}
            "#,
            self.bus.listen(),
            self.broker,
            self.receiver.url()
        );
        for name in names {
            text.push_str(&format!(
                "[routes.{name}]\nstream = \"goods\"\nto = \"shop\"\nsend = {{ method = \"PUT\", path = \"/{name}/{{key}}\" }}\n"
            ));
        }
        self.bus.routes(&text)
    }

    /// Waits until so many different records have arrived by a route.
    async fn arrived(&self, route: &str, count: usize) -> Result<usize> {
        let begin = format!("/{route}/");
        eventually(&format!("{count} records by route {route}"), LIMIT, || async {
            let ledger = self.receiver.ledger()?;
            let applied: Vec<_> = ledger.applied().filter(|entry| entry.path.starts_with(&begin)).collect();
            let distinct: std::collections::HashSet<_> = applied.iter().map(|entry| &entry.path).collect();
            Ok::<_, anyhow::Error>((distinct.len() >= count).then_some(applied.len()))
        })
        .await
    }

    async fn tasks(&self) -> Result<Vec<Value>> {
        let output = self.bus.run(&["tasks", "--json"]).await?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    async fn until_done(&self, task: usize) -> Result<Value> {
        eventually("the task to be done", LIMIT, || async {
            let tasks = self.tasks().await?;
            let row = tasks.get(task).cloned().context("the task")?;
            anyhow::ensure!(row["stage"] != "failed", "{row}");
            Ok::<_, anyhow::Error>((row["stage"] == "done").then_some(row))
        })
        .await
    }
}

async fn a_new_receiver_is_filled(rabbitmq: Option<String>) -> Result<()> {
    const ROWS: usize = 300;
    let mut shop = Shop::start(rabbitmq, 300).await?;
    shop.arrived("old", ROWS).await?;
    shop.bus.terminate(LIMIT).await?;
    shop.routes(&["old", "new"])?;
    shop.bus.crash_at("task.handed:2");
    shop.bus.start().await?;
    let loaded = shop.bus.run(&["load", "goods", "--to", "new"]).await?;
    anyhow::ensure!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
    // It ends between the rows' way into the line and their being forgotten: they are offered again, and known.
    shop.bus.wait(LIMIT).await?;
    shop.bus.crash_at("");
    shop.bus.start().await?;
    shop.arrived("new", ROWS).await?;
    let task = shop.until_done(0).await?;
    assert_eq!(task["kept"], 300, "{task}");
    assert_eq!(shop.arrived("old", ROWS).await?, ROWS, "nobody else got anything twice");

    // A rewind reads again; what has not changed is not sent again.
    let mut database = sqlx::SqliteConnection::connect(&format!("sqlite:{}", shop.file().display())).await?;
    // Changed behind the cursor's back: only going back can see it.
    sqlx::query("UPDATE goods SET name = 'другой' WHERE id = 5").execute(&mut database).await?;
    database.close().await?;
    let before = shop.arrived("new", ROWS).await?;
    for (slip, words) in [("999999", "would never be read"), ("чушь", "holds values like")] {
        let (code, _, err) = shop.bus.says(&["cursor", "rewind", "goods", "--to", slip]).await?;
        assert!(code != 0 && err.contains(words), "{code} {err}");
    }
    let rewound = shop.bus.run(&["cursor", "rewind", "goods", "--to", "3"]).await?;
    anyhow::ensure!(rewound.status.success(), "{}", String::from_utf8_lossy(&rewound.stderr));
    let shown = shop.bus.run(&["cursor", "show", "goods"]).await?;
    assert!(String::from_utf8_lossy(&shown.stdout).contains("version"), "a position that a person can read");
    eventually("the change that only a rewind finds", LIMIT, || async {
        let ledger = shop.receiver.ledger()?;
        let found = ledger.applied().any(|entry| entry.path == "/new/5" && entry.body.contains("другой"));
        Ok::<_, anyhow::Error>(found.then_some(()))
    })
    .await?;
    assert_eq!(shop.arrived("new", ROWS).await?, before + 1);

    // The receiver of one record was restored.
    let before = shop.arrived("new", ROWS).await?;
    let resent = shop.bus.run(&["resend", "new", "--label", "товар 7"]).await?;
    anyhow::ensure!(resent.status.success(), "{}", String::from_utf8_lossy(&resent.stderr));
    shop.until_done(1).await?;
    let ledger = shop.receiver.ledger()?;
    let after: Vec<_> = ledger.applied().filter(|entry| entry.path.starts_with("/new/")).collect();
    assert_eq!((after.len(), after[after.len() - 1].path.as_str()), (before + 1, "/new/7"));
    Ok(())
}

#[tokio::test]
async fn a_new_receiver_is_filled_beside_the_live_flow() -> Result<()> {
    a_new_receiver_is_filled(None).await
}

#[tokio::test]
async fn a_new_receiver_is_filled_beside_the_live_flow_over_rabbitmq() -> Result<()> {
    a_new_receiver_is_filled(rabbitmq().await?).await
}

/// A feed whose batch is sealed, of a bus that does not run: a person gives the batch up, and nothing of it is lost.
async fn a_sealed_batch_is_given_up(rabbitmq: Option<String>) -> Result<()> {
    let sealed = rabbitmq.is_some(); // the embedded broker takes a batch in one step
    let mut shop = Shop::start(rabbitmq, 3).await?;
    shop.arrived("old", 3).await?;
    shop.bus.terminate(LIMIT).await?;
    shop.bus.crash_at(if sealed { "capture.sealed:1" } else { "step.committed:1" });
    shop.bus.start().await?;
    let file = format!("sqlite:{}", shop.file().display());
    let rename = async |name: &str, version: u32| {
        let mut database = sqlx::SqliteConnection::connect(&file).await?;
        let update = "UPDATE goods SET name = ?1, version = ?2 WHERE id = 2";
        sqlx::query(update).bind(name).bind(version).execute(&mut database).await?;
        anyhow::Ok(database.close().await?)
    };
    rename("другой", 4).await?;
    shop.bus.wait(LIMIT).await?;
    shop.bus.crash_at("");
    // While the bus is away it changes back, to what the receiver holds.
    rename("товар 2", 2).await?;
    let rewind = ["cursor", "rewind", "goods", "--to", "1"];
    let (_, shown, _) = shop.bus.says(&["cursor", "show", "goods"]).await?;
    assert_eq!(shown.contains("(a batch is being published)"), sealed, "{shown}");
    if sealed {
        let (code, out, err) = shop.bus.says(&rewind).await?;
        anyhow::ensure!(code == 69 && err.contains("or give it up with --force"), "{code} {out} {err}");
        let (_, still, _) = shop.bus.says(&["cursor", "show", "goods"]).await?;
        assert_eq!(still, shown, "a refusal changes nothing");
    }
    let (code, out, err) = shop.bus.says(&[&rewind[..], &["--force"]].concat()).await?;
    anyhow::ensure!(code == 0 && out.contains("goods goes on from"), "{code} {out} {err}");
    assert_eq!(out.contains("1 records that were sealed and perhaps published are given up"), sealed, "{out}");
    shop.bus.start().await?;
    // R14: published or not, it goes out as it is now; with one step the version in between was published, and stays.
    let expected: &[&str] =
        if sealed { &["товар 2", "товар 2"] } else { &["товар 2", "другой", "товар 2"] };
    let names = || -> Result<Vec<String>> {
        let ledger = shop.receiver.ledger()?;
        let of_it = ledger.applied().filter(|entry| entry.path == "/old/2");
        of_it
            .map(|entry| Ok(serde_json::from_str::<Value>(&entry.body)?["name"].as_str().context("a name")?.to_owned()))
            .collect()
    };
    eventually("the record as it is now", LIMIT, || async {
        Ok::<_, anyhow::Error>((names()?.len() >= expected.len()).then_some(()))
    })
    .await?;
    assert_eq!(names()?, expected);
    assert_eq!(shop.arrived("old", 3).await?, 2 + expected.len(), "nothing else was sent again");
    let (_, shown, _) = shop.bus.says(&["cursor", "show", "goods"]).await?;
    assert!(!shown.contains("being published"), "{shown}");
    Ok(())
}

#[tokio::test]
async fn a_sealed_batch_is_given_up_over_rabbitmq() -> Result<()> {
    a_sealed_batch_is_given_up(rabbitmq().await?).await
}

#[tokio::test]
async fn a_forced_rewind_without_a_sealed_batch_gives_nothing_up() -> Result<()> {
    a_sealed_batch_is_given_up(None).await
}
