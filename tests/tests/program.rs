//! The program as its users meet it: a routes file, HTTP in, HTTP out, commands. Embedded broker, real processes.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::http_client;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// A pushed stream to a receiver, and a subscription of it.
fn routes(bus: &Bus, receiver: &Receiver) -> String {
    format!(
        r#"
        [bus]
        name = "проверка"
        listen = "{}"
        hold = "2s"
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams."пользователи"]
        listen = {{ path = "/in/users", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        label = "имя"
        [routes."пользователи-в-магазин"]
        stream = "пользователи"
        to = "shop"
        when = '.active != false'
        when_left = "delete"
        on_delete = {{ path = "/users/{{key}}" }}
        send = {{ method = "PUT", path = "/users/{{key}}" }}
        fields = {{ id = ".id", name = '."имя"', sum = ".sum" }}
        retry = {{ attempts = 3, first = "50ms", max = "200ms" }}
        [subscriptions."bi.users"]
        stream = "пользователи"
        via = "http"
        key = {{ env = "PULL_KEY" }}
        keep = {{ for = "1d", bytes = "10MB" }}
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
    async fn start(script: &Script) -> Result<Self> {
        let receiver = Receiver::start(script).await?;
        let mut bus = Bus::new()?;
        bus.env("PUSH_KEY", "push-secret");
        bus.env("PULL_KEY", "pull-secret");
        bus.routes(&routes(&bus, &receiver))?;
        bus.start().await?;
        Ok(Self { bus, receiver })
    }

    async fn push(&self, body: &str, query: &str) -> Result<reqwest::Response> {
        self.bus.push(&format!("users{query}"), body).await
    }

    async fn pushed(&self, body: &str) -> Result<()> {
        self.bus.pushed("users", body).await
    }

    /// Waits until the receiver has applied so many requests.
    async fn applied(&self, count: usize) -> Result<Vec<bus_tests::receiver::Entry>> {
        self.receiver.applied(count, LIMIT).await
    }

    async fn out(&self, after: u64) -> Result<Value> {
        let url = format!("{}/out/bi.users?after={after}", self.bus.url());
        let answer = http_client().get(url).bearer_auth("pull-secret").send().await?.error_for_status()?;
        Ok(serde_json::from_str(&answer.text().await?)?)
    }

    async fn command(&self, arguments: &[&str]) -> Result<(i32, String, String)> {
        self.bus.says(arguments).await
    }
}

#[tokio::test]
async fn a_pushed_record_reaches_receiver_and_subscriber_digit_for_digit() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    setting.pushed(r#"{"id":7,"имя":"Анна","sum":12345678901234567.8900}"#).await?;
    let applied = setting.applied(1).await?;
    assert_eq!((applied[0].method.as_str(), applied[0].path.as_str()), ("PUT", "/users/7"));
    assert_eq!(applied[0].body, r#"{"id":7,"name":"Анна","sum":12345678901234567.8900}"#);

    let first = eventually("the subscriber's message", LIMIT, || async {
        let page = setting.out(0).await?;
        Ok::<_, anyhow::Error>((page["events"].as_array().is_some_and(|events| events.len() == 1)).then_some(page))
    })
    .await?;
    let event = &first["events"][0];
    assert_eq!(event["type"], "пользователи.upsert");
    assert_eq!(event["subject"], "7");
    assert_eq!(event["data"]["sum"].to_string(), "12345678901234567.8900");
    // Not acknowledged: it comes again. Acknowledged by its position: it is gone.
    assert_eq!(setting.out(0).await?["events"].as_array().map(Vec::len), Some(1));
    let next = first["next"].as_u64().context("next")?;
    assert_eq!(setting.out(next).await?["events"], json!([]));
    assert_eq!(setting.out(0).await?["events"], json!([]));
    Ok(())
}

#[tokio::test]
async fn a_position_of_another_store_acknowledges_nothing() -> Result<()> {
    let mut setting = Setting::start(&Script::default()).await?;
    let first = async |setting: &Setting, after: u64| {
        eventually("the subscriber's message", LIMIT, || async {
            let page = setting.out(after).await?;
            Ok::<_, anyhow::Error>((page["events"] != json!([])).then_some(page))
        })
        .await
    };
    setting.pushed(r#"{"id":1,"имя":"А"}"#).await?;
    let before = first(&setting, 0).await?["next"].as_u64().context("next")?;

    let beyond = before + 10_000;
    let url = format!("{}/out/bi.users?after={beyond}", setting.bus.url());
    let answer = http_client().get(url).bearer_auth("pull-secret").send().await?;
    let (status, text) = (answer.status(), answer.text().await?);
    assert_eq!(status, 409, "{text}");
    assert!(text.contains(&format!("its last one is {before}")) && text.contains("ask without `after`"), "{text}");
    let (code, _, err) = setting.command(&["pull", "bi.users", "--after", &beyond.to_string()]).await?;
    assert!(code != 0 && err.contains("nothing was acknowledged"), "{code} {err}");
    assert_eq!(first(&setting, 0).await?["next"], before, "it is still there");

    // The store is lost, and the subscriber comes with what the lost one had given it.
    setting.bus.kill9();
    for file in ["bus.db", "bus.db-wal", "bus.db-shm"] {
        let _ = std::fs::remove_file(setting.bus.directory().join("data").join(file));
    }
    setting.bus.start().await?;
    setting.pushed(r#"{"id":2,"имя":"Б"}"#).await?;
    let page = first(&setting, before).await?;
    assert_eq!((&page["events"][0]["subject"], &page["missed"]), (&json!("2"), &json!(0)));
    assert!(page["next"].as_u64() > Some(before), "{page}");
    Ok(())
}

#[tokio::test]
async fn a_record_that_no_longer_matches_leaves_the_receiver() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    setting.pushed(r#"{"id":1,"имя":"Б","active":true}"#).await?;
    setting.pushed(r#"{"id":2,"имя":"В","active":false}"#).await?;
    setting.pushed(r#"{"id":1,"имя":"Б","active":false}"#).await?;
    assert_eq!(setting.push(r#"{"id":2}"#, "?operation=delete").await?.status(), 204);
    setting.pushed(r#"{"id":3,"имя":"Г"}"#).await?;
    let applied = setting.applied(3).await?;
    // Of each key by itself: between keys there is no order.
    let mut seen = BTreeMap::<&str, Vec<&str>>::new();
    for entry in &applied {
        seen.entry(&entry.path).or_default().push(&entry.method);
    }
    let expected = BTreeMap::from([("/users/1", vec!["PUT", "DELETE"]), ("/users/3", vec!["PUT"])]);
    assert_eq!(seen, expected, "never sent: 2");
    Ok(())
}

#[tokio::test]
async fn a_dead_letter_is_listed_shown_replayed_and_dropped() -> Result<()> {
    let refuse = Rule::keys(&["13"], Answer::Status { code: 422, retry_after: None });
    let setting = Setting::start(&Script { rules: vec![refuse], ..Script::default() }).await?;
    setting.pushed(r#"[{"id":13,"имя":"Тринадцать"},{"id":14,"имя":"Дальше"}]"#).await?;
    setting.applied(1).await?;
    let list = eventually("a dead letter", LIMIT, || async {
        let (_, out, _) = setting.command(&["dead", "list", "--json", "--key", "Тринадцать"]).await?;
        let rows: Vec<Value> = serde_json::from_str(&out)?;
        Ok::<_, anyhow::Error>((!rows.is_empty()).then_some(rows))
    })
    .await?;
    let id = list[0]["id"].to_string();
    assert_eq!(list[0]["fault"], "rejected");
    let (_, shown, _) = setting.command(&["dead", "show", &id]).await?;
    for part in ["Тринадцать", "422", "PUT", "/users/13"] {
        assert!(shown.contains(part), "{part} is missing in {shown}");
    }
    assert!(!shown.contains("push-secret"));

    setting.receiver.set_script(&Script::default()).await?;
    let (code, out, err) = setting.command(&["dead", "replay", &id]).await?;
    let said = "put in line again as Тринадцать on route ";
    assert!(code == 0 && out.starts_with(said) && out.trim().ends_with("look: bus where Тринадцать"), "{out} {err}");
    assert_eq!(setting.applied(2).await?[1].path, "/users/13");
    let (code, _, _) = setting.command(&["dead", "drop", &id]).await?;
    assert_eq!(code, 69, "it is gone already");
    Ok(())
}

#[tokio::test]
async fn an_old_dead_letter_does_not_overwrite_a_newer_version_unless_forced() -> Result<()> {
    let refuse = Rule { times: Some(1), ..Rule::keys(&["5"], Answer::Status { code: 400, retry_after: None }) };
    let setting = Setting::start(&Script { rules: vec![refuse], ..Script::default() }).await?;
    setting.pushed(r#"{"id":5,"имя":"старое"}"#).await?;
    let id = eventually("a dead letter", LIMIT, || async {
        let (_, out, _) = setting.command(&["dead", "list", "--json"]).await?;
        let rows: Vec<Value> = serde_json::from_str(&out)?;
        Ok::<_, anyhow::Error>(rows.first().map(|row| row["id"].to_string()))
    })
    .await?;
    setting.pushed(r#"{"id":5,"имя":"новое"}"#).await?;
    setting.applied(1).await?;
    // The newer version is settled a moment after the receiver has it.
    let refused = eventually("the newer version is settled", LIMIT, || async {
        let (code, _, err) = setting.command(&["dead", "replay", &id]).await?;
        Ok::<_, anyhow::Error>((code == 69).then_some(err))
    })
    .await?;
    assert!(refused.contains("newer version"), "{refused}");
    let (code, _, err) = setting.command(&["dead", "replay", &id, "--force"]).await?;
    assert_eq!(code, 0, "{err}");
    let applied = setting.applied(2).await?;
    assert!(applied[1].body.contains("старое"), "{}", applied[1].body);
    Ok(())
}

#[tokio::test]
async fn bad_pushes_are_refused_and_nothing_of_them_is_taken() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    let url = format!("{}/in/users", setting.bus.url());
    let without_key = http_client().post(&url).body("{}").send().await?;
    assert_eq!(without_key.status(), 401);
    for (body, status, part) in
        [(r#"[{"id":1},{"имя":"без ключа"}]"#, 400, "id"), ("{\"id\":", 400, ""), ("17", 400, ""), ("", 400, "")]
    {
        let answer = setting.push(body, "").await?;
        assert_eq!(answer.status(), status, "{body}");
        let text = answer.text().await?;
        assert!(text.contains(part), "{body}: {text}");
    }
    assert_eq!(setting.push("{\"id\":1}", "?operation=vanish").await?.status(), 400);
    // Taken for an upsert, it would bring back what was to be deleted.
    let unknown = setting.push("{\"id\":1}", "?op=delete").await?;
    assert_eq!(unknown.status(), 400);
    let words = unknown.text().await?;
    assert!(words.contains("`op`") && words.contains("`operation`"), "{words}");
    setting.pushed(r#"{"id":99,"имя":"последний"}"#).await?;
    let applied = setting.applied(1).await?;
    assert_eq!(applied[0].path, "/users/99", "the good element beside a bad one was not taken");
    Ok(())
}

#[tokio::test]
async fn a_mistyped_parameter_is_refused_by_its_name() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    for (path, valid) in [
        ("out/bi.users?aftr=1", "after"),
        ("dead?rout=x", "route"),
        ("dead/groups?rout=x", "route"),
        ("where?wrd=x", "word"),
        ("incidents?pst=1", "past"),
        ("preview/s?records=1&begin=false&raw=false&all=1", "begin"),
    ] {
        let request = http_client().get(format!("{}/{path}", setting.bus.url())).bearer_auth("pull-secret");
        let answer = request.send().await?;
        assert_eq!(answer.status(), 400, "{path}");
        let words = answer.text().await?;
        assert!(words.contains("unknown field") && words.contains(&format!("`{valid}`")), "{path}: {words}");
    }
    Ok(())
}

#[tokio::test]
async fn metrics_and_status_count_the_same_letters() -> Result<()> {
    let refuse = Rule::keys(&["13"], Answer::Status { code: 422, retry_after: None });
    let setting = Setting::start(&Script { rules: vec![refuse], ..Script::default() }).await?;
    setting.pushed(r#"{"id":13,"имя":"первая"}"#).await?;
    setting.pushed(r#"{"id":13,"имя":"вторая"}"#).await?;
    let two = eventually("two letters of one key", LIMIT, || async {
        let (_, out, _) = setting.command(&["status", "--json"]).await?;
        let status: Value = serde_json::from_str(&out)?;
        Ok::<_, anyhow::Error>((status["routes"][0]["dead"] == 2).then_some(()))
    });
    two.await?;
    let line = r#"bus_dead_letters{route="пользователи-в-магазин"}"#;
    let metrics = setting.bus.metrics().await?;
    assert!(metrics.contains(&format!("{line} 2\n")), "{metrics}");
    // Looked for every two seconds.
    let incident = r#"bus_incident_open{kind="dead-letters",subject="пользователи-в-магазин"} 1"#;
    let told = || async { Ok::<_, anyhow::Error>(setting.bus.metrics().await?.contains(incident).then_some(())) };
    eventually("the incident is a sample", LIMIT, told).await?;
    let (_, out, _) = setting.command(&["dead", "list", "--json"]).await?;
    for letter in serde_json::from_str::<Vec<Value>>(&out)? {
        setting.command(&["dead", "drop", &letter["id"].to_string()]).await?;
    }
    let metrics = setting.bus.metrics().await?;
    assert!(metrics.contains(&format!("{line} 0\n")), "{metrics}");
    Ok(())
}

#[tokio::test]
async fn every_line_of_a_json_log_is_an_object_with_time_level_and_words() -> Result<()> {
    let locked = Rule::always(Answer::Status { code: 401, retry_after: None });
    let receiver = Receiver::start(&Script { rules: vec![locked], ..Script::default() }).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.env("PULL_KEY", "pull-secret");
    bus.routes(&routes(&bus, &receiver).replace("hold = \"2s\"", "hold = \"2s\"\n        log = \"json\""))?;
    bus.start().await?;
    bus.pushed("users", r#"{"id":1,"имя":"Анна"}"#).await?;
    eventually("the paused route", LIMIT, || async {
        let (_, out, _) = bus.says(&["incidents", "--json"]).await?;
        Ok::<_, anyhow::Error>(out.contains("route-paused").then_some(()))
    })
    .await?;
    bus.terminate(LIMIT).await?;
    let log = bus.log().context("it ran")?.tail(usize::MAX);
    let mut levels = std::collections::BTreeSet::new();
    for line in log.lines().map(|line| line.trim_start_matches("  | ")) {
        let line: Value = serde_json::from_str(line).with_context(|| line.to_owned())?;
        let text = |value: &Value| value.as_str().map(str::to_owned).with_context(|| line.to_string());
        chrono::DateTime::parse_from_rfc3339(&text(&line["timestamp"])?)?;
        levels.insert(text(&line["level"])?);
        assert!(!text(&line["fields"]["message"])?.is_empty(), "{line}");
    }
    assert!(levels.contains("INFO") && levels.contains("WARN"), "{levels:?}");
    Ok(())
}

#[tokio::test]
async fn a_stop_while_starting_does_not_wait_for_the_broker() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    // Takes connections and says nothing: who connects waits for as long as it has patience.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.env("PULL_KEY", "pull-secret");
    let broker = bus.on(Some(format!("amqp://guest:guest@{}/%2f", silent.local_addr()?)));
    bus.routes(&routes(&bus, &receiver).replace("hold = \"2s\"", &format!("hold = \"2s\"\n        {broker}")))?;
    bus.start_unready()?;
    let _connection = tokio::time::timeout(LIMIT, silent.accept()).await??;
    let status = bus.terminate(LIMIT).await?;
    let log = bus.log().context("it ran")?;
    assert!(status.success(), "{status}: {}", log.tail(30));
    // Another thread reads the output: it may be a moment behind the end.
    let said = || std::future::ready(Ok(log.find(|line| line.contains("stopped while starting").then_some(()))));
    eventually("its last words", LIMIT, said).await.with_context(|| log.tail(30))?;
    Ok(())
}

#[tokio::test]
async fn status_metrics_and_health_tell_what_runs() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    setting.pushed(r#"{"id":1,"имя":"А"}"#).await?;
    setting.applied(1).await?;
    let metrics = eventually("the delivery is counted", LIMIT, || async {
        let text = setting.bus.metrics().await?;
        let line = r#"bus_messages_settled_total{outcome="delivered",route="пользователи-в-магазин"} 1"#;
        Ok::<_, anyhow::Error>(text.contains(line).then_some(text))
    })
    .await?;
    assert!(metrics.contains(r#"bus_messages_published_total{stream="пользователи"} 1"#));
    assert!(!metrics.contains("secret"));
    let version = concat!("bus_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1");
    for line in
        [r#"bus_broker_state{state="connected"} 1"#, version, "process_open_fds ", "process_start_time_seconds "]
    {
        assert!(metrics.contains(line), "{line} is not in {metrics}");
    }
    eventually("the subscription's messages are counted, and not as a route's", LIMIT, || async {
        let text = setting.bus.metrics().await?;
        anyhow::ensure!(!text.contains("stored\""), "{text}");
        let line = "bus_subscription_messages_stored_total{subscription=\"bi.users\"} 1";
        Ok::<_, anyhow::Error>(text.contains(line).then_some(()))
    })
    .await?;
    let (code, out, err) = setting.command(&["status", "--json"]).await?;
    assert_eq!(code, 0, "{err}");
    let status: Value = serde_json::from_str(&out)?;
    assert_eq!(status["name"], "проверка");
    assert_eq!(status["routes"][0]["delivered"], 1);
    assert_eq!(status["incidents"], json!([]));
    let (_, page, _) = setting.command(&["status"]).await?;
    assert!(page.contains("пользователи-в-магазин") && page.contains("delivered 1"), "{page}");
    let alive = http_client().get(format!("{}/healthz", setting.bus.url())).send().await?;
    assert_eq!(alive.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_wrong_password_pauses_the_route_and_resume_goes_on() -> Result<()> {
    let locked = Rule::always(Answer::Status { code: 401, retry_after: None });
    let setting = Setting::start(&Script { rules: vec![locked], ..Script::default() }).await?;
    setting.pushed(r#"{"id":1,"имя":"А"}"#).await?;
    let incident = eventually("the incident", LIMIT, || async {
        let status = setting.bus.status().await?;
        Ok::<_, anyhow::Error>(status["incidents"].get(0).cloned())
    })
    .await?;
    assert_eq!((&incident["kind"], &incident["subject"]), (&json!("route-paused"), &json!("пользователи-в-магазин")));
    setting.receiver.set_script(&Script::default()).await?;
    let (code, _, err) = setting.command(&["resume", "пользователи-в-магазин"]).await?;
    assert_eq!(code, 0, "{err}");
    setting.applied(1).await?;
    let requests = setting.receiver.ledger()?.entries.len();
    assert!(requests <= 4, "a paused route makes no attempts: {requests}");
    Ok(())
}

#[tokio::test]
async fn a_second_process_on_the_same_state_refuses_and_names_the_first() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    let (code, _, err) = setting.command(&["run"]).await?;
    assert_eq!(code, 1);
    let pid = setting.bus.pid().context("it runs")?.to_string();
    assert!(err.contains(&pid), "{err}");
    Ok(())
}

#[tokio::test]
async fn a_clean_stop_repeats_nothing() -> Result<()> {
    let mut setting = Setting::start(&Script::default()).await?;
    let records: Vec<Value> = (0..200).map(|id| json!({ "id": id, "имя": "А" })).collect();
    setting.pushed(&Value::from(records).to_string()).await?;
    let status = setting.bus.terminate(Duration::from_secs(15)).await?;
    assert!(status.success(), "{status}");
    setting.bus.start().await?;
    let applied = setting.applied(200).await?;
    assert_eq!(applied.len(), 200);
    let distinct: std::collections::HashSet<_> = applied.iter().map(|entry| entry.path.clone()).collect();
    assert_eq!(distinct.len(), 200, "each exactly once");
    Ok(())
}

#[tokio::test]
async fn check_reaches_every_system_and_says_what_answered() -> Result<()> {
    let setting = Setting::start(&Script::default()).await?;
    let (code, out, err) = setting.command(&["check", "--connect"]).await?;
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("ok    system shop") && out.contains("the bus with process number"), "{out}");
    drop(setting.receiver);
    let output = setting.bus.run(&["check", "--connect", "--json"]).await?;
    assert_eq!(output.status.code(), Some(69));
    let rows: Value = serde_json::from_slice(&output.stdout)?;
    let shop = rows.as_array().and_then(|rows| rows.iter().find(|row| row["what"] == "system shop"));
    assert_eq!(shop.context("the shop")?["ok"], false);
    Ok(())
}

#[tokio::test]
async fn an_address_beyond_loopback_asks_for_a_key() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    for name in ["PUSH_KEY", "PULL_KEY", "BUS_KEY"] {
        bus.env(name, format!("{name}-value"));
    }
    let open = routes(&bus, &receiver).replace(&bus.listen(), &bus.listen().replace("127.0.0.1", "0.0.0.0"));
    bus.routes(&open)?;
    let refused = bus.run(&["check"]).await?;
    assert_eq!(refused.status.code(), Some(78), "{}", String::from_utf8_lossy(&refused.stderr));
    bus.routes(&open.replace("hold = \"2s\"", "hold = \"2s\"\n        key = { env = \"BUS_KEY\" }"))?;
    bus.start().await?;
    for path in ["/status", "/metrics", "/dead"] {
        let url = format!("{}{path}", bus.url());
        assert_eq!(http_client().get(&url).send().await?.status(), 401, "{path}");
        let with_key = http_client().get(&url).header("x-api-key", "BUS_KEY-value").send().await?;
        assert_eq!(with_key.status(), 200, "{path}");
    }
    let foreign_page = http_client().post(format!("{}/dead/1/replay", bus.url())).bearer_auth("BUS_KEY-value");
    assert_eq!(foreign_page.send().await?.status(), 403);
    Ok(())
}

#[tokio::test]
async fn one_door_serves_several_streams_and_what_none_takes_stops_nothing() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let stream = |name: &str, entity: &str| {
        format!(
            r#"
            [streams."{name}"]
            from = "касса"
            entity = "{entity}"
            key = "id"
            [routes."{name}-в-магазин"]
            stream = "{name}"
            to = "shop"
            send = {{ method = "PUT", path = "/{name}/{{key}}" }}
            "#
        )
    };
    let routes = format!(
        r#"
        [bus]
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        [feeds."касса"]
        listen = {{ path = "/in/all", key = {{ env = "PUSH_KEY" }} }}
        entity_column = "вид"
        {}{}"#,
        bus.listen(),
        receiver.url(),
        stream("orders", "Заказ"),
        stream("products", "Товар"),
    );
    bus.routes(&routes)?;
    bus.start().await?;
    let setting = Setting { bus, receiver };
    let records = r#"[{"вид":"Заказ","id":1},{"вид":"Чек","id":1},{"вид":"Товар","id":1},{"вид":"Заказ","id":2}]"#;
    setting.bus.pushed("all", records).await?;
    let mut paths: Vec<_> = setting.applied(3).await?.into_iter().map(|entry| entry.path).collect();
    paths.sort();
    assert_eq!(paths, ["/orders/1", "/orders/2", "/products/1"], "the same key in two streams is two records");
    // It was kept before the caller was answered, and the incident tells.
    let status = setting.bus.status().await?;
    assert_eq!(
        (&status["incidents"][0]["kind"], &status["incidents"][0]["subject"]),
        (&json!("untaken-entity"), &json!("касса"))
    );
    let (_, out, _) = setting.command(&["dead", "list", "--json"]).await?;
    assert!(out.contains("Чек") && out.contains("unreadable"), "{out}");
    Ok(())
}

#[tokio::test]
async fn an_operation_keeps_its_own_pace_and_holds_up_nobody_else() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let stream = |name: &str, rest: &str| {
        format!(
            r#"
            [streams.{name}]
            listen = {{ path = "/in/{name}", key = {{ env = "PUSH_KEY" }} }}
            key = "id"
            [routes.{name}]
            stream = "{name}"
            to = "shop"
            send = {{ method = "PUT", path = "/{name}/{{key}}" }}
            {rest}
            "#
        )
    };
    let routes = format!(
        r#"
        [bus]
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        capacity = {{ rate = "100/s", concurrency = 1, operations = {{ upload = "1/s" }} }}
        {}{}"#,
        bus.listen(),
        receiver.url(),
        stream("files", "operation = \"upload\""),
        stream("orders", ""),
    );
    bus.routes(&routes)?;
    bus.start().await?;
    let setting = Setting { bus, receiver };
    for (name, count) in [("files", 4), ("orders", 12)] {
        let records: Vec<Value> = (0..count).map(|id| json!({ "id": id })).collect();
        setting.bus.pushed(name, &Value::from(records).to_string()).await?;
    }
    let applied = setting.applied(16).await?;
    let times = |path: &str| -> Vec<u64> {
        applied.iter().filter(|entry| entry.path.starts_with(path)).map(|entry| entry.at_us).collect()
    };
    let (files, orders) = (times("/files/"), times("/orders/"));
    // What lies between our socket and the receiver's clock may take from an interval: of all three together, less than
    // a second.
    assert!(files.len() == 4 && files[3] - files[0] > 2_000_000, "{files:?}");
    // The only place is not kept by an upload that waits for its own pace.
    assert!(orders.last() < files.last(), "orders {orders:?}, files {files:?}");
    Ok(())
}

#[tokio::test]
async fn a_reader_who_has_enough_and_a_full_disk_are_no_crash() -> Result<()> {
    let bus = Bus::new()?;
    let program = bus.program().display().to_string();
    for (shell, code, words) in [
        (format!("'{program}' schema | head -c 10 > /dev/null; exit ${{PIPESTATUS[0]}}"), 0, ""),
        (format!("'{program}' schema > /dev/full"), 74, "No space left on device"),
    ] {
        let output = tokio::process::Command::new("bash").args(["-c", &shell]).output().await?;
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{shell}: {err}");
        assert!(err.contains(words) && !err.contains("panicked"), "{shell}: {err}");
    }
    Ok(())
}

/// A linker that takes jemalloc's own empty settings instead would make nothing fail but the memory grow.
#[tokio::test]
async fn the_allocators_settings_are_those_of_the_program() -> Result<()> {
    let mut bus = tokio::process::Command::new(Bus::new()?.program());
    let output = bus.arg("--version").env("MALLOC_CONF", "stats_print:true").output().await?;
    let printed = String::from_utf8_lossy(&output.stderr);
    for setting in [r#"opt.percpu_arena: "percpu""#, "opt.dirty_decay_ms: 1000", "opt.muzzy_decay_ms: 0"] {
        assert!(printed.contains(setting), "{setting} is not in: {printed}");
    }
    Ok(())
}
