//! Incidents as an operator meets them: one per cause, with its beginning over a restart, and over when it is over.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bus_tests::bus::Bus;
use bus_tests::eventually::eventually;
use bus_tests::receiver::{Answer, Receiver, Rule, Script};
use bus_tests::servers::{Postgres, Smtp};
use bus_tests::tls::Certificates;
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(30);

/// Three routes of one pushed stream to one shop.
fn routes(bus: &Bus, receiver: &Receiver, broker: &str, more: &str) -> String {
    let route = |name: &str| {
        format!(
            r#"
            [routes."{name}"]
            stream = "заказы"
            to = "shop"
            send = {{ method = "PUT", path = "/{name}/{{key}}" }}
            "#
        )
    };
    format!(
        r#"
        [bus]
        name = "проверка"
        {broker}
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [streams."заказы"]
        listen = {{ path = "/in/orders", key = {{ env = "PUSH_KEY" }} }}
        key = "id"
        expect = {{ within = "1s" }}
        {} {} {}
        {more}
        "#,
        bus.listen(),
        receiver.url(),
        route("a"),
        route("b"),
        route("c"),
    )
}

async fn push(bus: &Bus, body: &str) -> Result<()> {
    bus.pushed("orders", body).await
}

async fn command(bus: &Bus, arguments: &[&str]) -> Result<String> {
    let output = bus.run(arguments).await?;
    ensure!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?)
}

async fn incidents(bus: &Bus, past: &str) -> Result<Value> {
    Ok(serde_json::from_str(&command(bus, &["incidents", "--json", "--past", past]).await?)?)
}

/// The open incident of a kind, once it is there.
async fn opened(bus: &Bus, kind: &str) -> Result<Value> {
    eventually(kind, LIMIT, || async {
        let found = incidents(bus, "0").await?;
        let open = found["open"].as_array().context("open")?;
        Ok(open.iter().find(|one| one["kind"] == kind).cloned())
    })
    .await
}

/// `Some` if no open incident is of this kind.
async fn over(bus: &Bus, kind: &str) -> Result<Option<()>> {
    let found = incidents(bus, "0").await?;
    let open = found["open"].as_array().context("open")?;
    Ok(open.iter().all(|one| one["kind"] != kind).then_some(()))
}

async fn closed(bus: &Bus, kind: &str) -> Result<()> {
    eventually(&format!("the end of {kind}"), LIMIT, || over(bus, kind)).await
}

/// The end of a silence. It begins anew a second after the last record, so a fresh one comes before each question.
async fn heard(bus: &Bus) -> Result<()> {
    let mut id = 100;
    eventually("the end of source-silent", LIMIT, || {
        id += 1;
        let fresh = format!(r#"{{"id":{id}}}"#);
        async move {
            push(bus, &fresh).await?;
            over(bus, "source-silent").await
        }
    })
    .await
}

bus_tests::over_both_brokers!(a_dead_shop_is_one_incident_from_before_a_kill_until_it_answers);

async fn a_dead_shop_is_one_incident_from_before_a_kill_until_it_answers(rabbit: Option<String>) -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    bus.routes(&routes(&bus, &receiver, broker, ""))?;
    bus.start().await?;
    receiver.down(None).await?;
    push(&bus, r#"[{"id":1},{"id":2}]"#).await?;
    let first = opened(&bus, "system-down").await?;
    assert_eq!((&first["subject"], &first["severity"]), (&json!("shop"), &json!("critical")));
    assert_eq!(first["routes"], json!(["a", "b", "c"]));
    let page = command(&bus, &["incidents"]).await?;
    assert!(page.contains("what to do:") && page.contains("a, b, c"), "{page}");
    let metrics = bus.metrics().await?;
    assert!(metrics.contains(r#"bus_incident_open{kind="system-down",subject="shop"} 1"#), "{metrics}");
    // Silence is noticed, too: nothing else is pushed.
    let silent = opened(&bus, "source-silent").await?;
    assert_eq!(silent["subject"], "заказы");

    // `since` is on disk within the keeper's turn; then nothing may forget it.
    let stored = || async {
        let connection =
            sqlx::SqlitePool::connect(&format!("sqlite:{}/data/bus.db?mode=ro", bus.directory().display())).await?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM incidents").fetch_one(&connection).await?;
        connection.close().await;
        Ok((count >= 2).then_some(()))
    };
    eventually("stored incidents", LIMIT, stored).await?;
    bus.kill9();
    bus.start().await?;
    let again = opened(&bus, "system-down").await?;
    assert_eq!(again["since"], first["since"]);
    assert_eq!(opened(&bus, "source-silent").await?["since"], silent["since"]);

    receiver.up().await?;
    closed(&bus, "system-down").await?;
    heard(&bus).await?;
    let past = incidents(&bus, "10").await?;
    let shop =
        past["past"].as_array().and_then(|past| past.iter().find(|one| one["subject"] == "shop")).context("past")?;
    assert_eq!(shop["since"], first["since"]);
    assert!(shop["closed"].is_string());
    Ok(())
}

#[tokio::test]
async fn maintenance_is_kept_with_who_and_why() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    bus.routes(&routes(&bus, &receiver, "", ""))?;
    bus.start().await?;
    let begin = ["maintenance", "start", "--system", "shop", "--for", "1h", "--why", "новый диск", "--who", "Аня"];
    let said = command(&bus, &begin).await?;
    assert!(said.starts_with("maintenance 1 until "), "{said}");
    let unknown = bus.run(&["maintenance", "start", "--system", "shopp", "--for", "1h", "--why", "x"]).await?;
    assert!(!unknown.status.success() && String::from_utf8_lossy(&unknown.stderr).contains("shopp"));
    bus.kill9();
    bus.start().await?;
    let list = command(&bus, &["maintenance", "list"]).await?;
    assert!(list.contains("shop") && list.contains("Аня: новый диск"), "{list}");
    receiver.down(None).await?;
    push(&bus, r#"{"id":1}"#).await?;
    assert_eq!(opened(&bus, "system-down").await?["maintenance"], true);
    command(&bus, &["maintenance", "end", "1"]).await?;
    assert_eq!(opened(&bus, "system-down").await?["maintenance"], false);
    assert!(command(&bus, &["maintenance", "list"]).await?.contains("no maintenance"));
    Ok(())
}

#[tokio::test]
async fn a_base_that_was_loaded_anew_is_not_read_until_a_person_agrees() -> Result<()> {
    let postgres = Postgres::shared().await?;
    let base = postgres.database().await?;
    let table = "CREATE TABLE goods (id int PRIMARY KEY, at timestamptz NOT NULL)";
    postgres.execute(&base, &format!("{table}; INSERT INTO goods VALUES (1, now())")).await?;
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.routes(&goods(&bus, &receiver, &postgres.url_of(&base)))?;
    bus.start().await?;
    receiver.applied(1, LIMIT).await?;
    // What a restored dump looks like: the same name, the same rows and more, another base.
    postgres.execute("postgres", &format!("DROP DATABASE \"{base}\" WITH (FORCE)")).await?;
    postgres.execute("postgres", &format!("CREATE DATABASE \"{base}\"")).await?;
    postgres.execute(&base, &format!("{table}; INSERT INTO goods VALUES (2, now())")).await?;
    let changed = opened(&bus, "source-changed").await?;
    assert!(changed["message"].as_str().is_some_and(|words| words.contains("another base")), "{changed}");
    assert_eq!(receiver.ledger()?.applied().count(), 1, "nothing of it was read");
    command(&bus, &["accept-source", "goods"]).await?;
    receiver.applied(2, LIMIT).await?;
    closed(&bus, "source-changed").await
}

#[tokio::test]
async fn a_certificate_that_ends_is_told_of_before_anything_fails() -> Result<()> {
    let certificates = Certificates::ending(Duration::from_secs(10 * 86_400 + 3600))?;
    // Any server that speaks TLS from the first byte will do: nothing is sent to it.
    let nothing = Script::default();
    let (receiver, server) = tokio::join!(Receiver::start(&nothing), Smtp::with(&certificates));
    let (receiver, server) = (receiver?, server?);
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let more = format!(
        "[systems.crm]\nkind = \"http\"\nurl = \"https://127.0.0.1:{}\"\n\
         [routes.d]\nstream = \"заказы\"\nto = \"crm\"\nsend = {{ method = \"PUT\", path = \"/d/{{key}}\" }}",
        server.port()
    );
    bus.routes(&routes(&bus, &receiver, "", &more))?;
    bus.start().await?;
    let ending = opened(&bus, "certificate-ending").await?;
    assert_eq!(ending["subject"], "crm");
    assert!(ending["message"].as_str().is_some_and(|words| words.contains("in 10 days")), "{ending}");
    Ok(())
}

#[tokio::test]
async fn a_restored_backup_and_a_promoted_standby_are_not_read_until_a_person_agrees() -> Result<()> {
    let (mut postgres, receiver) = (Postgres::start().await?, Receiver::start(&Script::default()).await?);
    let mut bus = Bus::new()?;
    bus.routes(&goods(&bus, &receiver, &postgres.url()))?;
    postgres.execute("postgres", "CREATE TABLE goods (id int PRIMARY KEY, at timestamptz NOT NULL)").await?;
    postgres.execute("postgres", "INSERT INTO goods VALUES (1, now())").await?;
    postgres.stop().await?;
    postgres.keep("backup").await?;
    postgres.restart().await?;
    // What the backup does not have: a row, and a good piece of the log.
    postgres.execute("postgres", "INSERT INTO goods VALUES (2, now())").await?;
    postgres.execute("postgres", "SELECT pg_switch_wal()").await?;
    bus.start().await?;
    receiver.applied(2, LIMIT).await?;

    for (promoted, words, id) in [(false, "earlier state", 3), (true, "history has forked", 4)] {
        postgres.stop().await?;
        if promoted {
            postgres.restart_promoted().await?;
        } else {
            postgres.restore("backup").await?;
            postgres.restart().await?;
        }
        postgres.execute("postgres", &format!("INSERT INTO goods VALUES ({id}, now())")).await?;
        let changed = opened(&bus, "source-changed").await?;
        assert!(changed["message"].as_str().is_some_and(|message| message.contains(words)), "{words}: {changed}");
        assert_eq!(receiver.ledger()?.applied().count(), id - 1, "{words}: nothing of it was read");
        // A restart agrees to nothing.
        bus.kill9();
        bus.start().await?;
        assert_eq!(opened(&bus, "source-changed").await?["since"], changed["since"]);
        command(&bus, &["accept-source", "goods"]).await?;
        receiver.applied(id, LIMIT).await?;
        closed(&bus, "source-changed").await?;
    }
    Ok(())
}

bus_tests::over_both_brokers!(a_route_that_does_nothing_while_messages_wait_is_told_and_so_is_its_end);

async fn a_route_that_does_nothing_while_messages_wait_is_told_and_so_is_its_end(rabbit: Option<String>) -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    let broker = bus.on(rabbit);
    // Ten minutes are six seconds.
    bus.env("BUS_HURRY", "100");
    let text = routes(&bus, &receiver, broker, "").replace("timeout = \"2s\"", "timeout = \"120s\"");
    bus.routes(&text)?;
    bus.start().await?;
    // It takes the request and says nothing, for longer than anybody looks at.
    receiver.set_script(&Script { rules: vec![Rule::always(Answer::Hang)], ..Script::default() }).await?;
    push(&bus, r#"[{"id":1},{"id":2}]"#).await?;
    let stuck = opened(&bus, "consumer-stuck").await?;
    assert_eq!(stuck["severity"], "critical");
    assert!(["a", "b", "c"].contains(&stuck["subject"].as_str().context("a route")?), "{stuck}");
    // Its connection is cut, the next try is answered.
    receiver.down(None).await?;
    receiver.set_script(&Script::default()).await?;
    receiver.up().await?;
    closed(&bus, "consumer-stuck").await
}

#[tokio::test]
async fn a_disk_that_fills_up_is_told_before_it_is_full() -> Result<()> {
    let receiver = Receiver::start(&Script::default()).await?;
    let mut bus = Bus::new()?;
    bus.env("PUSH_KEY", "push-secret");
    // A look at the disk is due every minute of the looks.
    bus.env("BUS_HURRY", "60");
    let free = bus.directory().join("free");
    std::fs::write(&free, "1000000000000")?;
    bus.env("BUS_DISK_FREE", free.to_str().context("a path")?);
    bus.routes(&routes(&bus, &receiver, "", ""))?;
    bus.start().await?;
    eventually("a first look", LIMIT, || async {
        Ok(bus.metrics().await?.contains("bus_state_disk_free_bytes 1000000000000").then_some(()))
    })
    .await?;
    // Nothing was pushed, so the stream may be silent by now.
    ensure!(over(&bus, "disk-filling").await?.is_some(), "told while there is room");
    std::fs::write(&free, "900000000")?;
    let filling = opened(&bus, "disk-filling").await?;
    assert_eq!((&filling["subject"], &filling["severity"]), (&json!("проверка"), &json!("critical")));
    std::fs::write(&free, "1000000000000")?;
    closed(&bus, "disk-filling").await
}

#[tokio::test]
async fn rows_that_cannot_be_read_are_told_until_their_letters_are_dropped() -> Result<()> {
    let (postgres, receiver) = (Postgres::shared().await?, Receiver::start(&Script::default()).await?);
    let base = postgres.database().await?;
    postgres.execute(&base, "CREATE TABLE goods (id int, at timestamptz NOT NULL)").await?;
    postgres
        .execute(
            &base,
            "INSERT INTO goods VALUES (1, now() - interval '9 s'), (NULL, now() - interval '5 s'), (3, now())",
        )
        .await?;
    let mut bus = Bus::new()?;
    bus.routes(&goods(&bus, &receiver, &postgres.url_of(&base)))?;
    bus.start().await?;
    let told = opened(&bus, "unreadable-records").await?;
    assert_eq!(told["subject"], "goods");
    assert!(
        told["message"].as_str().is_some_and(|words| words.contains("1 rows") && words.contains("\"id\"")),
        "{told}"
    );
    bus.kill9();
    bus.start().await?;
    assert_eq!(opened(&bus, "unreadable-records").await?["since"], told["since"]);
    let letters: Value = serde_json::from_str(&command(&bus, &["dead", "list", "--json"]).await?)?;
    command(&bus, &["dead", "drop", &letters[0]["id"].to_string()]).await?;
    closed(&bus, "unreadable-records").await
}

/// One table to one shop.
fn goods(bus: &Bus, receiver: &Receiver, base: &str) -> String {
    format!(
        r#"
        [bus]
        listen = "{}"
        [systems.shop]
        kind = "http"
        url = "{}"
        timeout = "2s"
        [systems.erp]
        kind = "sql"
        url = "{base}"
        [streams.goods]
        from = "erp"
        query = "SELECT id, at FROM goods WHERE at >= :cursor ORDER BY at"
        key = "id"
        schedule = "100ms"
        changes = {{ cursor = "at" }}
        [routes.out]
        stream = "goods"
        to = "shop"
        send = {{ method = "PUT", path = "/goods/{{key}}" }}
        "#,
        bus.listen(),
        receiver.url(),
    )
}
